// weft::counting_semaphore and binary_semaphore.
#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "weft/semaphore.hpp"

namespace {

using semaphore_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;

static_assert(sizeof(weft::counting_semaphore<>) == 8 && sizeof(weft::binary_semaphore) == 8);
static_assert(weft::binary_semaphore::max() == 1 && weft::counting_semaphore<7>::max() == 7);
constinit weft::counting_semaphore<3> constant_initialised(3);

bool waiting(std::uint64_t n)
{
    return eventually([n] { return weft::stats().goroutines_waiting >= n; });
}

WEFT_TEST(semaphore_test, counts)
{
    weft::counting_semaphore<3> s(2);
    s.acquire();
    EXPECT_TRUE(s.try_acquire());
    EXPECT_FALSE(s.try_acquire());
    s.release(3);
    s.acquire(3);
    EXPECT_FALSE(s.try_acquire());
    EXPECT_TRUE(s.try_acquire(0));
    s.release(2);
    EXPECT_FALSE(s.try_acquire(3));
    EXPECT_TRUE(s.try_acquire(2));
    constant_initialised.acquire(3);
    constant_initialised.release(3);
}

WEFT_TEST(semaphore_test, misuse_is_an_error)
{
    weft::counting_semaphore<3> s(3);
    EXPECT_THROW(s.release(), std::logic_error);
    EXPECT_THROW(s.release(-1), std::logic_error);
    EXPECT_THROW(s.acquire(-1), std::logic_error);
    EXPECT_THROW(s.acquire(4), std::logic_error) << "it would wait for ever";
    EXPECT_FALSE(s.try_acquire(-1));
    EXPECT_FALSE(s.try_acquire(4));
    s.acquire(2);
    EXPECT_THROW(s.release(3), std::logic_error);
    s.release(2);
    EXPECT_TRUE(s.try_acquire(3)) << "the number stayed as it was";
    EXPECT_THROW(weft::counting_semaphore<3>(4), std::logic_error);
    EXPECT_THROW(weft::counting_semaphore<3>(-1), std::logic_error);
    weft::counting_semaphore<> large(weft::counting_semaphore<>::max());
    EXPECT_THROW(large.release(), std::logic_error);
    EXPECT_THROW(large.release(std::numeric_limits<std::ptrdiff_t>::max()), std::logic_error);
}

template <std::ptrdiff_t Permits>
void limits(std::size_t goroutines, std::size_t threads_count)
{
    weft::counting_semaphore<Permits> s(Permits);
    std::atomic<std::ptrdiff_t> inside{0};
    std::atomic<std::size_t> violations{0};
    std::uint64_t sum = 0;
    const std::size_t each = scaled(1'000);
    const auto work = [&]
    {
        for (std::size_t i = 0; i < each; ++i) {
            s.acquire();
            if (++inside > Permits)
                ++violations;
            if constexpr (Permits == 1)
                ++sum;
            if (i % 8 == 0)
                weft::yield();
            --inside;
            s.release();
        }
    };
    std::vector<std::thread> threads;
    weft::wait_group all;
    for (std::size_t i = 0; i < threads_count; ++i)
        threads.emplace_back(work);
    for (std::size_t i = 0; i < goroutines; ++i)
        all.go(work);
    for (std::thread& t : threads)
        t.join();
    all.wait();
    EXPECT_EQ(violations, 0U);
    if constexpr (Permits == 1) {
        EXPECT_EQ(sum, (goroutines + threads_count) * each);
    }
    EXPECT_TRUE(s.try_acquire(Permits));
}

WEFT_TEST(semaphore_test, limits_goroutines)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        limits<1>(30, 0);
        limits<3>(30, 0);
    }
}

TEST_F(semaphore_test, limits_threads_and_goroutines)
{
    limits<1>(10, 4);
    limits<2>(20, 3);
    limits<1>(0, 4);
}

