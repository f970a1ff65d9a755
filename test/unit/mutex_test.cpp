// weft::mutex: mutual exclusion between goroutines and plain threads.
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "weft/sync.hpp"

namespace {

using mutex_test = weft::test::fixture;
using weft::test::eventually;
using weft::test::gate;
using weft::test::procs;
using weft::test::scaled;

static_assert(sizeof(weft::mutex) == 8);
constinit weft::mutex constant_initialised;

WEFT_TEST(mutex_test, locks_and_unlocks)
{
    weft::mutex m;
    m.lock();
    EXPECT_FALSE(m.try_lock());
    m.unlock();
    EXPECT_TRUE(m.try_lock());
    EXPECT_FALSE(m.try_lock());
    m.unlock();
    const std::lock_guard guard(constant_initialised);
}

// Plain data under the mutex: a lost update shows as a wrong sum, and under TSan as a race.
void many_increment(int proc_count, std::size_t goroutines, std::size_t each, bool yield_inside)
{
    const procs p(proc_count);
    weft::mutex m;
    std::size_t sum = 0;
    std::size_t inside = 0;
    std::size_t violations = 0;
    weft::wait_group all;
    for (std::size_t g = 0; g < goroutines; ++g) {
        all.go(
            [&]
            {
                for (std::size_t i = 0; i < each; ++i) {
                    const std::lock_guard guard(m);
                    violations += inside;
                    ++inside;
                    if (yield_inside && i % 4 == 0)
                        weft::yield();
                    ++sum;
                    --inside;
                }
            });
    }
    all.wait();
    const std::lock_guard guard(m);
    EXPECT_EQ(sum, goroutines * each);
    EXPECT_EQ(violations, 0U);
}

WEFT_TEST(mutex_test, excludes_a_thousand_goroutines)
{
    for (const int n : {1, 2, 4})
        many_increment(n, 1'000, scaled(1'000), false);
}

