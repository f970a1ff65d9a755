// weft::yield: everybody gets a turn, whatever the others do.
//
// Starvation shows as a count out of proportion, not as a time: somebody made a very large number of steps while
// another one made none.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace {

using yield_test = weft::test::fixture;
using weft::test::scaled;

constexpr std::uint64_t out_of_proportion = 20'000'000;

void all_yielders_progress(int procs, std::size_t yielders)
{
    const weft::test::procs p(procs);
    const std::uint64_t enough = scaled(1'000);
    std::vector<std::atomic<std::uint64_t>> steps(yielders);
    std::atomic<std::size_t> reached{0};
    std::atomic<bool> starved{false};
    weft::wait_group all;
    for (std::size_t i = 0; i < yielders; ++i) {
        all.go(
            [&, i]
            {
                while (reached < yielders && !starved) {
                    const std::uint64_t n = steps[i].fetch_add(1, std::memory_order_relaxed) + 1;
                    if (n == enough)
                        ++reached;
                    if (n > out_of_proportion)
                        starved = true;
                    weft::yield();
                }
            });
    }
    all.wait();
    EXPECT_FALSE(starved) << yielders << " yielders on " << procs << " Ps";
}

WEFT_TEST(yield_test, all_yielders_progress)
{
    for (const int procs : {1, 2, 4}) {
        all_yielders_progress(procs, 2);
        all_yielders_progress(procs, 100);
    }
    all_yielders_progress(2, weft::test::scaled_live(5'000));
}

WEFT_TEST(yield_test, alone_it_returns)
{
    for (std::size_t i = 0; i < scaled(100'000); ++i)
        weft::yield();
}

TEST_F(yield_test, works_on_a_plain_thread)
{
    for (int i = 0; i < 100; ++i)
        weft::yield();
}

void newcomer_runs_beside_yielders(int procs, bool from_thread)
{
    const weft::test::procs p(procs);
    std::atomic<bool> stop{false};
    std::atomic<bool> starved{false};
    std::atomic<int> running{0};
    constexpr int yielders = 8;
    weft::wait_group all;
    constexpr std::int64_t not_yet = std::numeric_limits<std::int64_t>::min();
    std::atomic<std::int64_t> since{not_yet};  // how many yields the newcomer has waited for
    for (int i = 0; i < yielders; ++i) {
        all.go(
            [&]
            {
                ++running;
                while (!stop && !starved) {
                    if (since.fetch_add(1, std::memory_order_relaxed) > static_cast<std::int64_t>(out_of_proportion))
                        starved = true;
                    weft::yield();
                }
            });
    }
    while (running < yielders)
        weft::yield();
    for (std::size_t i = 0; i < scaled(200) && !starved; ++i) {
        since = not_yet;
        weft::test::gate ran;
        const auto start = [&]
        {
            weft::go([&] { ran.open(); });
            since = 0;
        };
        if (from_thread)
            std::thread(start).join();
        else
            start();
        ran.wait();
    }
    EXPECT_FALSE(starved) << procs << " Ps, started from a " << (from_thread ? "plain thread" : "goroutine");
    stop = true;
    all.wait();
}

WEFT_TEST(yield_test, a_newcomer_is_not_starved_by_yielders)
{
    for (const int procs : {1, 2}) {
        newcomer_runs_beside_yielders(procs, false);
        newcomer_runs_beside_yielders(procs, true);
    }
}

// Each link starts the next one and ends: whoever was started last tends to run first.
struct chain {
    std::atomic<bool> stop{false};
    std::atomic<bool> starved{false};
    std::atomic<std::uint64_t> links{0};
    weft::test::gate ended;

    void link()
    {
        if (links.fetch_add(1, std::memory_order_relaxed) > out_of_proportion)
            starved = true;
        if (stop || starved)
            ended.open();
        else
            weft::go([this] { link(); });
    }
};

WEFT_TEST(yield_test, a_chain_of_starts_does_not_starve_a_yielder)
{
    for (const int procs : {1, 2}) {
        const weft::test::procs p(procs);
        chain c;
        std::atomic<std::uint64_t> steps{0};
        const std::uint64_t enough = scaled(1'000);
        weft::wait_group yielder;
        yielder.go(
            [&]
            {
                while (steps.fetch_add(1, std::memory_order_relaxed) < enough && !c.starved)
                    weft::yield();
            });
        weft::go([&] { c.link(); });
        yielder.wait();
        EXPECT_FALSE(c.starved) << procs << " Ps, " << steps << " steps";
        c.stop = true;
        c.ended.wait();
    }
}

// Two goroutines that wake each other all the time.
WEFT_TEST(yield_test, a_pair_that_wakes_each_other_does_not_starve_a_third)
{
    for (const int procs : {1, 2}) {
        const weft::test::procs p(procs);
        std::atomic<bool> stop{false};
        std::atomic<bool> starved{false};
        std::atomic<std::uint64_t> rounds{0};
        weft::wait_group pair;
        pair.go(
            [&]
            {
                while (!stop && !starved) {
                    if (rounds.fetch_add(1, std::memory_order_relaxed) > out_of_proportion)
                        starved = true;
                    weft::async([] {}).get();
                }
            });
        std::uint64_t steps = 0;
        for (; steps < scaled(1'000) && !starved; ++steps)
            weft::yield();
        EXPECT_FALSE(starved) << procs << " Ps, " << steps << " steps";
        stop = true;
        pair.wait();
    }
}

// The same where each step takes long enough for the scheduler to look around each time, and where there are always new
// goroutines to run as well.
WEFT_TEST(yield_test, a_slow_pair_that_starts_goroutines_does_not_starve_a_third)
{
    const weft::test::procs one(1);
    constexpr std::uint64_t many_rounds = 100'000;
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> steps{0};
    std::atomic<std::uint64_t> rounds{0};
    std::array<weft::mutex, 2> turns;  // locked: not this side's turn
    turns[0].lock();
    turns[1].lock();
    const std::uint64_t enough = scaled(500);
    weft::wait_group all;
    for (std::size_t side = 0; side < 2; ++side) {
        all.go(
            [&, side]
            {
                while (!stop) {
                    turns[side].lock();
                    const auto until = weft::clock::now() + std::chrono::microseconds(20);
                    while (weft::clock::now() < until) {
                    }
                    weft::go([] {});
                    if (++rounds > many_rounds || steps >= enough)
                        stop = true;
                    turns[1 - side].unlock();
                }
            });
    }
    turns[0].unlock();
    while (!stop) {
        ++steps;
        weft::yield();
    }
    EXPECT_LE(rounds, many_rounds) << steps << " steps";
    all.wait();
}

// A spawner that never yields itself, only starts goroutines, faster than they can run.
WEFT_TEST(yield_test, yielders_are_not_starved_by_a_spawner)
{
    const weft::test::procs two(2);
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> steps{0};
    weft::wait_group all;
    all.go(
        [&]
        {
            while (!stop) {
                ++steps;
                weft::yield();
            }
        });
    const std::size_t enough = scaled(1'000);
    std::size_t batches = 0;
    constexpr std::size_t many_batches = 200'000;
    for (; steps < enough && batches < many_batches; ++batches) {
        weft::wait_group batch;
        for (int i = 0; i < 50; ++i)
            batch.go([] {});
        batch.wait();
    }
    EXPECT_LT(batches, many_batches) << steps << " steps";
    stop = true;
    all.wait();
}

}  // namespace
