// weft::timer, after and after_func: once, never early, and never a value of before stop() or reset().
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "fixture.hpp"
#include "weft/select.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;
using timer_test = weft::test::fixture;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;
using weft::test::scaled_live;

weft::clock::time_point now()
{
    return weft::clock::now();
}

WEFT_TEST(timer_test, fires_once_and_not_early)
{
    const auto begin = now();
    weft::timer t(2ms);
    const auto fired = t.channel().recv();
    ASSERT_TRUE(fired.has_value());
    EXPECT_GE(*fired - begin, 2ms);
    EXPECT_LE(*fired, now());
    weft::clock::time_point again;
    EXPECT_EQ(t.channel().recv_for(again, 3ms), weft::chan_status::timeout);
    EXPECT_FALSE(t.stop()) << "it has fired, and its value was received";
}

TEST_F(timer_test, fires_on_a_plain_thread)
{
    const auto begin = now();
    weft::timer t(2ms);
    const auto fired = t.channel().recv();
    ASSERT_TRUE(fired.has_value());
    EXPECT_GE(*fired - begin, 2ms);
}

WEFT_TEST(timer_test, zero_and_less_fire_at_once)
{
    EXPECT_TRUE(weft::timer(0ms).channel().recv().has_value());
    EXPECT_TRUE(weft::timer(-1h).channel().recv().has_value());
    EXPECT_TRUE(weft::after(0ns).recv().has_value());
}

WEFT_TEST(timer_test, the_longest_timeouts_do_not_fire)
{
    weft::timer t(std::chrono::nanoseconds::max());
    weft::timer u(std::chrono::hours::max());
    weft::sleep_for(1ms);
    EXPECT_TRUE(t.stop());
    EXPECT_TRUE(u.stop());
}

WEFT_TEST(timer_test, its_channel_looks_unbuffered)
{
    weft::timer t(0ms);
    const auto c = t.channel();
    EXPECT_EQ(c.capacity(), 0U);
    EXPECT_TRUE(eventually(
        [&]
        {
            weft::clock::time_point at;
            EXPECT_EQ(c.size(), 0U);
            return c.try_recv(at) == weft::chan_status::success;
        }));
    EXPECT_EQ(c, t.channel());
    EXPECT_FALSE(c.closed());
}

WEFT_TEST(timer_test, stop_before_it_fires)
{
    weft::timer t(1h);
    EXPECT_TRUE(t.stop());
    EXPECT_FALSE(t.stop()) << "stopped already";
    weft::clock::time_point at;
    EXPECT_EQ(t.channel().try_recv(at), weft::chan_status::empty);
}

WEFT_TEST(timer_test, stop_takes_a_sent_value_back)
{
    for (std::size_t i = 0; i < scaled(200); ++i) {
        weft::timer t(0ms);
        if (i % 2 == 0)
            weft::sleep_for(std::chrono::microseconds(i));
        EXPECT_TRUE(t.stop()) << "nobody has received it";
        weft::clock::time_point at;
        EXPECT_EQ(t.channel().try_recv(at), weft::chan_status::empty);
    }
}

WEFT_TEST(timer_test, reset_takes_a_sent_value_back)
{
    for (std::size_t i = 0; i < scaled(100); ++i) {
        weft::timer t(0ms);
        weft::sleep_for(std::chrono::microseconds(i));
        const auto begin = now();
        EXPECT_TRUE(t.reset(1ms));
        const auto fired = t.channel().recv();
        ASSERT_TRUE(fired.has_value());
        EXPECT_GE(*fired - begin, 1ms) << "a value of before the reset";
    }
}

WEFT_TEST(timer_test, reset_revives_and_prolongs)
{
    weft::timer t(1ms);
    ASSERT_TRUE(t.channel().recv().has_value());
    EXPECT_FALSE(t.reset(1ms)) << "it had fired";
    ASSERT_TRUE(t.channel().recv().has_value());
    t.reset(1h);
    EXPECT_TRUE(t.reset(0ms)) << "it ran";
    ASSERT_TRUE(t.channel().recv().has_value());
    t.stop();
    EXPECT_FALSE(t.reset(0ms)) << "it was stopped";
    ASSERT_TRUE(t.channel().recv().has_value());
}

