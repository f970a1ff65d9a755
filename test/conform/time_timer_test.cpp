// What Go's time tests check of timers. docs/conformance/time.md has the table.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <limits>
#include <random>
#include <vector>

#include "../unit/fixture.hpp"
#include "weft/select.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;
using conform_time = weft::test::fixture;
using weft::chan_status;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;
using weft::test::scaled_live;

weft::clock::time_point now()
{
    return weft::clock::now();
}

template <class T>
bool ticked(const T& t)
{
    weft::clock::time_point at;
    return t.channel().try_recv(at) == chan_status::success;
}

// TestSleep, TestAfter: never too short.
WEFT_TEST(conform_time, sleep_and_after_last_long_enough)
{
    const auto begin = now();
    weft::sleep_for(2ms);
    EXPECT_GE(now() - begin, 2ms);
    const auto again = now();
    const auto fired = weft::after(2ms).recv();
    EXPECT_GE(*fired - again, 2ms);
    EXPECT_GE(now() - again, 2ms);
}

// TestAfterFunc: a function that arranges its next call.
WEFT_TEST(conform_time, after_func_again_and_again)
{
    const weft::chan<bool> done;
    struct repeat {
        weft::chan<bool> done;
        int left;
        void operator()() const
        {
            if (left == 0)
                done.send(true);
            else
                weft::after_func(0ms, repeat{done, left - 1});
        }
    };
    weft::after_func(0ms, repeat{done, 10});
    EXPECT_EQ(done.recv(), true);
}

// TestTickerStress, TestTickerConcurrentStress: goroutines that only yield, while tickers tick.
WEFT_TEST(conform_time, tickers_beside_busy_goroutines)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        std::atomic<bool> stop{false};
        weft::wait_group all;
        all.go(
            [&]
            {
                while (!stop)
                    weft::yield();
            });
        weft::wait_group tickers;
        for (int g = 0; g < 10; ++g) {
            tickers.go(
                []
                {
                    const weft::ticker t(1us);
                    for (std::size_t i = 0; i < scaled(50); ++i)
                        (void)t.channel().recv();
                });
        }
        tickers.wait();
        stop = true;
        all.wait();
    }
}

// TestAfterFuncStarvation: two goroutines that wake each other do not keep a timer from its turn.
WEFT_TEST(conform_time, after_func_is_not_starved)
{
    const procs one(1);
    std::atomic<bool> stop{false};
    const weft::chan<bool> a;
    const weft::chan<bool> b;
    weft::wait_group all;
    const auto play = [&stop](const weft::chan<bool>& in, const weft::chan<bool>& out)
    {
        while (in.recv().has_value() && !stop)
            out.send(true);
        out.close();
    };
    all.go([&] { play(a, b); });
    all.go(
        [&]
        {
            a.send(true);
            while (b.recv().has_value())
                a.send(true);
        });
    weft::after_func(1ms, [&] { stop = true; });
    all.wait();
    EXPECT_TRUE(stop);
}

// TestAfterStop: stopped timers do not fire; a stop says what it did.
WEFT_TEST(conform_time, stop_before_and_after)
{
    weft::after_func(10us, [] {});
    std::atomic<bool> called{false};
    weft::func_timer f = weft::after_func(10h, [&] { called = true; });
    weft::timer t(10h);
    EXPECT_TRUE(t.stop());
    EXPECT_TRUE(f.stop());
    EXPECT_FALSE(t.stop()) << "stopped already";
    EXPECT_FALSE(f.stop());
    weft::sleep_for(1ms);
    EXPECT_FALSE(called);
    EXPECT_FALSE(ticked(t));
}

// TestAfterQueuing: whatever the order in which they are made, they fire in that of their deadlines.
WEFT_TEST(conform_time, timers_fire_in_the_order_of_their_deadlines)
{
    std::vector<int> slots{5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};
    struct event {
        int slot;
        weft::clock::time_point at;
    };
    const weft::chan<event> fired;
    const auto begin = now() + 1ms;
    for (const int slot : slots)
        weft::go([=] { fired.send({slot, *weft::after(begin + slot * 500us - now()).recv()}); });
    std::vector<event> events;
    for (std::size_t i = 0; i < slots.size(); ++i)
        events.push_back(*fired.recv());
    std::sort(slots.begin(), slots.end());
    std::sort(events.begin(), events.end(), [](const event& a, const event& b) { return a.slot < b.slot; });
    for (std::size_t i = 0; i < slots.size(); ++i) {
        EXPECT_EQ(events[i].slot, slots[i]);
        EXPECT_GE(events[i].at, begin + slots[i] * 500us);
    }
}

// TestTimerStopStress: stopped ones are not called.
WEFT_TEST(conform_time, stop_stress)
{
    std::atomic<int> called{0};
    weft::wait_group all;
    for (int i = 0; i < 100; ++i) {
        all.go(
            [&, i]
            {
                auto t = weft::after_func(10h, [&] { ++called; });
                weft::sleep_for(std::chrono::microseconds(i * 10));
                EXPECT_TRUE(t.stop());
            });
    }
    all.wait();
    EXPECT_EQ(called, 0);
}

