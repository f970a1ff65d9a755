// weft::shared_mutex: many readers or one writer.
#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "weft/shared_mutex.hpp"

namespace {

using shared_mutex_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;

static_assert(sizeof(weft::shared_mutex) <= 16);
constinit weft::shared_mutex constant_initialised;

bool somebody_waits(std::uint64_t n = 1)
{
    return eventually([n] { return weft::stats().goroutines_waiting >= n; });
}

WEFT_TEST(shared_mutex_test, locks_and_unlocks)
{
    weft::shared_mutex m;
    m.lock();
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_shared());
    m.unlock();
    m.lock_shared();
    EXPECT_TRUE(m.try_lock_shared());
    EXPECT_FALSE(m.try_lock());
    m.unlock_shared();
    EXPECT_FALSE(m.try_lock());
    m.unlock_shared();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
    const std::shared_lock guard(constant_initialised);
}

// Data under it: a reader beside a writer sees the two halves differ, and under TSan it is a race.
struct guarded {
    weft::shared_mutex m;
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    std::atomic<std::uint64_t> violations{0};
    std::atomic<std::uint64_t> reads{0};

    void write(bool yield_inside)
    {
        const std::unique_lock guard(m);
        ++a;
        if (yield_inside)
            weft::yield();
        ++b;
    }
    void read(bool yield_inside)
    {
        const std::shared_lock guard(m);
        const std::uint64_t seen = a;
        if (yield_inside)
            weft::yield();
        if (seen != b || seen != a)
            ++violations;
        ++reads;
    }
    void mixed(std::size_t id, std::size_t each)
    {
        for (std::size_t i = 0; i < each; ++i) {
            if ((i + id) % 8 == 0)
                write(i % 3 == 0);
            else
                read(i % 5 == 0);
        }
    }
};