WEFT_TEST(mutex_test, is_held_over_a_park)
{
    for (const int n : {1, 2, 4})
        many_increment(n, 1'000, scaled(100), true);
}

WEFT_TEST(mutex_test, is_held_over_a_sleep)
{
    const procs two(2);
    weft::mutex m;
    std::size_t sum = 0;
    weft::wait_group all;
    for (std::size_t g = 0; g < scaled(100); ++g) {
        all.go(
            [&]
            {
                const std::lock_guard guard(m);
                const std::size_t read = sum;
                weft::sleep_for(std::chrono::microseconds(50));
                sum = read + 1;
            });
    }
    all.wait();
    EXPECT_EQ(sum, scaled(100));
}

void threads_increment(std::size_t thread_count, std::size_t goroutines, std::size_t each)
{
    weft::mutex m;
    std::size_t sum = 0;
    std::vector<std::thread> threads;
    const auto work = [&]
    {
        for (std::size_t i = 0; i < each; ++i) {
            const std::lock_guard guard(m);
            ++sum;
        }
    };
    for (std::size_t t = 0; t < thread_count; ++t)
        threads.emplace_back(work);
    weft::wait_group all;
    for (std::size_t g = 0; g < goroutines; ++g)
        all.go(work);
    for (std::thread& t : threads)
        t.join();
    all.wait();
    EXPECT_EQ(sum, (thread_count + goroutines) * each);
}

TEST_F(mutex_test, excludes_plain_threads)
{
    threads_increment(8, 0, scaled(20'000));
}

TEST_F(mutex_test, excludes_threads_and_goroutines_together)
{
    threads_increment(6, 200, scaled(2'000));
}

WEFT_TEST(mutex_test, try_lock_never_waits)
{
    const procs two(2);
    weft::mutex m;
    std::size_t sum = 0;
    std::atomic<std::size_t> got{0};
    std::atomic<std::size_t> refused{0};
    weft::wait_group all;
    for (std::size_t g = 0; g < 100; ++g) {
        all.go(
            [&]
            {
                for (std::size_t i = 0; i < scaled(1'000); ++i) {
                    if (m.try_lock()) {
                        ++sum;
                        ++got;
                        if (i % 16 == 0)
                            weft::yield();
                        m.unlock();
                    } else {
                        ++refused;
                        weft::yield();
                    }
                }
            });
    }
    all.wait();
    EXPECT_EQ(sum, got);
    EXPECT_EQ(got + refused, 100 * scaled(1'000));
}

WEFT_TEST(mutex_test, unlock_of_an_unlocked_one_is_an_error)
{
    weft::mutex m;
    EXPECT_THROW(m.unlock(), std::logic_error);
    m.lock();
    m.unlock();
    EXPECT_THROW(m.unlock(), std::logic_error);
    EXPECT_TRUE(m.try_lock()) << "and it still works";
    m.unlock();
}

TEST_F(mutex_test, unlock_of_an_unlocked_one_is_an_error_on_a_plain_thread)
{
    weft::mutex m;
    EXPECT_THROW(m.unlock(), std::logic_error);
}

WEFT_TEST(mutex_test, another_goroutine_may_unlock)
{
    weft::mutex m;
    for (std::size_t i = 0; i < scaled(2'000); ++i) {
        m.lock();
        weft::go([&] { m.unlock(); });
        m.lock();
        m.unlock();
    }
}

WEFT_TEST(mutex_test, a_thread_may_unlock_for_a_goroutine)
{
    weft::mutex m;
    for (std::size_t i = 0; i < scaled(100); ++i) {
        m.lock();
        std::thread unlocker([&] { m.unlock(); });
        m.lock();
        m.unlock();
        unlocker.join();
    }
}

WEFT_TEST(mutex_test, all_waiters_finish)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        weft::mutex m;
        m.lock();
        const std::size_t count = weft::test::scaled_live(10'000);
        std::size_t through = 0;
        weft::wait_group all;
        for (std::size_t i = 0; i < count; ++i) {
            all.go(
                [&]
                {
                    const std::lock_guard guard(m);
                    ++through;
                });
        }
        EXPECT_TRUE(eventually([&] { return weft::stats().goroutines_waiting >= count; }));
        m.unlock();
        all.wait();
        EXPECT_EQ(through, count);
    }
}

// The holder takes it again and again without a pause: the one that waits must get it.
WEFT_TEST(mutex_test, a_waiter_is_not_starved)
{
    const procs two(2);
    weft::mutex m;
    std::atomic<bool> got{false};
    std::uint64_t rounds = 0;
    constexpr std::uint64_t out_of_proportion = 200'000'000;
    weft::wait_group waiter;
    m.lock();
    waiter.go(
        [&]
        {
            const std::lock_guard guard(m);
            got = true;
        });
    EXPECT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 1; }));
    while (!got && ++rounds < out_of_proportion) {
        m.unlock();
        m.lock();
    }
    EXPECT_TRUE(got) << rounds << " rounds";
    m.unlock();
    waiter.wait();
}

WEFT_TEST(mutex_test, scoped_lock_of_several)
{
    const procs four(4);
    weft::mutex a;
    weft::mutex b;
    weft::mutex c;
    std::size_t sum = 0;
    const std::size_t each = scaled(1'000);
    weft::wait_group all;
    for (std::size_t g = 0; g < 30; ++g) {
        all.go(
            [&, g]
            {
                for (std::size_t i = 0; i < each; ++i) {
                    if (g % 3 == 0) {
                        const std::scoped_lock guard(a, b, c);
                        ++sum;
                    } else if (g % 3 == 1) {
                        const std::scoped_lock guard(c, a, b);
                        ++sum;
                    } else {
                        const std::scoped_lock guard(b, c, a);
                        ++sum;
                    }
                }
            });
    }
    all.wait();
    EXPECT_EQ(sum, 30 * each);
}

WEFT_TEST(mutex_test, unique_lock_works)
{
    weft::mutex m;
    std::unique_lock lock(m, std::defer_lock);
    EXPECT_FALSE(lock.owns_lock());
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
    lock.lock();
    EXPECT_TRUE(lock.owns_lock());
}

WEFT_TEST(mutex_test, an_exception_inside_unlocks)
{
    weft::mutex m;
    for (int i = 0; i < 10; ++i) {
        EXPECT_THROW(
            {
                const std::lock_guard guard(m);
                weft::yield();
                throw std::runtime_error("inside");
            },
            std::runtime_error);
    }
    EXPECT_TRUE(m.try_lock());
    m.unlock();
}

// Whoever finds itself to be the last one, by a count outside of the mutex, frees the object that holds the mutex: all
// unlock() calls have returned. ASan and TSan see one that touches the mutex, or its queue, later still.
WEFT_TEST(mutex_test, may_be_destroyed_when_every_unlock_has_returned)
{
    const procs four(4);
    struct shared {
        weft::mutex m;
        int uses = 0;
        std::atomic<int> users{0};
    };
    for (std::size_t i = 0; i < scaled(5'000); ++i) {
        constexpr int users = 4;
        auto* const object = new shared;
        object->users = users;
        weft::wait_group all;
        for (int g = 0; g < users; ++g) {
            all.go(
                [object]
                {
                    {
                        const std::lock_guard guard(object->m);
                        ++object->uses;
                    }
                    if (--object->users == 0)
                        delete object;
                });
        }
        all.wait();
    }
}

// A transfer chain: each holder passes the mutex on to the one that waits, over goroutines and threads.
TEST_F(mutex_test, is_passed_between_the_two_worlds)
{
    weft::mutex m;
    std::size_t value = 0;
    const std::size_t rounds = scaled(3'000);
    const auto side = [&](std::size_t parity)
    {
        for (std::size_t done = 0; done < rounds;) {
            m.lock();
            const bool mine = value % 2 == parity;
            if (mine) {
                ++value;
                ++done;
            }
            m.unlock();
            if (!mine)
                weft::yield();
        }
    };
    auto goroutine = weft::async([&] { side(0); });
    side(1);
    goroutine.get();
    EXPECT_EQ(value, 2 * rounds);
}

void times_out()
{
    using namespace std::chrono_literals;
    weft::mutex m;
    m.lock();
    EXPECT_FALSE(m.try_lock_for(1ms));
    EXPECT_FALSE(m.try_lock_for(0ms));
    EXPECT_FALSE(m.try_lock_until(weft::clock::now() - 1h));
    EXPECT_FALSE(m.try_lock_until(weft::clock::now() + 1ms));
    EXPECT_FALSE(m.try_lock_until(std::chrono::steady_clock::now() + 1ms));
    EXPECT_FALSE(m.try_lock_until(std::chrono::system_clock::now() + 1ms));
    m.unlock();
    EXPECT_TRUE(m.try_lock_for(-1ms));
    weft::go([&] { m.unlock(); });
    EXPECT_TRUE(m.try_lock_for(1h));
    m.unlock();
    const std::unique_lock lock(m, 1h);
    EXPECT_TRUE(lock.owns_lock());
}

WEFT_TEST(mutex_test, times_out)
{
    times_out();
}

TEST_F(mutex_test, times_out_on_a_plain_thread)
{
    times_out();
}

// Between two that wait without a deadline, one with: the unlock passes it over.
WEFT_TEST(mutex_test, who_gives_up_does_not_hold_the_others_up)
{
    using namespace std::chrono_literals;
    for (std::size_t i = 0; i < scaled(50); ++i) {
        weft::mutex m;
        m.lock();
        int through = 0;
        const auto enter = [&]
        {
            const std::lock_guard guard(m);
            ++through;
        };
        weft::wait_group all;
        all.go(enter);
        all.go([&] { EXPECT_FALSE(m.try_lock_for(1ms)); });
        all.go([&] { EXPECT_FALSE(m.try_lock_for(2ms)); });
        all.go(enter);
        weft::sleep_for(3ms);
        // The two that had a deadline are gone, or about to go.
        EXPECT_TRUE(eventually([] { return weft::stats().goroutines_waiting == 2; }));
        m.unlock();
        all.wait();
        EXPECT_EQ(through, 2);
    }
}

// Deadlines and unlocks meet, in both worlds.
TEST_F(mutex_test, deadlines_race_with_unlocks)
{
    weft::mutex m;
    std::size_t sum = 0;
    std::atomic<std::size_t> got{0};
    const auto work = [&](std::size_t id)
    {
        for (std::size_t i = 0; i < scaled(1'000); ++i) {
            if (m.try_lock_for(std::chrono::microseconds((i * 7 + id * 13) % 50))) {
                ++sum;
                if (i % 8 == 0)
                    weft::sleep_for(std::chrono::microseconds(10));
                m.unlock();
                ++got;
            } else if (i % 16 == 0) {
                const std::lock_guard guard(m);
                ++sum;
                ++got;
            }
        }
    };
    std::vector<std::thread> threads;
    weft::wait_group all;
    for (std::size_t id = 0; id < 3; ++id)
        threads.emplace_back([&, id] { work(id); });
    for (std::size_t id = 0; id < 20; ++id)
        all.go([&, id] { work(id); });
    for (std::thread& t : threads)
        t.join();
    all.wait();
    EXPECT_EQ(sum, got);
    EXPECT_TRUE(m.try_lock());
    m.unlock();
}

}  // namespace