// TestSleepZeroDeadlock: sleeps of nothing and tiny timers beside each other.
WEFT_TEST(conform_time, sleep_of_nothing)
{
    const procs four(4);
    weft::wait_group all;
    all.go(
        []
        {
            for (std::size_t i = 0; i < scaled(100); ++i) {
                weft::timer t(std::chrono::nanoseconds(i % 3));
                (void)t.channel().recv();
            }
        });
    for (std::size_t i = 0; i < scaled(1'000); ++i)
        weft::sleep_for(0ns);
    all.wait();
}

// TestReset: a reset timer fires by its new time, not the old one.
WEFT_TEST(conform_time, reset_postpones)
{
    weft::timer t(4ms);
    const auto begin = now();
    weft::sleep_for(1ms);
    const bool ran = t.reset(4ms);
    EXPECT_TRUE(ran) << "what it had sent, if it was that late, is not received";
    const auto fired = t.channel().recv();
    EXPECT_GE(*fired - begin, 5ms);
    EXPECT_FALSE(t.reset(1us));
    (void)t.channel().recv();
}

// TestOverflowSleep, TestOverflowPeriodRuntimeTimer, TestIssue5745: the longest times do not wrap around, and harm
// nobody beside them.
WEFT_TEST(conform_time, the_longest_times)
{
    weft::timer big(std::chrono::nanoseconds::max());
    weft::ticker endless(std::chrono::nanoseconds::max());
    const auto beside = weft::after(1ms);
    EXPECT_EQ(weft::select(weft::on_recv(big.channel()), weft::on_recv(endless.channel()), weft::on_recv(beside)), 2U);
    const auto past = weft::after(std::chrono::nanoseconds::min());
    EXPECT_TRUE(past.recv().has_value());
    EXPECT_TRUE(big.stop());
    // One after the other, the first of them in the past.
    weft::wait_group ran;
    ran.add();
    auto f = weft::after_func(-1h, [&] { ran.done(); });
    ran.wait();
    EXPECT_FALSE(f.stop());
}

// TestTimerModifiedEarlier: made earlier, it fires by the earlier time, though the heap waits for the later one.
WEFT_TEST(conform_time, made_earlier)
{
    for (int i = 0; i < 10; ++i) {
        weft::timer t(10h);
        weft::timer other(10h);
        t.stop();
        t.reset(100us);
        const weft::timer limit(60s);
        EXPECT_EQ(weft::select(weft::on_recv(t.channel()), weft::on_recv(limit.channel())), 0U);
    }
}

// TestAdjustTimers: many tickers and timers, stopped and reset in any order.
WEFT_TEST(conform_time, timers_are_adjusted_in_any_order)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        std::mt19937 random(7);
        std::vector<weft::timer> timers;
        const std::size_t count = scaled_live(300);
        timers.reserve(count);
        for (std::size_t i = 0; i < count; ++i)
            timers.emplace_back(10h);
        for (std::size_t i = 0; i < scaled(5'000); ++i) {
            weft::timer& t = timers[random() % timers.size()];
            switch (random() % 5) {
                case 0:
                    t.stop();
                    break;
                case 1:
                    t.reset(std::chrono::microseconds(random() % 100));
                    break;
                case 2:
                    t.reset(std::chrono::hours(1 + random() % 9));
                    break;
                case 3:
                    (void)ticked(t);
                    break;
                default:
                    if (random() % 50 == 0)
                        weft::sleep_for(20us);
            }
        }
        for (weft::timer& t : timers) {
            t.reset(1us);
            EXPECT_TRUE(t.channel().recv().has_value());
        }
    }
}

// TestStopResult, TestResetResult: true exactly when what was running, or not received, is taken back.
WEFT_TEST(conform_time, results_of_stop_and_reset)
{
    for (const bool by_stop : {true, false}) {
        for (std::size_t i = 0; i < scaled(500); ++i) {
            weft::timer t(std::chrono::microseconds(i % 30));
            const weft::timer expired(0ns);
            if (weft::select(weft::on_recv(t.channel()), weft::on_recv(expired.channel())) == 0)
                continue;
            const bool taken_back = by_stop ? t.stop() : t.reset(10h);
            EXPECT_TRUE(taken_back) << "nobody had received it";
            EXPECT_FALSE(ticked(t));
        }
    }
}

// TestMultiWakeupTicker, TestMultiWakeupTimer: stopped and reset at once, again and again; not lost.
WEFT_TEST(conform_time, stop_and_reset_at_once)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        weft::ticker ticker(1us);
        weft::timer timer(10h);
        for (std::size_t i = 0; i < scaled(2'000); ++i) {
            ticker.reset(1us);
            EXPECT_TRUE(ticker.channel().recv().has_value());
            ticker.stop();
            timer.stop();
            timer.reset(0ns);
            EXPECT_TRUE(timer.channel().recv().has_value());
        }
    }
}

}  // namespace
