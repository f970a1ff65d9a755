// What Go's tests of testing/synctest check. docs/conformance/testing.md has the table.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../unit/fixture.hpp"
#include "weft/testing.hpp"

namespace {

using namespace std::chrono_literals;
using conform_bubble = weft::test::fixture;
using weft::clock;
using weft::testing::bubble;
using weft::testing::settle;

// TestNow
WEFT_TEST(conform_bubble, begins_in_the_year_2000_and_moves_by_sleeping)
{
    bubble(
        []
        {
            static constexpr clock::time_point begin{946'684'800s};
            EXPECT_EQ(clock::now(), begin);
            weft::go([] { EXPECT_EQ(clock::now(), begin); });
            weft::sleep_for(1s);
            EXPECT_EQ(clock::now(), begin + 1s);
        });
}

// TestRunEmpty, TestSimpleWait, TestGoroutineWait
WEFT_TEST(conform_bubble, nothing_to_wait_for)
{
    bubble([] {});
    bubble([] { settle(); });
    bubble(
        []
        {
            weft::go([] {});
            settle();
        });
}

// TestWait
WEFT_TEST(conform_bubble, settling_waits_for_a_chain_of_starts)
{
    bubble(
        []
        {
            bool done = false;
            weft::chan<int> c;
            std::function<void()> step = [&]
            {
                const int left = *c.recv();
                if (left == 0) {
                    done = true;
                    return;
                }
                weft::go([&] { step(); });
                c.send(left - 1);
            };
            weft::go([&] { step(); });
            c.send(100);
            settle();
            EXPECT_TRUE(done);
        });
}

// TestTimerReadBeforeDeadline, TestTimerReadAfterDeadline, TestTimerRanInPast
WEFT_TEST(conform_bubble, a_timer_is_received_before_and_after_its_deadline)
{
    bubble(
        []
        {
            const auto begin = clock::now();
            const weft::timer t(5s);
            EXPECT_EQ(t.channel().recv(), begin + 5s);
            EXPECT_EQ(clock::now(), begin + 5s);
        });
    bubble(
        []
        {
            const auto begin = clock::now();
            const weft::timer t(1s);
            weft::sleep_for(2s);
            clock::time_point sent;
            ASSERT_EQ(t.channel().try_recv(sent), weft::chan_status::success);
            EXPECT_EQ(sent, begin + 1s) << "the time at which it fired";
        });
}

// TestTimerReset
WEFT_TEST(conform_bubble, a_timer_is_reset)
{
    bubble(
        []
        {
            const auto begin = clock::now();
            weft::timer t(1s);
            EXPECT_EQ(t.channel().recv(), begin + 1s);
            EXPECT_FALSE(t.reset(2s));
            EXPECT_EQ(t.channel().recv(), begin + 3s);
            t.reset(3s);
            weft::sleep_for(1s);
            EXPECT_TRUE(t.reset(3s));
            EXPECT_EQ(t.channel().recv(), begin + 7s);
        });
}

// TestTimeAfter
WEFT_TEST(conform_bubble, what_after_func_calls_belongs_to_it)
{
    bubble(
        []
        {
            const auto begin = clock::now();
            std::vector<std::chrono::nanoseconds> at;
            (void)weft::after_func(1s,
                                   [&]
                                   {
                                       at.push_back(clock::now() - begin);
                                       weft::go(
                                           [&]
                                           {
                                               weft::sleep_for(1s);
                                               at.push_back(clock::now() - begin);
                                           });
                                   });
            weft::sleep_for(3s);
            settle();
            EXPECT_EQ(at, (std::vector<std::chrono::nanoseconds>{1s, 2s}));
        });
}

// TestTimerAfterBubbleExit
WEFT_TEST(conform_bubble, no_timer_fires_after_its_end)
{
    const auto captured = std::make_shared<bool>(false);
    bubble([captured] { (void)weft::after_func(1s, [captured] { *captured = true; }); });
    EXPECT_FALSE(*captured);
    EXPECT_EQ(captured.use_count(), 1) << "what was to be called is dropped";
}

// TestTimerRunsImmediately, of which what is left where a timer sends from a goroutine
WEFT_TEST(conform_bubble, a_timer_of_zero_fires_before_the_clock_moves)
{
    bubble(
        []
        {
            const auto begin = clock::now();
            const weft::timer t(0s);
            settle();
            clock::time_point sent;
            ASSERT_EQ(t.channel().try_recv(sent), weft::chan_status::success);
            EXPECT_EQ(sent, begin);
        });
}

// TestAfterFuncRunsImmediately
WEFT_TEST(conform_bubble, a_function_that_is_due_does_not_wait_for_the_others)
{
    bubble(
        []
        {
            std::atomic<bool> called{false};
            (void)weft::after_func(0s, [&] { called = true; });
            while (!called)
                weft::yield();
        });
}

// TestTimerFromInsideBubble
WEFT_TEST(conform_bubble, a_timer_is_not_for_those_outside)
{
    std::optional<weft::timer> t;
    std::optional<weft::ticker> k;
    std::optional<weft::func_timer> f;
    const auto refuses = [&]
    {
        EXPECT_THROW((void)t->stop(), std::logic_error);
        EXPECT_THROW((void)t->reset(1s), std::logic_error);
        EXPECT_THROW(k->stop(), std::logic_error);
        EXPECT_THROW(k->reset(1s), std::logic_error);
        EXPECT_THROW((void)f->stop(), std::logic_error);
        EXPECT_THROW((void)f->reset(1s), std::logic_error);
    };
    bubble(
        [&]
        {
            t.emplace(1h);
            k.emplace(1h);
            f.emplace(weft::after_func(1h, [] { ADD_FAILURE() << "after the end"; }));
            std::thread(refuses).join();
        });
    refuses();
    std::thread(refuses).join();
    bubble(refuses);
}

// TestDeadlockRoot, TestDeadlockChild. (In TestDeadlockTicker Go's clock stands because the first goroutine has ended;
// ours goes on for those that are left.)
TEST(conform_bubble_deadlock, is_reported)
{
    EXPECT_THROW(bubble([] { weft::select(); }), weft::testing::deadlock);
    EXPECT_THROW(bubble([] { weft::go([] { weft::select(); }); }), weft::testing::deadlock);
    EXPECT_TRUE(weft::test::eventually([] { return weft::num_goroutines() == 0; }));
}

// TestCond
WEFT_TEST(conform_bubble, a_condition_variable_is_durable)
{
    bubble(
        []
        {
            const auto begin = clock::now();
            weft::mutex m;
            weft::condition_variable c;
            weft::go(
                [&]
                {
                    weft::sleep_for(1ms);
                    {
                        const std::lock_guard guard(m);
                        c.notify_one();
                    }
                    weft::sleep_for(1ms);
                    const std::lock_guard guard(m);
                    c.notify_all();
                });
            std::unique_lock lock(m);
            c.wait(lock);
            EXPECT_EQ(clock::now() - begin, 1ms);
            lock.unlock();
            bool other = false;
            weft::go(
                [&]
                {
                    std::unique_lock mine(m);
                    c.wait(mine);
                    other = true;
                });
            lock.lock();
            c.wait(lock);
            lock.unlock();
            settle();
            EXPECT_TRUE(other);
            EXPECT_EQ(clock::now() - begin, 2ms);
        });
}

// TestWaitGroupInBubble, TestWaitGroupMovedBetweenBubblesAfterWait
WEFT_TEST(conform_bubble, a_wait_group_is_durable)
{
    weft::wait_group group;
    for (int i = 0; i < 2; ++i)
        bubble(
            [&]
            {
                const auto begin = clock::now();
                group.go([] { weft::sleep_for(1s); });
                group.wait();
                EXPECT_EQ(clock::now() - begin, 1s);
            });
}

// TestWaitGroupDisassociateInAdd: it leaves its bubble with a goroutine that waits for it there.
WEFT_TEST(conform_bubble, a_wait_group_may_be_used_in_the_next_bubble)
{
    weft::wait_group group;
    bubble(
        [&]
        {
            group.add(1);
            weft::go([&] { group.wait(); });
            settle();
            group.done();
        });
    bubble(
        [&]
        {
            group.add(1);
            group.done();
        });
}

// TestWaitGroupRacingAdds
WEFT_TEST(conform_bubble, goroutines_of_a_wait_group_end_while_others_begin)
{
    bubble(
        []
        {
            weft::wait_group group;
            std::atomic<int> ran{0};
            for (int i = 0; i < 100; ++i)
                group.go([&] { ++ran; });
            group.wait();
            EXPECT_EQ(ran, 100);
        });
}

// TestWaitGroupManyBubbles
WEFT_TEST(conform_bubble, many_at_the_same_time)
{
    constexpr std::size_t members = 100;
    const std::size_t bubbles = weft::test::scaled_live(100);
    std::atomic<std::size_t> woken{0};
    weft::wait_group all;
    for (std::size_t i = 0; i < bubbles; ++i)
        all.go(
            [&woken]
            {
                bubble(
                    [&woken]
                    {
                        const weft::chan<int> gate;
                        weft::wait_group group;
                        for (std::size_t k = 0; k < members; ++k)
                            group.go(
                                [&woken, gate]
                                {
                                    EXPECT_FALSE(gate.recv());
                                    ++woken;
                                });
                        settle();
                        gate.close();
                        group.wait();
                    });
            });
    all.wait();
    EXPECT_EQ(woken, bubbles * members);
}

// TestTimerResetZeroDoNotHang
WEFT_TEST(conform_bubble, settling_waits_for_a_timer_that_is_due)
{
    bubble(
        []
        {
            weft::timer t(0s);
            weft::cancel_context ctx = weft::with_cancel(weft::background());
            std::atomic<int> fired{0};
            std::atomic<bool> ended{false};
            weft::go(
                [&, until = weft::context(ctx)]
                {
                    while (!ended)
                        weft::select(weft::on_done(until, [&] { ended = true; }),
                                     weft::on_recv(t.channel(), [&] { ++fired; }));
                });
            settle();
            EXPECT_EQ(fired, 1);
            t.reset(0s);
            settle();
            EXPECT_EQ(fired, 2);
            EXPECT_FALSE(ended);
            ctx.cancel();
            settle();
            EXPECT_TRUE(ended);
        });
}

// TestHappensBefore: plain variables, for TSan.
WEFT_TEST(conform_bubble, settling_and_the_end_order_what_was_done)
{
    const weft::test::procs four(4);
    int a = 0;
    int b = 0;
    bubble(
        [&]
        {
            ++a, ++b;
            weft::go([&] { ++a; });
            weft::go([&] { ++b; });
            settle();
            ++a, ++b;
            weft::chan<int> gate;
            weft::go([&] { ++a, (void)gate.recv(); });
            weft::go([&] { ++b, (void)gate.recv(); });
            settle();
            ++a, ++b;
            gate.close();
            (void)weft::after_func(0s, [&] { ++a; });
            (void)weft::after_func(0s, [&] { ++b; });
            settle();
            ++a, ++b;
            weft::chan<int> second;
            (void)weft::after_func(0s, [&] { ++a, (void)second.recv(); });
            (void)weft::after_func(0s, [&] { ++b, (void)second.recv(); });
            settle();
            ++a, ++b;
            second.close();
        });
    bubble(
        [&]
        {
            weft::go([&] { weft::go([&] { ++a; }); });
            weft::go([&] { weft::go([&] { ++b; }); });
        });
    EXPECT_EQ(a, 10);
    EXPECT_EQ(b, 10);
}

// The example of context.AfterFunc: told at the cancellation, and not before.
WEFT_TEST(conform_bubble, a_cancellation_is_told_at_once)
{
    bubble(
        []
        {
            weft::cancel_context ctx = weft::with_cancel(weft::background());
            bool told = false;
            const std::stop_callback callback(ctx.stop_token(), [&] { told = true; });
            settle();
            EXPECT_FALSE(told);
            ctx.cancel();
            settle();
            EXPECT_TRUE(told);
        });
}

// The example of context.WithTimeout: not a nanosecond too early, not one too late.
WEFT_TEST(conform_bubble, a_context_ends_at_its_timeout)
{
    bubble(
        []
        {
            const weft::cancel_context ctx = weft::with_timeout(weft::background(), 5s);
            weft::sleep_for(5s - 1ns);
            settle();
            EXPECT_FALSE(ctx.err());
            weft::sleep_for(1ns);
            settle();
            EXPECT_EQ(ctx.err(), weft::context_errc::deadline_exceeded);
        });
}

}  // namespace
