// What Go's sync.WaitGroup (src/sync/waitgroup_test.go) and golang.org/x/sync/semaphore (semaphore_test.go) promise, of
// weft::wait_group and weft::counting_semaphore.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>

#include "../unit/fixture.hpp"
#include "weft/context.hpp"
#include "weft/sync.hpp"

namespace {

using conform_sync_wait_group = weft::test::fixture;
using conform_sync_semaphore = weft::test::fixture;
using namespace std::chrono_literals;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;

// TestWaitGroup: two groups, reused.
WEFT_TEST(conform_sync_wait_group, two_groups_in_turn)
{
    weft::wait_group first;
    weft::wait_group second;
    for (int round = 0; round < 8; ++round) {
        constexpr int n = 16;
        std::atomic<int> exited{0};
        first.add(n);
        second.add(n);
        weft::wait_group all;
        for (int i = 0; i < n; ++i) {
            all.go(
                [&]
                {
                    first.done();
                    second.wait();
                    ++exited;
                });
        }
        first.wait();
        for (int i = 0; i < n; ++i) {
            EXPECT_EQ(exited, 0) << "the second group let somebody go too early";
            second.done();
        }
        all.wait();
        EXPECT_EQ(exited, n);
    }
}

// TestWaitGroupMisuse.
WEFT_TEST(conform_sync_wait_group, a_negative_counter)
{
    weft::wait_group g;
    g.add(1);
    g.done();
    EXPECT_THROW(g.done(), std::logic_error);
}

// TestWaitGroupRace: an add beside a wait that finds zero.
WEFT_TEST(conform_sync_wait_group, add_beside_done)
{
    const procs two(2);
    for (std::size_t i = 0; i < scaled(1'000); ++i) {
        weft::wait_group g;
        std::atomic<int> n{0};
        g.add(1);
        weft::go(
            [&]
            {
                ++n;
                g.done();
            });
        g.add(1);
        weft::go(
            [&]
            {
                ++n;
                g.done();
            });
        g.wait();
        EXPECT_EQ(n, 2);
    }
}

// TestWaitGroupGo.
WEFT_TEST(conform_sync_wait_group, go)
{
    weft::wait_group g;
    int i = 0;
    g.go([&] { ++i; });
    g.wait();
    EXPECT_EQ(i, 1);
}

// TestWeighted: many of different weight, never more than the size.
WEFT_TEST(conform_sync_semaphore, weighted)
{
    const procs four(4);
    constexpr std::ptrdiff_t size = 4;
    weft::counting_semaphore<size> s(size);
    std::atomic<std::ptrdiff_t> held{0};
    std::atomic<int> violations{0};
    weft::wait_group all;
    for (std::ptrdiff_t weight = 1; weight <= size; ++weight) {
        for (int g = 0; g < 4; ++g) {
            all.go(
                [&, weight]
                {
                    for (std::size_t i = 0; i < scaled(500); ++i) {
                        s.acquire(weight);
                        violations += (held += weight) > size;
                        weft::yield();
                        held -= weight;
                        s.release(weight);
                    }
                });
        }
    }
    all.wait();
    EXPECT_EQ(violations, 0);
    EXPECT_TRUE(s.try_acquire(size));
}

// TestWeightedPanic: more is given back than was held.
WEFT_TEST(conform_sync_semaphore, more_than_its_size)
{
    weft::counting_semaphore<1> s(1);
    EXPECT_THROW(s.release(1), std::logic_error);
}

// TestWeightedTryAcquire and TestWeightedAcquire: what is there is had, what is not waits for the context.
WEFT_TEST(conform_sync_semaphore, try_and_acquire)
{
    weft::counting_semaphore<2> s(2);
    EXPECT_TRUE(s.try_acquire(1));
    EXPECT_TRUE(s.try_acquire(1));
    EXPECT_FALSE(s.try_acquire(1));
    EXPECT_EQ(s.acquire(1, weft::with_timeout(weft::background(), 1ms)), weft::context_errc::deadline_exceeded);
    s.release(2);
    EXPECT_TRUE(s.try_acquire(1));
    s.release(1);
    EXPECT_FALSE(s.acquire(2, weft::background()));
}

// TestWeightedDoesntBlockIfTooBig, in our own way: more than there can ever be is an error at once.
WEFT_TEST(conform_sync_semaphore, too_much)
{
    weft::counting_semaphore<2> s(2);
    EXPECT_THROW(s.acquire(3), std::logic_error);
    EXPECT_FALSE(s.try_acquire(3));
    EXPECT_TRUE(s.try_acquire(2)) << "nobody is held up";
}

// TestLargeAcquireDoesntStarve: one that wants all of it gets it, however many small ones come.
WEFT_TEST(conform_sync_semaphore, a_large_one_does_not_starve)
{
    const procs four(4);
    constexpr std::ptrdiff_t size = 8;
    weft::counting_semaphore<size> s(size);
    std::atomic<bool> stop{false};
    weft::wait_group all;
    for (std::ptrdiff_t i = 0; i < size; ++i) {
        all.go(
            [&]
            {
                while (!stop) {
                    s.acquire();
                    weft::yield();
                    s.release();
                }
            });
    }
    for (int i = 0; i < 20; ++i) {
        s.acquire(size);
        s.release(size);
    }
    stop = true;
    all.wait();
}

// TestAllocCancelDoesntStarve: one that wants much gives up, and one that wants little passes.
WEFT_TEST(conform_sync_semaphore, who_is_canceled_lets_others_pass)
{
    weft::counting_semaphore<10> s(10);
    s.acquire(1);
    auto ctx = weft::with_cancel(weft::background());
    weft::wait_group all;
    all.go([&] { EXPECT_EQ(s.acquire(10, ctx), weft::context_errc::canceled); });
    EXPECT_TRUE(eventually([&] { return !s.try_acquire(0); }));
    std::atomic<bool> got{false};
    all.go(
        [&]
        {
            s.acquire(1);
            got = true;
        });
    EXPECT_FALSE(got);
    ctx.cancel();
    all.wait();
    EXPECT_TRUE(got);
}

// TestWeightedAcquireCanceled: the last moment belongs to one side: canceled with nothing held, or held.
WEFT_TEST(conform_sync_semaphore, canceled_holds_nothing)
{
    const procs two(2);
    for (std::size_t i = 0; i < scaled(2'000); ++i) {
        weft::counting_semaphore<2> s(2);
        s.acquire(2);
        auto ctx = weft::with_cancel(weft::background());
        weft::wait_group all;
        all.go([&] { ctx.cancel(); });
        all.go([&] { s.release(1); });
        const bool held = !s.acquire(1, ctx);
        all.wait();
        EXPECT_EQ(s.try_acquire(1), !held);
    }
}

}  // namespace
