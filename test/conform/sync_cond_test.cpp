// What Go's sync.Cond promises (src/sync/cond_test.go), of weft::condition_variable.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <vector>

#include "../unit/fixture.hpp"
#include "weft/sync.hpp"

namespace {

using conform_sync_cond = weft::test::fixture;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;

// TestCondSignal: each signal wakes one and no more.
WEFT_TEST(conform_sync_cond, signal_wakes_one)
{
    weft::mutex m;
    weft::condition_variable c;
    constexpr int n = 2;
    int running = 0;
    int awake = 0;
    weft::wait_group all;
    for (int i = 0; i < n; ++i) {
        all.go(
            [&]
            {
                std::unique_lock lock(m);
                ++running;
                c.wait(lock);
                ++awake;
            });
    }
    const auto locked = [&m](auto condition)
    {
        return eventually(
            [&]
            {
                const std::lock_guard guard(m);
                return condition();
            });
    };
    EXPECT_TRUE(locked([&] { return running == n; }));
    for (int i = 1; i <= n; ++i) {
        {
            const std::lock_guard guard(m);
            EXPECT_EQ(awake, i - 1) << "one woke without a signal";
            c.notify_one();
        }
        EXPECT_TRUE(locked([&] { return awake == i; }));
    }
    c.notify_one();
    all.wait();
}

// TestCondSignalGenerations: who began to wait earlier wakes earlier.
WEFT_TEST(conform_sync_cond, signal_by_generation)
{
    weft::mutex m;
    weft::condition_variable c;
    constexpr int n = 100;
    int running = 0;
    std::vector<int> awake;
    weft::wait_group all;
    for (int i = 0; i < n; ++i) {
        all.go(
            [&, i]
            {
                std::unique_lock lock(m);
                ++running;
                c.wait(lock);
                awake.push_back(i);
            });
        std::size_t before = 0;
        EXPECT_TRUE(eventually(
            [&]
            {
                const std::lock_guard guard(m);
                before = awake.size();
                return running == i + 1;
            }));
        if (i > 0) {
            {
                const std::lock_guard guard(m);
                c.notify_one();
            }
            EXPECT_TRUE(eventually(
                [&]
                {
                    const std::lock_guard guard(m);
                    return awake.size() == before + 1;
                }));
        }
    }
    {
        const std::lock_guard guard(m);
        c.notify_one();
    }
    all.wait();
    ASSERT_EQ(awake.size(), std::size_t{n});
    for (int i = 0; i < n; ++i)
        EXPECT_EQ(awake[static_cast<std::size_t>(i)], i);
}

// TestCondBroadcast: all wake, each once a broadcast, and nobody without one.
WEFT_TEST(conform_sync_cond, broadcast_wakes_all)
{
    weft::mutex m;
    weft::condition_variable c;
    const std::size_t n = scaled(200);
    std::size_t running = 0;
    std::size_t awake = 0;
    bool leave = false;
    weft::wait_group all;
    for (std::size_t i = 0; i < n; ++i) {
        all.go(
            [&]
            {
                std::unique_lock lock(m);
                while (!leave) {
                    ++running;
                    c.wait(lock);
                    ++awake;
                }
            });
    }
    for (int round = 0; round < 20; ++round) {
        EXPECT_TRUE(eventually(
            [&]
            {
                const std::lock_guard guard(m);
                return running == n;
            }));
        {
            const std::lock_guard guard(m);
            EXPECT_EQ(awake, round == 0 ? 0 : n);
            running = 0;
            awake = 0;
            leave = round == 19;
            c.notify_all();
        }
    }
    all.wait();
    EXPECT_EQ(awake, n);
}

// TestRace: three that pass a value on by broadcasts.
WEFT_TEST(conform_sync_cond, a_value_goes_round)
{
    const procs two(2);
    weft::mutex m;
    weft::condition_variable c;
    int x = 0;
    weft::wait_group all;
    all.go(
        [&]
        {
            std::unique_lock lock(m);
            x = 1;
            c.wait(lock, [&] { return x == 2; });
            x = 3;
            c.notify_all();
        });
    all.go(
        [&]
        {
            std::unique_lock lock(m);
            while (x != 1) {
                lock.unlock();
                weft::yield();
                lock.lock();
            }
            x = 2;
            c.notify_all();
            c.wait(lock, [&] { return x == 3; });
        });
    all.wait();
    EXPECT_EQ(x, 3);
}

// BenchmarkCond's shape: many that hand one token round by broadcast.
WEFT_TEST(conform_sync_cond, a_token_goes_round)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        weft::mutex m;
        weft::condition_variable c;
        constexpr std::size_t members = 8;
        std::size_t turn = 0;
        const std::size_t last = scaled(4'000) / members * members;
        weft::wait_group all;
        for (std::size_t id = 0; id < members; ++id) {
            all.go(
                [&, id]
                {
                    std::unique_lock lock(m);
                    for (;;) {
                        c.wait(lock, [&] { return turn >= last || turn % members == id; });
                        if (turn >= last)
                            break;
                        ++turn;
                        c.notify_all();
                    }
                });
        }
        all.wait();
        EXPECT_EQ(turn, last);
    }
}

}  // namespace