WEFT_TEST(semaphore_test, serves_in_order)
{
    weft::counting_semaphore<> s(0);
    std::vector<int> served;
    weft::binary_semaphore turn(1);
    weft::wait_group all;
    for (int i = 0; i < 10; ++i) {
        all.go(
            [&, i]
            {
                s.acquire();
                turn.acquire();
                served.push_back(i);
                turn.release();
            });
        EXPECT_TRUE(waiting(static_cast<std::uint64_t>(i) + 1));
    }
    for (int i = 0; i < 10; ++i) {
        s.release();
        EXPECT_FALSE(s.try_acquire()) << "the permit belongs to the one that waits";
        EXPECT_TRUE(eventually(
            [&]
            {
                turn.acquire();
                const bool done = served.size() == static_cast<std::size_t>(i) + 1;
                turn.release();
                return done;
            }));
    }
    all.wait();
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(served[static_cast<std::size_t>(i)], i);
}

WEFT_TEST(semaphore_test, one_that_wants_many_is_not_overtaken)
{
    weft::counting_semaphore<4> s(3);
    weft::wait_group all;
    std::atomic<int> order{0};
    int large = 0;
    int small = 0;
    all.go(
        [&]
        {
            s.acquire(4);
            large = ++order;
            s.release(4);
        });
    EXPECT_TRUE(waiting(1));
    EXPECT_FALSE(s.try_acquire()) << "there are permits, but somebody waits";
    all.go(
        [&]
        {
            s.acquire();
            small = ++order;
            s.release();
        });
    EXPECT_TRUE(waiting(2));
    s.release();
    all.wait();
    EXPECT_EQ(large, 1);
    EXPECT_EQ(small, 2);
}

WEFT_TEST(semaphore_test, one_that_gives_up_lets_those_behind_it_pass)
{
    weft::counting_semaphore<4> s(1);
    weft::wait_group all;
    all.go([&] { EXPECT_FALSE(s.try_acquire_for(20ms, 4)); });
    EXPECT_TRUE(waiting(1));
    all.go([&] { s.acquire(); });
    all.wait();
    EXPECT_FALSE(s.try_acquire());
}

WEFT_TEST(semaphore_test, times_out)
{
    weft::binary_semaphore s(0);
    EXPECT_FALSE(s.try_acquire_for(1ms));
    EXPECT_FALSE(s.try_acquire_for(-1s));
    EXPECT_FALSE(s.try_acquire_until(weft::clock::now() + 1ms));
    EXPECT_FALSE(s.try_acquire_until(std::chrono::system_clock::now() + 1ms));
    s.release();
    EXPECT_TRUE(s.try_acquire_for(-1s));
    weft::go([&] { s.release(); });
    EXPECT_TRUE(s.try_acquire_for(1h));
}

TEST_F(semaphore_test, times_out_on_a_plain_thread)
{
    weft::binary_semaphore s(0);
    EXPECT_FALSE(s.try_acquire_for(1ms));
    weft::go([&] { s.release(); });
    EXPECT_TRUE(s.try_acquire_for(1h));
}

TEST_F(semaphore_test, deadlines_race_with_releases)
{
    weft::counting_semaphore<> s(0);
    std::atomic<std::uint64_t> got{0};
    std::atomic<std::uint64_t> given{0};
    const auto take = [&](std::size_t id)
    {
        for (std::size_t i = 0; i < scaled(1'000); ++i) {
            const auto n = static_cast<std::ptrdiff_t>(i % 3);
            if (s.try_acquire_for(std::chrono::microseconds((i * 7 + id * 3) % 40), n))
                got += static_cast<std::uint64_t>(n);
        }
    };
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    weft::wait_group all;
    weft::wait_group giver;
    giver.go(
        [&]
        {
            while (!stop) {
                s.release(2);
                given += 2;
                weft::yield();
            }
        });
    for (std::size_t id = 0; id < 3; ++id)
        threads.emplace_back([&, id] { take(id); });
    for (std::size_t id = 0; id < 10; ++id)
        all.go([&, id] { take(id); });
    for (std::thread& t : threads)
        t.join();
    all.wait();
    stop = true;
    giver.wait();
    const auto left = static_cast<std::ptrdiff_t>(given - got);
    EXPECT_TRUE(s.try_acquire(left));
    EXPECT_FALSE(s.try_acquire());
}

// Gone as soon as the one that waits has its permit.
WEFT_TEST(semaphore_test, may_be_destroyed_when_acquired)
{
    const procs four(4);
    for (std::size_t i = 0; i < scaled(3'000); ++i) {
        auto s = std::make_unique<weft::binary_semaphore>(0);
        weft::go([raw = s.get()] { raw->release(); });
        s->acquire();
    }
}

}  // namespace
