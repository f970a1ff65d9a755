// sys/futex.hpp and sys/lock.hpp: sleeping on a word, and the runtime's own lock.
#include "sys/futex.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "../../support/scale.hpp"
#include "sys/clock.hpp"
#include "sys/lock.hpp"

namespace {

using weft::sys::futex_wait;
using weft::sys::futex_wait_until;
using weft::sys::futex_wake;
using weft::sys::monotonic_now;

using word = weft::base::atomic<std::uint32_t>;

TEST(futex_test, another_value_does_not_sleep)
{
    const word w{5};
    futex_wait(w, 4);
    EXPECT_TRUE(futex_wait_until(w, 4, monotonic_now() + 3'600'000'000'000));
}

TEST(futex_test, a_deadline_passes)
{
    const word w{0};
    const std::int64_t deadline = monotonic_now() + 2'000'000;
    while (futex_wait_until(w, 0, deadline)) {
    }
    EXPECT_GE(monotonic_now(), deadline);
    EXPECT_FALSE(futex_wait_until(w, 0, monotonic_now() - 1));
    EXPECT_FALSE(futex_wait_until(w, 0, 0));
}

TEST(futex_test, a_wake_ends_the_sleep)
{
    for (std::size_t i = 0; i < weft::test::scaled(200); ++i) {
        word w{0};
        std::thread sleeper(
            [&]
            {
                while (w.load() == 0)
                    futex_wait(w, 0);
            });
        w.store(1);
        futex_wake(&w, 1);
        sleeper.join();
    }
}

TEST(lock_test, excludes)
{
    weft::sys::lock_word lock;
    std::size_t sum = 0;
    std::vector<std::thread> threads;
    const std::size_t each = weft::test::scaled(50'000);
    for (int t = 0; t < 6; ++t) {
        threads.emplace_back(
            [&]
            {
                for (std::size_t i = 0; i < each; ++i) {
                    const std::lock_guard guard(lock);
                    ++sum;
                }
            });
    }
    for (std::thread& t : threads)
        t.join();
    EXPECT_EQ(sum, 6 * each);
}

TEST(lock_test, try_lock_tells_whether)
{
    weft::sys::lock_word lock;
    EXPECT_TRUE(lock.try_lock());
    EXPECT_FALSE(lock.try_lock());
    lock.unlock();
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
}

TEST(lock_test, sleepers_get_it)
{
    weft::sys::lock_word lock;
    for (std::size_t i = 0; i < weft::test::scaled(100); ++i) {
        lock.lock();
        std::thread other(
            [&]
            {
                lock.lock();
                lock.unlock();
            });
        std::this_thread::yield();
        lock.unlock();
        other.join();
    }
}

TEST(clock_test, goes_forward_with_the_steady_clock)
{
    const auto steady = std::chrono::steady_clock::now().time_since_epoch();
    const std::int64_t own = monotonic_now();
    EXPECT_GE(own, std::chrono::duration_cast<std::chrono::nanoseconds>(steady).count());
    std::int64_t last = own;
    for (int i = 0; i < 10'000; ++i) {
        const std::int64_t now = monotonic_now();
        ASSERT_GE(now, last);
        last = now;
    }
}

}  // namespace
