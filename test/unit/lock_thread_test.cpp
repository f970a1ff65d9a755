// weft::lock_thread, unlock_thread and pin: a goroutine keeps its OS thread.
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace {

using lock_thread_test = weft::test::fixture;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;
using weft::test::thread_id;

// Every kind of park that there is.
void park_in_many_ways()
{
    weft::yield();
    weft::sleep_for(std::chrono::microseconds(20));
    weft::async([] { weft::yield(); }).get();
    (void)weft::async([] {}).wait_for(std::chrono::microseconds(5));
    weft::wait_group group;
    group.go([] { weft::yield(); });
    group.wait();
    weft::mutex m;
    m.lock();
    auto unlocker = weft::async([&] { m.unlock(); });
    m.lock();
    m.unlock();
    unlocker.get();
}

WEFT_TEST(lock_thread_test, the_thread_stays_the_same)
{
    const procs four(4);
    std::atomic<int> moved{0};
    weft::wait_group all;
    for (int g = 0; g < 10; ++g) {
        all.go(
            [&]
            {
                weft::lock_thread();
                const long own = thread_id();
                for (std::size_t i = 0; i < scaled(200); ++i) {
                    park_in_many_ways();
                    moved += own == thread_id() ? 0 : 1;
                }
                weft::unlock_thread();
            });
    }
    all.wait();
    EXPECT_EQ(moved, 0);
}

WEFT_TEST(lock_thread_test, nests)
{
    const procs two(2);
    const long own = thread_id();
    {
        const weft::pin outer;
        {
            const weft::pin inner;
            weft::lock_thread();
            weft::unlock_thread();
            park_in_many_ways();
        }
        for (int i = 0; i < 100; ++i) {
            weft::async([] {}).get();
            ASSERT_EQ(thread_id(), own) << "still locked by the outer one";
        }
    }
    EXPECT_THROW(weft::unlock_thread(), std::logic_error);
}

WEFT_TEST(lock_thread_test, unlock_without_lock_is_an_error)
{
    EXPECT_THROW(weft::unlock_thread(), std::logic_error);
    weft::lock_thread();
    weft::unlock_thread();
    EXPECT_THROW(weft::unlock_thread(), std::logic_error);
    weft::async([] { EXPECT_THROW(weft::unlock_thread(), std::logic_error); }).get();
}

WEFT_TEST(lock_thread_test, a_free_goroutine_moves_again)
{
    const procs two(2);
    {
        const weft::pin p;
        weft::yield();
    }
    EXPECT_TRUE(weft::test::migrate());
}

WEFT_TEST(lock_thread_test, the_lock_holds_against_migration)
{
    const procs two(2);
    const weft::pin p;
    const long own = thread_id();
    for (std::size_t i = 0; i < scaled(200); ++i) {
        weft::wait_group all;
        for (int g = 0; g < 3; ++g)
            all.go([] { weft::yield(); });
        weft::yield();
        ASSERT_EQ(thread_id(), own);
        all.wait();
        ASSERT_EQ(thread_id(), own);
    }
}

WEFT_TEST(lock_thread_test, the_others_go_on_elsewhere)
{
    // With a single P it must be handed over between the threads.
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        const weft::pin here;
        const long own = thread_id();
        std::atomic<int> intruders{0};
        std::atomic<std::size_t> steps{0};
        weft::wait_group all;
        for (std::size_t i = 0; i < scaled(200); ++i) {
            all.go(
                [&]
                {
                    for (int round = 0; round < 10; ++round) {
                        intruders += thread_id() == own ? 1 : 0;
                        ++steps;
                        weft::yield();
                    }
                });
        }
        for (int i = 0; i < 100; ++i)
            weft::yield();
        all.wait();
        EXPECT_EQ(intruders, 0) << n << " Ps";
        EXPECT_EQ(steps, scaled(200) * 10);
        EXPECT_EQ(thread_id(), own);
    }
}

WEFT_TEST(lock_thread_test, locked_goroutines_wake_each_other)
{
    for (const int n : {1, 2}) {
        const procs p(n);
        std::atomic<std::uint64_t> turn{0};
        const std::uint64_t rounds = scaled(1'000);
        weft::wait_group all;
        for (std::uint64_t side = 0; side < 2; ++side) {
            all.go(
                [&, side]
                {
                    const weft::pin here;
                    for (std::uint64_t i = 0; i < rounds; ++i) {
                        while (turn % 2 != side)
                            weft::yield();
                        ++turn;
                    }
                });
        }
        all.wait();
        EXPECT_EQ(turn, 2 * rounds);
    }
}

WEFT_TEST(lock_thread_test, many_locked_goroutines)
{
    const std::size_t count = std::min<std::size_t>(scaled(300), 300);
    weft::test::gate finish;
    std::atomic<std::size_t> locked{0};
    std::atomic<int> moved{0};
    weft::wait_group all;
    for (std::size_t i = 0; i < count; ++i) {
        all.go(
            [&]
            {
                const weft::pin p;
                const long own = thread_id();
                ++locked;
                finish.wait();
                moved += own == thread_id() ? 0 : 1;
            });
    }
    EXPECT_TRUE(eventually([&] { return locked == count; }));
    weft::async([] {}).get();
    finish.open();
    all.wait();
    EXPECT_EQ(moved, 0);
}

WEFT_TEST(lock_thread_test, an_exception_releases_a_pin)
{
    EXPECT_THROW(
        {
            const weft::pin p;
            throw std::runtime_error("out of the scope");
        },
        std::runtime_error);
    EXPECT_THROW(weft::unlock_thread(), std::logic_error);
}

TEST_F(lock_thread_test, has_no_effect_on_a_plain_thread)
{
    const long own = thread_id();
    {
        const weft::pin p;
        const weft::pin q;
        weft::yield();
        EXPECT_EQ(weft::async([] { return 1; }).get(), 1);
    }
    EXPECT_EQ(thread_id(), own);
}

// What the lock is for: state of the OS thread.
WEFT_TEST(lock_thread_test, thread_locals_stay_in_place)
{
    const procs four(4);
    static thread_local int value = 0;
    struct access {
        [[gnu::noinline]] static int& of_this_thread()
        {
            asm volatile("" ::: "memory");
            return value;
        }
    };
    std::atomic<int> wrong{0};
    weft::wait_group all;
    for (int g = 1; g <= 8; ++g) {
        all.go(
            [&, g]
            {
                const weft::pin p;
                access::of_this_thread() = g;
                for (std::size_t i = 0; i < scaled(200); ++i) {
                    weft::yield();
                    weft::async([] {}).get();
                    wrong += access::of_this_thread() == g ? 0 : 1;
                }
            });
    }
    all.wait();
    EXPECT_EQ(wrong, 0);
}

}  // namespace