// Whether it still waits when it is put off or has fired just then: it comes once, and not before it should.
WEFT_TEST(timer_test, put_off_it_fires_once_and_not_early)
{
    weft::timer t(1h);
    for (int i = 0; i < 100; ++i)
        EXPECT_TRUE(t.reset(1h + std::chrono::seconds(i % 10))) << "to later and to earlier";
    for (std::size_t i = 0; i < scaled(200); ++i) {
        const auto begin = now();
        t.reset(std::chrono::microseconds(i % 50));
        for (std::size_t k = 0; k < i % 3; ++k)
            t.reset(100us);
        const auto fired = t.channel().recv();
        ASSERT_TRUE(fired.has_value());
        EXPECT_GE(*fired - begin, i % 3 == 0 ? std::chrono::microseconds(i % 50) : 100us);
        weft::clock::time_point at;
        EXPECT_EQ(t.channel().try_recv(at), weft::chan_status::empty);
    }
    EXPECT_FALSE(t.reset(1h)) << "it had fired";
    EXPECT_TRUE(t.stop());
    EXPECT_FALSE(t.stop());
}

WEFT_TEST(timer_test, moves)
{
    weft::timer t(1h);
    const auto c = t.channel();
    weft::timer u(std::move(t));
    EXPECT_EQ(u.channel(), c);
    weft::timer v(1h);
    v = std::move(u);
    EXPECT_EQ(v.channel(), c);
    EXPECT_TRUE(v.reset(0ms));
    EXPECT_TRUE(c.recv().has_value());
}

WEFT_TEST(timer_test, its_end_stops_it)
{
    std::optional<weft::timer> t(std::in_place, 1h);
    const auto c = t->channel();
    EXPECT_EQ(weft::stats().timers, 1U);
    t.reset();
    EXPECT_EQ(weft::stats().timers, 0U);
    weft::clock::time_point at;
    EXPECT_EQ(c.recv_for(at, 1ms), weft::chan_status::timeout);
}

WEFT_TEST(timer_test, a_timer_that_runs_is_no_goroutine)
{
    const std::size_t before = weft::num_goroutines();
    weft::timer t(1h);
    EXPECT_EQ(weft::num_goroutines(), before);
}

WEFT_TEST(timer_test, is_a_case_of_select)
{
    weft::timer slow(1h);
    weft::timer fast(1ms);
    bool got = false;
    const std::size_t i = weft::select(weft::on_recv(slow.channel()),
                                       weft::on_recv(fast.channel(), [&](auto v) { got = v.has_value(); }));
    EXPECT_EQ(i, 1U);
    EXPECT_TRUE(got);
}

// Timers are made, reset, stopped and received from by many at the same time: no value of before a reset is seen, and
// none is lost.
void storm(int proc_count)
{
    const procs p(proc_count);
    weft::wait_group all;
    for (std::size_t g = 0; g < 50; ++g) {
        all.go(
            [g]
            {
                weft::timer t(0ms);
                for (std::size_t i = 0; i < scaled(100); ++i) {
                    const auto begin = now();
                    const auto timeout = std::chrono::microseconds((i * 7 + g) % 60);
                    t.reset(timeout);
                    if ((i + g) % 3 == 0)
                        continue;
                    if ((i + g) % 7 == 0) {
                        t.stop();
                        weft::clock::time_point at;
                        EXPECT_EQ(t.channel().try_recv(at), weft::chan_status::empty);
                        continue;
                    }
                    const auto fired = t.channel().recv();
                    EXPECT_TRUE(fired.has_value());
                    EXPECT_GE(*fired - begin, timeout);
                }
            });
    }
    all.wait();
}

WEFT_TEST(timer_test, resets_and_stops_beside_firing)
{
    for (const int n : {1, 2, 4})
        storm(n);
}

// One timer, of which many stop and reset and one receives: afterwards it still works.
TEST_F(timer_test, is_shared_by_goroutines_and_threads)
{
    const procs four(4);
    weft::timer t(1h);
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    weft::wait_group all;
    const auto work = [&](std::size_t seed)
    {
        for (std::size_t i = seed; i < seed + scaled(300); ++i) {
            if (i % 5 == 0)
                t.stop();
            else
                t.reset(std::chrono::microseconds(i % 50));
            weft::yield();
        }
    };
    all.go(
        [&]
        {
            while (!stop) {
                weft::clock::time_point at;
                (void)t.channel().recv_for(at, 1ms);
            }
        });
    weft::wait_group workers;
    for (std::size_t i = 0; i < 4; ++i)
        workers.go([&, i] { work(i); });
    for (std::size_t i = 0; i < 2; ++i)
        threads.emplace_back(work, 100 + i);
    for (std::thread& th : threads)
        th.join();
    workers.wait();
    stop = true;
    all.wait();
    t.reset(0ms);
    EXPECT_TRUE(t.channel().recv().has_value());
}

