// weft::stats: the counters agree with what goes on.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace {

using stats_test = weft::test::fixture;
using weft::test::eventually;
using weft::test::gate;
using weft::test::procs;
using weft::test::scaled;

WEFT_TEST(stats_test, counts_starts)
{
    const std::uint64_t before = weft::stats().goroutines_started;
    weft::wait_group all;
    for (int i = 0; i < 1'000; ++i)
        all.go([] {});
    for (int i = 0; i < 500; ++i)
        weft::async([] {}).get();
    all.wait();
    EXPECT_EQ(weft::stats().goroutines_started, before + 1'500);
}

WEFT_TEST(stats_test, agrees_with_num_goroutines)
{
    EXPECT_EQ(weft::stats().goroutines, 1U);
    gate finish;
    weft::wait_group all;
    for (int i = 0; i < 50; ++i)
        all.go([&] { finish.wait(); });
    EXPECT_EQ(weft::stats().goroutines, 51U);
    EXPECT_EQ(weft::num_goroutines(), 51U);
    finish.open();
    all.wait();
    EXPECT_TRUE(eventually([] { return weft::stats().goroutines == 1; }));
}

WEFT_TEST(stats_test, tells_states_apart)
{
    // Of goroutines that a bubble had to abandon the stacks stay.
    const std::uint64_t stacks = weft::stats().stacks_in_use;
    gate finish;
    weft::wait_group all;
    for (int i = 0; i < 100; ++i)
        all.go([&] { finish.wait(); });
    // Other Ms may still look for work, or at the timers, and theirs count as running meanwhile.
    weft::runtime_stats parked{};
    EXPECT_TRUE(eventually(
        [&]
        {
            parked = weft::stats();
            return parked.goroutines_waiting == 100 && parked.goroutines_running == 1;
        }));
    EXPECT_EQ(parked.goroutines_runnable, 0U);
    EXPECT_EQ(parked.goroutines, 101U);
    EXPECT_GE(parked.parks, 100U);
    EXPECT_EQ(parked.stacks_in_use, stacks + 100) << "a parked goroutine owns its stack";
    finish.open();
    all.wait();
    EXPECT_TRUE(eventually([] { return weft::stats().goroutines_waiting == 0; }));
}

// Those that thieves have in their hands, or that are on their way from one queue to another, do not wait.
WEFT_TEST(stats_test, counts_exactly_those_that_wait)
{
    constexpr std::uint64_t count = 50;
    gate finish;
    weft::wait_group waiting;
    for (std::uint64_t i = 0; i < count; ++i)
        waiting.go([&] { finish.wait(); });
    EXPECT_TRUE(eventually([&] { return weft::stats().goroutines_waiting == count; }));
    std::atomic<bool> stop{false};
    std::vector<weft::future<void>> moving;
    for (int i = 0; i < 20; ++i)
        moving.push_back(weft::async(
            [&]
            {
                while (!stop)
                    weft::yield();
            }));
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < scaled(5'000); ++i) {
        wrong += weft::stats().goroutines_waiting == count ? 0U : 1U;
        weft::yield();
    }
    stop = true;
    for (auto& one : moving)
        one.get();
    EXPECT_EQ(wrong, 0U);
    finish.open();
    waiting.wait();
}

WEFT_TEST(stats_test, counts_timers)
{
    EXPECT_EQ(weft::stats().timers, 0U);
    gate finish;
    auto held = weft::async([&] { finish.wait(); });
    std::vector<weft::future<void>> gates;
    gates.reserve(20);  // the waiters use them where they are
    std::vector<weft::future<std::future_status>> waiters;
    for (int i = 0; i < 20; ++i) {
        gates.push_back(weft::async([&] { finish.wait(); }));
        waiters.push_back(
            weft::async([&, i] { return gates[static_cast<std::size_t>(i)].wait_for(std::chrono::hours(1)); }));
        EXPECT_TRUE(eventually([&] { return weft::stats().timers == static_cast<std::uint64_t>(i) + 1; }));
    }
    finish.open();
    for (auto& w : waiters)
        EXPECT_EQ(w.get(), std::future_status::ready);
    held.get();
    EXPECT_TRUE(eventually([] { return weft::stats().timers == 0; }));
}

WEFT_TEST(stats_test, a_goroutine_that_has_not_run_owns_no_stack)
{
    const procs one(1);
    const std::size_t count = scaled(5'000);
    const std::uint64_t stacks = weft::stats().stacks_in_use;
    // Nobody else has a P; yet a machine that stops this goroutine for long may find a way to run some of them, hence
    // the repetition.
    EXPECT_TRUE(eventually(
        [&]
        {
            weft::wait_group all;
            for (std::size_t i = 0; i < count; ++i)
                all.go([] {});
            const weft::runtime_stats s = weft::stats();
            all.wait();
            return s.goroutines_runnable == count && s.stacks_in_use <= stacks + 1;
        }));
}

WEFT_TEST(stats_test, one_stack_serves_goroutines_that_never_park)
{
    const procs one(1);
    const std::uint64_t stacks = weft::stats().stacks_free + weft::stats().stacks_in_use;
    weft::wait_group all;
    for (std::size_t i = 0; i < scaled(10'000); ++i)
        all.go([] {});
    all.wait();
    EXPECT_LE(weft::stats().stacks_free + weft::stats().stacks_in_use, stacks + 4'096)
        << "a slab of new stacks may have been needed, not one for each";
}

WEFT_TEST(stats_test, counters_never_go_back)
{
    weft::runtime_stats last = weft::stats();
    for (std::size_t i = 0; i < scaled(200); ++i) {
        for (int n = 0; n < 10; ++n)
            weft::async([] { weft::yield(); }).get();
        const weft::runtime_stats now = weft::stats();
        EXPECT_GE(now.goroutines_started, last.goroutines_started + 10);
        EXPECT_GE(now.switches, last.switches);
        EXPECT_GE(now.parks, last.parks);
        EXPECT_GE(now.steals, last.steals);
        EXPECT_GE(now.stolen, last.stolen);
        EXPECT_GE(now.handoffs, last.handoffs);
        EXPECT_GE(now.wakeups, last.wakeups);
        EXPECT_GE(now.stolen, now.steals);
        last = now;
    }
}

WEFT_TEST(stats_test, counts_procs_and_threads)
{
    const procs three(3);
    weft::wait_group all;
    for (std::size_t i = 0; i < scaled(1'000); ++i)
        all.go([] { weft::yield(); });
    all.wait();
    const weft::runtime_stats s = weft::stats();
    EXPECT_EQ(s.procs, 3U);
    EXPECT_LE(s.procs_idle, 2U) << "this goroutine has one";
    EXPECT_GE(s.threads, 1U);
    EXPECT_LE(s.threads_idle, s.threads);
    EXPECT_LE(s.threads_spinning, s.threads);
}

TEST_F(stats_test, is_quiet_without_goroutines)
{
    EXPECT_TRUE(eventually(
        []
        {
            const weft::runtime_stats s = weft::stats();
            return s.goroutines == 0 && s.goroutines_runnable == 0 && s.goroutines_running == 0 &&
                   s.goroutines_waiting == 0 && s.timers == 0 && s.threads_spinning == 0 && s.procs_idle == s.procs &&
                   s.threads_idle == s.threads;
        }));
}

WEFT_TEST(stats_test, memory_adds_up)
{
    gate finish;
    weft::wait_group all;
    const std::size_t count = weft::test::scaled_live(1'000);
    for (std::size_t i = 0; i < count; ++i)
        all.go([&] { finish.wait(); });
    EXPECT_TRUE(eventually([&] { return weft::stats().goroutines_waiting == count; }));
    const weft::runtime_stats s = weft::stats();
    EXPECT_GE(s.stack_reserved, count * weft::default_stack_size);
    EXPECT_LE(s.stack_committed, s.stack_reserved);
    // Those that are hibernated meanwhile (WEFT_DEBUG=hibernate) have given theirs back.
    EXPECT_TRUE(eventually(
        [&]
        {
            const std::size_t committed = weft::stats().stack_committed;
            return committed >= (count - std::min<std::size_t>(weft::stats().goroutines_hibernated, count)) * 4'096;
        }));
    EXPECT_GE(s.control_blocks, count * weft::detail::inline_closure_bytes);
    finish.open();
    all.wait();
}

// Reading does not disturb and never tears, whoever asks.
TEST_F(stats_test, may_be_asked_by_many_at_once)
{
    std::atomic<bool> stop{false};
    std::atomic<int> odd{0};
    const auto ask = [&]
    {
        while (!stop) {
            const weft::runtime_stats s = weft::stats();
            odd += s.procs >= 1 && s.procs <= static_cast<std::uint64_t>(weft::max_procs_limit) ? 0 : 1;
            odd += s.goroutines > 1'000'000 ? 1 : 0;
            odd += s.goroutines_waiting > 1'000'000 || s.goroutines_runnable > 1'000'000 ? 1 : 0;
        }
    };
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t)
        threads.emplace_back(ask);
    weft::run(
        [&]
        {
            const procs restore(weft::max_procs());
            for (std::size_t i = 0; i < scaled(200); ++i) {
                weft::max_procs(1 + static_cast<int>(i % 4));
                weft::wait_group all;
                for (int g = 0; g < 20; ++g)
                    all.go([] { weft::yield(); });
                all.wait();
            }
        });
    stop = true;
    for (std::thread& t : threads)
        t.join();
    EXPECT_EQ(odd, 0);
}

}  // namespace
