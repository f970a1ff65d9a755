// What docs/guide/testing.md shows: virtual time, and orders that are drawn.
#include "weft/testing.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stdexcept>

#include "weft/weft.hpp"

using namespace std::chrono_literals;
namespace testing = weft::testing;

namespace {

// [expect]
void expect(bool holds, const char* what)
{
    if (!holds) {
        std::printf("not as expected: %s\n", what);
        std::exit(1);
    }
}
// [/expect]

// [bubble]
void the_fast_one_answers()
{
    testing::bubble(
        []
        {
            const auto begin = weft::clock::now();
            weft::chan<int> answers(2);
            weft::go([=] { weft::sleep_for(1h), answers.send(1); });
            weft::go([=] { weft::sleep_for(2s), answers.send(2); });
            expect(answers.recv() == 2, "the fast one comes first");
            expect(weft::clock::now() - begin == 2s, "to the nanosecond");
        });  // returns when all three have ended: an hour later by its own clock, at once by ours
}
// [/bubble]

// [settle]
void a_worker_takes_what_there_is()
{
    testing::bubble(
        []
        {
            int taken = 0;
            weft::chan<int> jobs(10);
            weft::go(
                [&taken, jobs]
                {
                    for (int job : jobs)
                        taken += job;
                });
            jobs.send(20);
            jobs.send(22);
            testing::settle();
            expect(taken == 42, "both are done");
            jobs.close();
            testing::settle();
        });
}
// [/settle]

// [timers]
void a_watchdog_barks_after_a_minute_of_silence()
{
    testing::bubble(
        []
        {
            int barks = 0;
            weft::func_timer watchdog = weft::after_func(1min, [&] { ++barks; });
            const weft::cancel_context a_day = weft::with_timeout(weft::background(), 24h);
            {
                const weft::ticker signs_of_life(59s);
                for (int i = 0; i < 1'000; ++i) {
                    (void)signs_of_life.channel().recv();
                    watchdog.reset(1min);
                }
            }
            testing::settle();
            expect(barks == 0, "a thousand times just in time");
            (void)a_day.done().recv();
            expect(barks == 1, "once, when it has gone quiet");
            expect(a_day.err() == weft::context_errc::deadline_exceeded, "the day is over");
        });
}
// [/timers]

// [explore]
void withdraw_twice()
{
    int balance = 100;
    weft::mutex m;
    const auto withdraw = [&](int amount)
    {
        m.lock();
        const bool enough = balance >= amount;
        m.unlock();
        if (enough) {  // somebody else may have been faster
            const std::lock_guard guard(m);
            balance -= amount;
        }
    };
    weft::wait_group all;
    all.go([&] { withdraw(80); });
    all.go([&] { withdraw(80); });
    all.wait();
    if (balance < 0)
        throw std::logic_error("the account is overdrawn");
}

weft::testing::seed find_it()
{
    try {
        testing::explore(1'000, withdraw_twice);
    } catch (const testing::exploration_failed& failure) {
        return failure.where();
    }
    std::exit(1);
}
// [/explore]

// [replay]
void repeat_it(testing::seed failing)
{
    for (int i = 0; i < 3; ++i) {
        try {
            testing::explore(failing, withdraw_twice);
            std::exit(1);
        } catch (const std::logic_error& e) {
            std::printf("again: %s\n", e.what());
        }
    }
}
// [/replay]

}  // namespace

int main()
{
    the_fast_one_answers();
    a_worker_takes_what_there_is();
    a_watchdog_barks_after_a_minute_of_silence();
    repeat_it(find_it());
}

// Output:
// again: the account is overdrawn
// again: the account is overdrawn
// again: the account is overdrawn