WEFT_TEST(timer_test, many_fire_in_order)
{
    const std::size_t count = scaled_live(2'000);
    std::vector<weft::timer> timers;
    timers.reserve(count);
    for (std::size_t i = 0; i < count; ++i)
        timers.emplace_back(std::chrono::microseconds(i * 3));
    for (weft::timer& t : timers)
        EXPECT_TRUE(t.channel().recv().has_value());
}

// --- after

WEFT_TEST(timer_test, after_sends_once)
{
    const auto begin = now();
    const auto c = weft::after(1ms);
    const auto fired = c.recv();
    ASSERT_TRUE(fired.has_value());
    EXPECT_GE(*fired - begin, 1ms);
}

WEFT_TEST(timer_test, after_is_kept_though_nobody_waits)
{
    for (int i = 0; i < 100; ++i)
        (void)weft::after(100us);
    EXPECT_TRUE(eventually([] { return weft::stats().timers == 0; }));
}

// --- after_func

WEFT_TEST(timer_test, after_func_calls_in_a_goroutine_of_its_own)
{
    weft::chan<std::uint64_t> c;
    const auto begin = now();
    weft::after_func(1ms, [c] { c.send(weft::goroutine_id()); });
    const auto id = c.recv();
    EXPECT_GE(now() - begin, 1ms);
    EXPECT_NE(id.value(), 0U);
    EXPECT_NE(id.value(), weft::goroutine_id());
}

TEST_F(timer_test, after_func_on_a_plain_thread)
{
    weft::chan<int> c;
    auto t = weft::after_func(0ms, [c] { c.send(7); });
    EXPECT_EQ(c.recv(), 7);
    EXPECT_FALSE(t.stop());
}

WEFT_TEST(timer_test, after_func_stopped_is_not_called)
{
    std::atomic<int> calls{0};
    for (std::size_t i = 0; i < scaled(300); ++i) {
        auto t = weft::after_func(std::chrono::microseconds(i % 40), [&] { ++calls; });
        if (i % 3 == 0)
            weft::sleep_for(std::chrono::microseconds(i % 50));
        const int before = calls;
        const bool stopped = t.stop();
        if (stopped) {
            EXPECT_EQ(calls, before);
        } else {
            EXPECT_TRUE(eventually([&] { return calls > 0; }));
        }
        EXPECT_TRUE(eventually([] { return weft::num_goroutines() == 1; }));
        calls = 0;
    }
}

WEFT_TEST(timer_test, after_func_reset_calls_again)
{
    weft::chan<int> c;
    int calls = 0;
    auto t = weft::after_func(0ms, [c, n = 0]() mutable { c.send(++n); });
    for (int i = 1; i <= 5; ++i) {
        EXPECT_EQ(c.recv(), i);
        t.reset(0ms);
        ++calls;
    }
    EXPECT_EQ(c.recv(), calls + 1);
    auto copy = t;
    t.reset(1h);
    EXPECT_TRUE(copy.stop()) << "copies share it";
    EXPECT_FALSE(t.stop());
}

WEFT_TEST(timer_test, after_func_put_off_calls_once)
{
    std::atomic<int> calls{0};
    weft::chan<int> done(1);
    weft::func_timer t = weft::after_func(1h,
                                          [&]
                                          {
                                              ++calls;
                                              done.send(1);
                                          });
    EXPECT_TRUE(t.reset(2h));
    EXPECT_TRUE(t.reset(0ms));
    EXPECT_TRUE(done.recv().has_value());
    EXPECT_FALSE(t.reset(1h));
    EXPECT_TRUE(t.reset(2h));
    EXPECT_TRUE(t.stop());
    EXPECT_EQ(calls, 1);
}

// The function may block: others are not held up by it, and a reset calls it beside the call that runs.
WEFT_TEST(timer_test, after_func_may_block)
{
    weft::chan<int> entered;
    weft::chan<int> release;
    auto t = weft::after_func(0ms,
                              [=]
                              {
                                  entered.send(1);
                                  (void)release.recv();
                              });
    (void)entered.recv();
    t.reset(0ms);
    (void)entered.recv();
    release.close();
}

WEFT_TEST(timer_test, after_func_releases_its_function)
{
    auto held = std::make_shared<int>(1);
    {
        auto t = weft::after_func(1h, [held] {});
        EXPECT_EQ(held.use_count(), 2);
        EXPECT_TRUE(t.stop());
    }
    EXPECT_EQ(held.use_count(), 1);
    weft::after_func(0ms, [held] {});
    EXPECT_TRUE(eventually([&] { return held.use_count() == 1; }));
}

}  // namespace