WEFT_TEST(shared_mutex_test, excludes_goroutines)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        guarded g;
        weft::wait_group all;
        for (std::size_t id = 0; id < 64; ++id)
            all.go([&, id] { g.mixed(id, scaled(1'000)); });
        all.wait();
        EXPECT_EQ(g.violations, 0U);
        EXPECT_EQ(g.a, g.b);
        EXPECT_EQ(g.a + g.reads, 64 * scaled(1'000));
        EXPECT_TRUE(g.m.try_lock());
        g.m.unlock();
    }
}

TEST_F(shared_mutex_test, excludes_threads_and_goroutines_together)
{
    guarded g;
    std::vector<std::thread> threads;
    weft::wait_group all;
    for (std::size_t id = 0; id < 4; ++id)
        threads.emplace_back([&, id] { g.mixed(id, scaled(3'000)); });
    for (std::size_t id = 0; id < 32; ++id)
        all.go([&, id] { g.mixed(id, scaled(1'000)); });
    for (std::thread& t : threads)
        t.join();
    all.wait();
    EXPECT_EQ(g.violations, 0U);
    EXPECT_EQ(g.a, g.b);
}

WEFT_TEST(shared_mutex_test, readers_are_inside_together)
{
    weft::shared_mutex m;
    constexpr int count = 100;
    std::atomic<int> inside{0};
    weft::wait_group all;
    for (int i = 0; i < count; ++i) {
        all.go(
            [&]
            {
                const std::shared_lock guard(m);
                ++inside;
                EXPECT_TRUE(eventually([&] { return inside == count; }));
            });
    }
    all.wait();
}

WEFT_TEST(shared_mutex_test, a_waiting_writer_holds_new_readers_back_and_they_go_after_it)
{
    weft::shared_mutex m;
    std::vector<int> order;  // guarded by m, except among readers
    std::atomic<int> readers{0};
    m.lock_shared();
    weft::wait_group all;
    all.go(
        [&]
        {
            const std::unique_lock guard(m);
            order.push_back(1);
        });
    EXPECT_TRUE(somebody_waits());
    EXPECT_FALSE(m.try_lock_shared()) << "a writer waits";
    all.go(
        [&]
        {
            const std::shared_lock guard(m);
            EXPECT_EQ(order, std::vector<int>{1});
            ++readers;
        });
    all.go(
        [&]
        {
            const std::shared_lock guard(m);
            ++readers;
        });
    EXPECT_TRUE(somebody_waits(3));
    weft::wait_group second;
    second.go(
        [&]
        {
            const std::unique_lock guard(m);
            EXPECT_EQ(readers, 2) << "the readers who waited for the first writer go before the second one";
        });
    EXPECT_TRUE(somebody_waits(4));
    EXPECT_EQ(readers, 0);
    m.unlock_shared();
    all.wait();
    second.wait();
}

// Readers overlap for ever, and the writer still gets in; the other way round with writers.
WEFT_TEST(shared_mutex_test, nobody_starves)
{
    const procs four(4);
    weft::shared_mutex m;
    std::atomic<bool> stop{false};
    weft::wait_group crowd;
    for (int i = 0; i < 8; ++i) {
        crowd.go(
            [&]
            {
                while (!stop) {
                    const std::shared_lock guard(m);
                    weft::yield();
                }
            });
    }
    for (std::size_t i = 0; i < scaled(200); ++i)
        const std::unique_lock guard(m);
    stop = true;
    crowd.wait();
    stop = false;
    for (int i = 0; i < 8; ++i) {
        crowd.go(
            [&]
            {
                while (!stop) {
                    const std::unique_lock guard(m);
                    weft::yield();
                }
            });
    }
    for (std::size_t i = 0; i < scaled(200); ++i)
        const std::shared_lock guard(m);
    stop = true;
    crowd.wait();
}

WEFT_TEST(shared_mutex_test, misuse_is_an_error)
{
    weft::shared_mutex m;
    EXPECT_THROW(m.unlock(), std::logic_error);
    EXPECT_THROW(m.unlock_shared(), std::logic_error);
    m.lock();
    EXPECT_THROW(m.unlock_shared(), std::logic_error);
    m.unlock();
    m.lock_shared();
    EXPECT_THROW(m.unlock(), std::logic_error);
    weft::wait_group writer;
    writer.go([&] { const std::unique_lock guard(m); });
    EXPECT_TRUE(somebody_waits());
    EXPECT_THROW(m.unlock(), std::logic_error) << "a writer waits, none is inside";
    m.unlock_shared();
    writer.wait();
    EXPECT_THROW(m.unlock_shared(), std::logic_error);
    EXPECT_TRUE(m.try_lock()) << "and it still works";
    m.unlock();
}

WEFT_TEST(shared_mutex_test, timed_forms_give_up)
{
    weft::shared_mutex m;
    m.lock();
    EXPECT_FALSE(m.try_lock_for(1ms));
    EXPECT_FALSE(m.try_lock_for(0s));
    EXPECT_FALSE(m.try_lock_until(weft::clock::now() - 1s));
    EXPECT_FALSE(m.try_lock_shared_for(1ms));
    EXPECT_FALSE(m.try_lock_shared_until(std::chrono::steady_clock::now() + 1ms));
    EXPECT_FALSE(m.try_lock_shared_until(std::chrono::system_clock::now() + 1ms));
    m.unlock();
    EXPECT_TRUE(m.try_lock_for(1ms));
    m.unlock();
    EXPECT_TRUE(m.try_lock_shared_for(1ms));
    EXPECT_FALSE(m.try_lock_for(1ms)) << "a reader is inside";
    EXPECT_TRUE(m.try_lock_shared()) << "the writer has gone";
    m.unlock_shared();
    m.unlock_shared();
}

TEST_F(shared_mutex_test, timed_forms_give_up_on_plain_threads)
{
    weft::shared_mutex m;
    m.lock_shared();
    EXPECT_FALSE(m.try_lock_for(1ms));
    m.unlock_shared();
    m.lock();
    EXPECT_FALSE(m.try_lock_shared_for(1ms));
    EXPECT_FALSE(m.try_lock_for(1ms));
    m.unlock();
}

WEFT_TEST(shared_mutex_test, a_writer_that_gives_up_lets_the_readers_in)
{
    weft::shared_mutex m;
    m.lock_shared();
    weft::wait_group all;
    all.go([&] { EXPECT_FALSE(m.try_lock_for(20ms)); });
    EXPECT_TRUE(somebody_waits());
    for (int i = 0; i < 10; ++i)
        all.go([&] { const std::shared_lock guard(m); });
    all.wait();
    m.unlock_shared();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
}

// Deadlines and unlocks meet, in both worlds.
TEST_F(shared_mutex_test, deadlines_race_with_unlocks)
{
    guarded g;
    std::atomic<std::uint64_t> writes{0};
    const auto work = [&](std::size_t id)
    {
        for (std::size_t i = 0; i < scaled(400); ++i) {
            const auto patience = std::chrono::microseconds((i * 7 + id * 13) % 60);
            if ((i + id) % 4 == 0) {
                if (g.m.try_lock_for(patience)) {
                    ++g.a;
                    if (i % 8 == 0)
                        weft::sleep_for(20us);
                    ++g.b;
                    ++writes;
                    g.m.unlock();
                }
            } else if (g.m.try_lock_shared_for(patience)) {
                if (g.a != g.b)
                    ++g.violations;
                g.m.unlock_shared();
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
    EXPECT_EQ(g.violations, 0U);
    EXPECT_EQ(g.a, writes);
    EXPECT_TRUE(g.m.try_lock());
    g.m.unlock();
}

}  // namespace
