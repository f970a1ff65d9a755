// Programs whose goroutines all wait: some of them for good, some not.
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>

#include "../support/scenarios.hpp"
#include "weft/weft.hpp"

namespace {

using namespace std::chrono_literals;
using weft::test::say;

// Long against the 10 ms after which an idle runtime looks, so that it has looked several times.
constexpr auto long_enough = 300ms;

struct tells_of_its_end {
    ~tells_of_its_end() { say("a static destructor ran"); }
};
const tells_of_its_end at_exit;

// --- deadlocks

int main_waits()
{
    return weft::run(
        []
        {
            say("id=%llu", static_cast<unsigned long long>(weft::goroutine_id()));
            std::printf("text in stdout's buffer\n");
            weft::wait_group never;
            never.add();
            never.wait();
        });
}

int locks_twice()
{
    return weft::run(
        []
        {
            weft::mutex m;
            m.lock();
            m.lock();
        });
}

int cycle()
{
    return weft::run(
        []
        {
            weft::mutex a;
            weft::mutex b;
            weft::wait_group both_hold;
            both_hold.add(2);
            const auto take = [&both_hold](weft::mutex& first, weft::mutex& second)
            {
                first.lock();
                both_hold.done();
                both_hold.wait();
                second.lock();
            };
            weft::go(weft::attr{.name = "left"}, [&] { take(a, b); });
            weft::go(weft::attr{.name = "right"}, [&] { take(b, a); });
            both_hold.wait();
            a.lock();
        });
}

int selects_nothing()
{
    return weft::run([] { weft::select(); });
}

int selects_nil_channels()
{
    return weft::run(
        []
        {
            weft::chan<int> nil = nullptr;
            weft::select(weft::on_recv(nil), weft::on_send(nil, 1));
        });
}

int selector_without_cases()
{
    return weft::run(
        []
        {
            weft::go(weft::attr{.name = "other"},
                     []
                     {
                         weft::selector all;
                         all.on_recv(weft::chan<int>(nullptr), [](std::optional<int>) {});
                         (void)all.wait();
                     });
            weft::selector none;
            (void)none.wait();
        });
}

int uses_nil_channels()
{
    return weft::run(
        []
        {
            weft::go(weft::attr{.name = "sender"}, [] { weft::chan<int>(nullptr).send(1); });
            (void)weft::chan<int>(nullptr).recv();
        });
}

int pinned_one()
{
    return weft::run(
        []
        {
            weft::wait_group never;
            never.add();
            weft::go(weft::attr{.name = "pinned", .pinned = true}, [&] { never.wait(); });
            const weft::pin here;
            never.wait();
        });
}

int after_much_work()
{
    return weft::run(
        []
        {
            for (int round = 0; round < 20; ++round) {
                weft::wait_group all;
                for (int i = 0; i < 100; ++i)
                    all.go([] { weft::sleep_for(100us); });
                all.wait();
            }
            weft::wait_group never;
            never.add();
            never.wait();
        });
}

int many()
{
    return weft::run(
        []
        {
            static weft::wait_group never;
            never.add();
            for (int i = 0; i < 500; ++i)
                weft::go([] { never.wait(); });
            never.wait();
        });
}

// The last plain thread that could have helped ends without doing it.
int helper_gives_up()
{
    std::thread helper([] { std::this_thread::sleep_for(long_enough); });
    helper.detach();
    return main_waits();
}

// It waits in weft itself, for what only goroutines could do.
int helper_waits_too()
{
    static weft::wait_group never;
    never.add();
    std::thread([] { never.wait(); }).detach();
    return weft::run([] { never.wait(); });
}

int second_run()
{
    weft::run([] { weft::sleep_for(1ms); });
    weft::run([] { weft::sleep_for(1ms); });
    return main_waits();
}

// --- none

int thread_wakes_later()
{
    weft::wait_group done;
    done.add();
    std::thread helper(
        [&]
        {
            std::this_thread::sleep_for(long_enough);
            done.done();
        });
    const int code = weft::run(
        [&]
        {
            done.wait();
            return 31;
        });
    helper.join();
    return code;
}

int sleeper()
{
    return weft::run(
        []
        {
            weft::sleep_for(long_enough);
            return 32;
        });
}

int far_timer()
{
    return weft::run(
        []
        {
            weft::go([] { weft::sleep_for(1h); });
            weft::wait_group never;
            never.add();
            std::thread(
                []
                {
                    std::this_thread::sleep_for(long_enough);
                    ::_exit(33);
                })
                .detach();
            never.wait();
        });
}

// Its only help against a report is the timer: no plain thread is there when the runtime looks.
int only_a_timer()
{
    return weft::run(
        []
        {
            weft::wait_group all;
            all.add();
            weft::go(
                [&]
                {
                    weft::sleep_for(long_enough);
                    all.done();
                });
            all.wait();
            return 34;
        });
}

int blocked_in_read()
{
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0)
        return 1;
    const pid_t child = ::fork();
    if (child == 0) {
        ::usleep(300'000);
        const char byte = 'x';
        ::_exit(::write(ends[1], &byte, 1) == 1 ? 0 : 1);
    }
    return weft::run(
        [&]
        {
            weft::wait_group all;
            all.go(
                [&]
                {
                    char byte = 0;
                    if (::read(ends[0], &byte, 1) != 1)
                        std::abort();
                });
            all.wait();
            return 35;
        });
}

int computes_long()
{
    return weft::run(
        []
        {
            weft::wait_group all;
            all.go(
                []
                {
                    const auto until = std::chrono::steady_clock::now() + long_enough;
                    while (std::chrono::steady_clock::now() < until) {
                    }
                });
            all.wait();
            return 36;
        });
}

int outside_of_run()
{
    static weft::wait_group never;
    never.add();
    weft::run([] { weft::go([] { never.wait(); }); });
    std::this_thread::sleep_for(long_enough);
    return 37;
}

int switched_off()
{
    ::alarm(1);  // kills: a handler would switch it off as well
    return weft::run(weft::options{.detect_deadlock = false},
                     []
                     {
                         weft::wait_group never;
                         never.add();
                         never.wait();
                     });
}

// Until a signal comes, all are asleep.
int waits_for_a_signal()
{
    std::signal(SIGALRM, [](int) { ::_exit(38); });
    ::alarm(1);
    return weft::run(
        []
        {
            weft::wait_group never;
            never.add();
            never.wait();
        });
}

weft::io::event* stop_asked = nullptr;

// As the guide does it, with signals that come to whichever thread the kernel takes.
int stops_on_sigterm()
{
    weft::io::event asked;
    stop_asked = &asked;
    std::signal(SIGTERM,
                [](int)
                {
                    std::error_code ignored;
                    stop_asked->set(1, ignored);
                });
    return weft::run(
        []
        {
            weft::cancel_context stopping = weft::with_cancel(weft::background());
            auto watcher = weft::async(
                [&]
                {
                    (void)stop_asked->wait();
                    stopping.cancel();
                });
            ::kill(::getpid(), SIGTERM);
            (void)stopping.done().recv();
            watcher.get();
            return 40;
        });
}

// Plain threads come and go all the time, each wakes one goroutine; between them the runtime is idle.
int threads_come_and_go()
{
    return weft::run(
        []
        {
            for (int i = 0; i < 200; ++i) {
                weft::wait_group done;
                done.add();
                std::thread(
                    [&done, i]
                    {
                        if (i % 20 == 0)
                            std::this_thread::sleep_for(25ms);
                        done.done();
                    })
                    .detach();
                done.wait();
            }
            return 39;
        });
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::test::run_scenario(argc, argv,
                                    {{"main_waits", main_waits},
                                     {"locks_twice", locks_twice},
                                     {"cycle", cycle},
                                     {"selects_nothing", selects_nothing},
                                     {"selects_nil_channels", selects_nil_channels},
                                     {"selector_without_cases", selector_without_cases},
                                     {"uses_nil_channels", uses_nil_channels},
                                     {"pinned_one", pinned_one},
                                     {"after_much_work", after_much_work},
                                     {"many", many},
                                     {"helper_gives_up", helper_gives_up},
                                     {"helper_waits_too", helper_waits_too},
                                     {"second_run", second_run},
                                     {"thread_wakes_later", thread_wakes_later},
                                     {"sleeper", sleeper},
                                     {"far_timer", far_timer},
                                     {"only_a_timer", only_a_timer},
                                     {"blocked_in_read", blocked_in_read},
                                     {"computes_long", computes_long},
                                     {"outside_of_run", outside_of_run},
                                     {"switched_off", switched_off},
                                     {"waits_for_a_signal", waits_for_a_signal},
                                     {"stops_on_sigterm", stops_on_sigterm},
                                     {"threads_come_and_go", threads_come_and_go}});
}
