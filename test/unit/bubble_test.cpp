// testing::bubble: a clock that jumps when all are blocked, settle(), and the end of a bubble.
#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "weft/context.hpp"
#include "weft/testing.hpp"
#include "weft/time.hpp"

namespace {

using bubble_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::test::procs;
using weft::test::scaled;
using weft::testing::bubble;
using weft::testing::settle;

template <class F>
std::string deadlock_of(F&& f)
{
    try {
        bubble(f);
    } catch (const weft::testing::deadlock& e) {
        return e.what();
    }
    return "no deadlock";
}

bool has(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

void an_hour_takes_no_time()
{
    const auto real = std::chrono::steady_clock::now();
    bool ran = false;
    bubble(
        [&]
        {
            const auto begin = weft::clock::now();
            weft::sleep_for(1h);
            EXPECT_EQ(weft::clock::now() - begin, 1h);
            weft::sleep_until(begin + 3h);
            EXPECT_EQ(weft::clock::now() - begin, 3h);
            weft::sleep_until(begin);
            EXPECT_EQ(weft::clock::now() - begin, 3h);
            weft::sleep_for(0s);
            ran = true;
        });
    EXPECT_TRUE(ran);
    EXPECT_LT(std::chrono::steady_clock::now() - real, 1h);
}

// It computes until its P has been taken away, and then parks without one, with the mutex's queue locked.
WEFT_TEST(bubble_test, a_member_parks_without_a_p)
{
    const procs one(1);
    for (int round = 0; round < 10; ++round) {
        bubble(
            []
            {
                weft::mutex mu;
                std::atomic<bool> computes{false};
                std::atomic<bool> taken{false};
                bool locked = false;
                weft::wait_group all;
                mu.lock();
                all.go(
                    [&]
                    {
                        computes = true;
                        while (!taken) {
                        }
                        const std::lock_guard lock(mu);
                        locked = true;
                    });
                while (!computes)
                    weft::yield();
                const auto before = weft::stats().goroutines_waiting;
                taken = true;
                while (weft::stats().goroutines_waiting == before)
                    weft::yield();
                mu.unlock();
                all.wait();
                EXPECT_TRUE(locked);
            });
    }
}

WEFT_TEST(bubble_test, an_hour_takes_no_time)
{
    an_hour_takes_no_time();
}

TEST_F(bubble_test, an_hour_takes_no_time_from_a_plain_thread)
{
    an_hour_takes_no_time();
}

WEFT_TEST(bubble_test, begins_at_the_same_moment)
{
    std::array<weft::clock::time_point, 2> began;
    for (auto& at : began)
        bubble(
            [&]
            {
                at = weft::clock::now();
                weft::sleep_for(5s);
            });
    EXPECT_EQ(began[0], began[1]);
}

WEFT_TEST(bubble_test, the_clock_stands_while_somebody_runs)
{
    bubble(
        []
        {
            const auto begin = weft::clock::now();
            weft::go([] { weft::sleep_for(1s); });
            for (std::size_t i = 0; i < scaled(2'000); ++i)
                weft::yield();
            EXPECT_EQ(weft::clock::now(), begin);
            weft::sleep_for(1ns);
            EXPECT_EQ(weft::clock::now() - begin, 1ns);
        });
}

WEFT_TEST(bubble_test, sleepers_wake_in_order_and_on_time)
{
    for (const int n : {1, 2, 4, 16}) {
        const procs p(n);
        std::vector<int> order;
        weft::mutex m;
        bubble(
            [&]
            {
                const auto begin = weft::clock::now();
                for (int i = 0; i < 100; ++i) {
                    weft::go(
                        [&, i, begin]
                        {
                            const auto d = 1s * (i * 37 % 100 + 1);
                            weft::sleep_for(d);
                            EXPECT_EQ(weft::clock::now() - begin, d);
                            const std::lock_guard guard(m);
                            order.push_back(i * 37 % 100);
                        });
                }
            });
        EXPECT_EQ(order.size(), 100U);
        EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
    }
}

WEFT_TEST(bubble_test, returns_when_all_have_ended)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        std::atomic<int> ended{0};
        bubble(
            [&]
            {
                for (int i = 0; i < 10; ++i) {
                    weft::go(
                        [&, i]
                        {
                            weft::sleep_for(1s * i);
                            weft::go(
                                [&]
                                {
                                    weft::sleep_for(1h);
                                    ++ended;
                                });
                            ++ended;
                        });
                }
            });
        EXPECT_EQ(ended, 20);
    }
}

WEFT_TEST(bubble_test, what_is_started_inside_belongs_to_it)
{
    bubble(
        []
        {
            const auto begin = weft::clock::now();
            weft::async([&] { EXPECT_EQ(weft::clock::now(), begin); }).get();
            weft::wait_group all;
            all.go(
                [&]
                {
                    weft::sleep_for(2s);
                    EXPECT_EQ(weft::clock::now() - begin, 2s);
                });
            weft::jthread t([&] { EXPECT_LT(weft::clock::now() - begin, 1h); });
            all.wait();
            weft::go(weft::attr{.name = "pinned", .pinned = true},
                     [begin]
                     {
                         weft::sleep_for(1s);
                         EXPECT_EQ(weft::clock::now() - begin, 3s);
                     });
        });
}

WEFT_TEST(bubble_test, timed_waits_time_out_on_the_dot)
{
    bubble(
        []
        {
            const auto begin = weft::clock::now();
            auto never = weft::async([] { weft::sleep_for(1h); });
            EXPECT_EQ(never.wait_for(10min), std::future_status::timeout);
            EXPECT_EQ(weft::clock::now() - begin, 10min);
            EXPECT_EQ(never.wait_for(1h), std::future_status::ready);
            EXPECT_EQ(weft::clock::now() - begin, 1h);
            weft::chan<int> c;
            int value = 0;
            EXPECT_EQ(c.recv_for(value, 5s), weft::chan_status::timeout);
            EXPECT_EQ(weft::clock::now() - begin, 1h + 5s);
        });
}

WEFT_TEST(bubble_test, channels_and_select)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        int sum = 0;
        bubble(
            [&]
            {
                weft::chan<int> slow;
                weft::chan<int> fast(4);
                weft::go(
                    [=]() mutable
                    {
                        for (int i = 0; i < 10; ++i) {
                            weft::sleep_for(1s);
                            slow.send(1);
                        }
                        slow.close();
                    });
                weft::go(
                    [=]() mutable
                    {
                        for (int i = 0; i < 10; ++i) {
                            weft::sleep_for(100ms);
                            fast.send(100);
                        }
                    });
                bool open = true;
                while (open) {
                    weft::select(weft::on_recv(slow,
                                               [&](std::optional<int> v)
                                               {
                                                   open = v.has_value();
                                                   sum += v.value_or(0);
                                               }),
                                 weft::on_recv(fast, [&](std::optional<int> v) { sum += v.value_or(0); }));
                }
            });
        EXPECT_EQ(sum, 1'010);
    }
}

WEFT_TEST(bubble_test, a_mutex_held_over_a_sleep_lets_time_pass)
{
    bubble(
        []
        {
            const auto begin = weft::clock::now();
            weft::mutex m;
            weft::wait_group all;
            for (int i = 0; i < 5; ++i) {
                all.go(
                    [&]
                    {
                        const std::lock_guard guard(m);
                        weft::sleep_for(1s);
                    });
            }
            all.wait();
            EXPECT_EQ(weft::clock::now() - begin, 5s);
        });
}

WEFT_TEST(bubble_test, settle_waits_until_the_others_are_blocked)
{
    for (const int n : {1, 2, 4, 16}) {
        const procs p(n);
        bubble(
            [&]
            {
                std::atomic<int> steps{0};
                for (int i = 0; i < 50; ++i) {
                    weft::go(
                        [&]
                        {
                            for (int k = 0; k < 20; ++k) {
                                ++steps;
                                weft::yield();
                            }
                            weft::sleep_for(1s);
                            ++steps;
                        });
                }
                const auto begin = weft::clock::now();
                settle();
                EXPECT_EQ(steps, 1'000);
                EXPECT_EQ(weft::clock::now(), begin) << "no time has passed";
                weft::sleep_for(1s);
                settle();
                EXPECT_EQ(steps, 1'050);
                settle();
            });
    }
}

WEFT_TEST(bubble_test, settle_alone_returns_at_once)
{
    bubble([] { settle(); });
}

WEFT_TEST(bubble_test, settle_outside_is_an_error)
{
    EXPECT_THROW(settle(), std::logic_error);
    std::thread([] { EXPECT_THROW(settle(), std::logic_error); }).join();
}

WEFT_TEST(bubble_test, a_bubble_in_a_bubble_is_an_error)
{
    bubble([] { EXPECT_THROW(bubble([] {}), std::logic_error); });
    bubble([] { EXPECT_THROW(weft::testing::explore(weft::testing::seed{1}, [] {}), std::logic_error); });
}

WEFT_TEST(bubble_test, exceptions_leave_it_when_all_have_ended)
{
    std::atomic<bool> ended{false};
    EXPECT_THROW(bubble(
                     [&]
                     {
                         weft::go(
                             [&]
                             {
                                 weft::sleep_for(1h);
                                 ended = true;
                             });
                         throw std::out_of_range("mine");
                     }),
                 std::out_of_range);
    EXPECT_TRUE(ended);
    EXPECT_THROW(bubble([] { weft::go([] { throw std::domain_error("another one's"); }); }), std::domain_error);
}

WEFT_TEST(bubble_test, exit_goroutine_ends_a_member)
{
    bool after = false;
    bubble(
        [&]
        {
            weft::go([] { weft::exit_goroutine(); });
            weft::go(
                [&]
                {
                    weft::sleep_for(1s);
                    after = true;
                });
            weft::exit_goroutine();
        });
    EXPECT_TRUE(after);
}

WEFT_TEST(bubble_test, many_at_the_same_time)
{
    for (const int n : {2, 4, 16}) {
        const procs p(n);
        weft::wait_group all;
        std::atomic<int> ended{0};
        for (int b = 0; b < 20; ++b) {
            all.go(
                [&, b]
                {
                    bubble(
                        [&]
                        {
                            const auto begin = weft::clock::now();
                            weft::wait_group inside;
                            for (int i = 0; i < 20; ++i) {
                                inside.go(
                                    [&, i]
                                    {
                                        for (int k = 0; k < 5; ++k)
                                            weft::sleep_for(1s * (b + i + 1));
                                    });
                            }
                            inside.wait();
                            EXPECT_EQ(weft::clock::now() - begin, 5s * (b + 20));
                            ++ended;
                        });
                });
        }
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back(
                [&]
                {
                    for (std::size_t i = 0; i < scaled(50); ++i)
                        bubble([] { weft::sleep_for(1h); });
                });
        all.wait();
        for (std::thread& t : threads)
            t.join();
        EXPECT_EQ(ended, 20);
    }
}

// Two members ready each other while others move the clock: the counter is under contention from all Ps.
WEFT_TEST(bubble_test, ping_pong_and_sleepers)
{
    for (const int n : {2, 4, 16}) {
        const procs p(n);
        bubble(
            []
            {
                const auto begin = weft::clock::now();
                weft::chan<int> there;
                weft::chan<int> back;
                weft::wait_group all;
                const int rounds = static_cast<int>(scaled(2'000));
                all.go(
                    [&]
                    {
                        for (int i = 0; i < rounds; ++i) {
                            there.send(i);
                            EXPECT_EQ(back.recv(), i);
                        }
                    });
                all.go(
                    [&]
                    {
                        for (int i = 0; i < rounds; ++i) {
                            const auto v = there.recv();
                            weft::sleep_for(1ms);
                            back.send(*v);
                        }
                    });
                for (int s = 0; s < 4; ++s)
                    all.go(
                        [&]
                        {
                            for (int i = 0; i < rounds; ++i)
                                weft::sleep_for(1ms);
                        });
                all.wait();
                EXPECT_EQ(weft::clock::now() - begin, 1ms * rounds);
            });
    }
}

WEFT_TEST(bubble_test, the_outside_keeps_its_clock)
{
    const procs two(2);
    const auto before = weft::clock::now();
    std::atomic<bool> stop{false};
    weft::wait_group outside;
    outside.go(
        [&]
        {
            auto last = weft::clock::now();
            while (!stop) {
                weft::sleep_for(1us);
                const auto now = weft::clock::now();
                EXPECT_GE(now, last);
                EXPECT_LT(now - before, 24h);
                last = now;
            }
        });
    for (std::size_t i = 0; i < scaled(200); ++i)
        bubble([] { weft::sleep_for(1'000h); });
    stop = true;
    outside.wait();
}

// Not under the fixture: what is deadlocked keeps its stack.
class bubble_deadlock_test : public ::testing::Test {
protected:
    void TearDown() override
    {
        EXPECT_TRUE(weft::test::eventually([] { return weft::num_goroutines() == 0; }));
    }
};

TEST_F(bubble_deadlock_test, is_thrown_and_names_who_waits_for_what)
{
    const std::string what = deadlock_of(
        []
        {
            weft::wait_group never;
            never.add();
            weft::mutex m;
            weft::go(weft::attr{.name = "holder"},
                     [&]
                     {
                         m.lock();
                         never.wait();
                     });
            weft::go(weft::attr{.name = "second"},
                     [&]
                     {
                         weft::sleep_for(1s);
                         m.lock();
                     });
            never.wait();
        });
    EXPECT_TRUE(has(what, "[holder]: wait_group")) << what;
    EXPECT_TRUE(has(what, "[second]: mutex")) << what;
}

TEST_F(bubble_deadlock_test, is_thrown_for_channels)
{
    EXPECT_TRUE(has(deadlock_of([] { (void)weft::chan<int>().recv(); }), "channel receive"));
    EXPECT_TRUE(has(deadlock_of([] { weft::chan<int>().send(1); }), "channel send"));
    EXPECT_TRUE(has(deadlock_of([] { weft::select(); }), "goroutine"));
}

TEST_F(bubble_deadlock_test, is_found_once_the_last_timer_has_fired)
{
    const auto fired = std::make_shared<int>(0);
    const std::string what = deadlock_of(
        [fired]
        {
            (void)weft::after_func(1h, [fired] { ++*fired; });
            (void)weft::chan<int>().recv();
        });
    EXPECT_TRUE(has(what, "channel receive")) << what;
    EXPECT_EQ(*fired, 1);
}

TEST_F(bubble_deadlock_test, others_at_the_same_address_are_not_disturbed)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        for (int i = 0; i < 20; ++i) {
            // Where the deadlocked ones lie: the table of waiters must not know them any more.
            struct objects {
                weft::mutex m;
                weft::wait_group wg;
            };
            alignas(objects) std::array<std::byte, sizeof(objects)> place{};
            auto* bad = new (place.data()) objects;
            EXPECT_NE(deadlock_of(
                          [&]
                          {
                              bad->wg.add();
                              for (int k = 0; k < 3; ++k)
                                  weft::go(
                                      [&]
                                      {
                                          bad->m.lock();
                                          bad->wg.wait();
                                      });
                          }),
                      "no deadlock");
            auto* good = new (place.data()) objects;
            weft::run(
                [&]
                {
                    for (int k = 0; k < 10; ++k)
                        good->wg.go(
                            [&]
                            {
                                const std::lock_guard guard(good->m);
                                weft::yield();
                            });
                    good->wg.wait();
                });
        }
    }
}

TEST_F(bubble_deadlock_test, an_exception_is_what_is_thrown_if_there_is_one)
{
    EXPECT_THROW(bubble(
                     []
                     {
                         static weft::wait_group never;
                         never.add();
                         weft::go([] { never.wait(); });
                         throw std::out_of_range("why the other one waits");
                     }),
                 std::out_of_range);
}

TEST_F(bubble_deadlock_test, goroutines_of_it_are_not_counted_any_more)
{
    weft::run([] {});
    const std::size_t before = weft::num_goroutines();
    EXPECT_NE(deadlock_of([] { (void)weft::chan<int>().recv(); }), "no deadlock");
    EXPECT_TRUE(weft::test::eventually([&] { return weft::num_goroutines() <= before; }));
}

WEFT_TEST(bubble_test, tickers_tick_by_its_clock)
{
    for (const int n : {1, 2, 4, 16}) {
        const procs p(n);
        bubble(
            []
            {
                const auto begin = weft::clock::now();
                weft::ticker t(10min);
                for (int i = 1; i <= 100; ++i)
                    EXPECT_EQ(t.channel().recv(), begin + 10min * i);
                // Nobody receives: one is kept, the others are dropped.
                weft::sleep_for(55min);
                EXPECT_EQ(t.channel().recv(), begin + 10min * 101);
                EXPECT_EQ(t.channel().recv(), begin + 10min * 106);
                t.reset(1s);
                const auto reset = weft::clock::now();
                EXPECT_EQ(t.channel().recv(), reset + 1s);
                t.stop();
                weft::sleep_for(24h);
                weft::clock::time_point none;
                EXPECT_EQ(t.channel().try_recv(none), weft::chan_status::empty);
                t.reset(1h);
                EXPECT_EQ(t.channel().recv(), begin + 1'060min + 1s + 25h);
            });
    }
}

WEFT_TEST(bubble_test, timers_are_stopped_before_and_after_they_fire)
{
    bubble(
        []
        {
            weft::timer t(1s);
            EXPECT_TRUE(t.stop());
            EXPECT_FALSE(t.stop());
            EXPECT_FALSE(t.reset(1s));
            weft::sleep_for(2s);
            EXPECT_TRUE(t.stop()) << "nobody has received it";
            weft::sleep_for(2s);
            weft::clock::time_point none;
            EXPECT_EQ(t.channel().try_recv(none), weft::chan_status::empty);

            int calls = 0;
            weft::func_timer f = weft::after_func(1s, [&] { ++calls; });
            EXPECT_TRUE(f.stop());
            weft::sleep_for(2s);
            EXPECT_EQ(calls, 0);
            EXPECT_FALSE(f.reset(1s));
            weft::sleep_for(1s);
            weft::testing::settle();
            EXPECT_EQ(calls, 1);
            EXPECT_FALSE(f.stop());
        });
}

WEFT_TEST(bubble_test, select_over_timers_and_contexts)
{
    bubble(
        []
        {
            const auto begin = weft::clock::now();
            const weft::cancel_context ctx = weft::with_timeout(weft::background(), 3s);
            weft::ticker tick(1s);
            const auto late = weft::after(1h);
            int ticks = 0;
            for (bool on = true; on;)
                weft::select(weft::on_recv(tick.channel(), [&](const auto&) { ++ticks; }),
                             weft::on_recv(late, [](const auto&) { ADD_FAILURE() << "an hour too early"; }),
                             weft::on_done(ctx, [&] { on = false; }));
            EXPECT_EQ(weft::clock::now() - begin, 3s);
            EXPECT_GE(ticks, 2);
            EXPECT_LE(ticks, 3);
        });
}

WEFT_TEST(bubble_test, what_is_armed_at_its_end_is_dropped)
{
    const auto seen = std::make_shared<int>(0);
    std::optional<weft::cancel_context> outlives;
    std::optional<weft::timer> kept;
    for (const int n : {1, 4}) {
        const procs p(n);
        for (std::size_t i = 0; i < scaled(50); ++i)
            bubble(
                [&]
                {
                    for (int k = 0; k < 10; ++k)
                        (void)weft::after_func(1h, [seen] { ++*seen; });
                    (void)weft::after(1h);
                    outlives.emplace(weft::with_timeout(weft::background(), 1h));
                    const weft::ticker gone(1h);
                    kept.emplace(1h);
                });
    }
    EXPECT_EQ(*seen, 0);
    EXPECT_EQ(seen.use_count(), 1);
    EXPECT_THROW((void)kept->stop(), std::logic_error);
}

WEFT_TEST(bubble_test, an_exception_of_after_func_leaves_it)
{
    EXPECT_THROW(bubble(
                     []
                     {
                         (void)weft::after_func(1s, [] { throw std::out_of_range("from a timer"); });
                         weft::sleep_for(1h);
                     }),
                 std::out_of_range);
}

WEFT_TEST(bubble_test, timers_from_outside_are_refused_inside)
{
    weft::timer outside(1h);
    weft::func_timer f = weft::after_func(1h, [] {});
    bubble(
        [&]
        {
            EXPECT_THROW((void)outside.stop(), std::logic_error);
            EXPECT_THROW((void)outside.reset(1s), std::logic_error);
            EXPECT_THROW((void)f.reset(1s), std::logic_error);
            const weft::timer taken = std::move(outside);  // its end stops it nevertheless
        });
    EXPECT_TRUE(f.stop());
}

// Armed, fired, stopped and reset from many goroutines on many Ps.
WEFT_TEST(bubble_test, a_storm_of_timers)
{
    for (const int n : {2, 4, 16}) {
        const procs p(n);
        std::atomic<int> calls{0};
        const int rounds = static_cast<int>(scaled(100));
        bubble(
            [&]
            {
                const auto begin = weft::clock::now();
                weft::wait_group all;
                for (int g = 0; g < 10; ++g)
                    all.go(
                        [&, g]
                        {
                            weft::timer t(1h);
                            for (int i = 0; i < rounds; ++i) {
                                t.reset(1s * (g % 3));
                                (void)weft::after_func(500ms * (i % 2), [&] { ++calls; });
                                if (g % 2 == 0)
                                    (void)t.channel().recv();
                                weft::sleep_until(begin + 2s * (i + 1));
                            }
                        });
                all.wait();
                EXPECT_EQ(weft::clock::now() - begin, 2s * rounds);
            });
        EXPECT_EQ(calls, 10 * rounds);
    }
}

}  // namespace
