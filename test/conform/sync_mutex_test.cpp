// What Go's sync.Mutex and sync.RWMutex promise (src/sync/mutex_test.go, rwmutex_test.go), of weft::mutex and
// weft::shared_mutex. docs/conformance/sync.md lists the tests.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <stdexcept>

#include "../unit/fixture.hpp"
#include "weft/sync.hpp"

namespace {

using conform_sync_mutex = weft::test::fixture;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;

// TestMutex: goroutines that lock and unlock, and now and then only try.
WEFT_TEST(conform_sync_mutex, hammer)
{
    weft::mutex m;
    m.lock();
    EXPECT_FALSE(m.try_lock());
    m.unlock();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
    weft::wait_group all;
    for (int g = 0; g < 10; ++g) {
        all.go(
            [&]
            {
                for (std::size_t i = 0; i < scaled(1'000); ++i) {
                    if (i % 3 == 0) {
                        if (m.try_lock())
                            m.unlock();
                        continue;
                    }
                    m.lock();
                    m.unlock();
                }
            });
    }
    all.wait();
}

// TestMutexMisuse: the unlock of what is not locked so, for both kinds and after every kind of use.
WEFT_TEST(conform_sync_mutex, misuse)
{
    weft::mutex m;
    EXPECT_THROW(m.unlock(), std::logic_error);
    m.lock();
    m.unlock();
    EXPECT_THROW(m.unlock(), std::logic_error);
    weft::shared_mutex rw;
    EXPECT_THROW(rw.unlock(), std::logic_error);
    rw.lock_shared();
    EXPECT_THROW(rw.unlock(), std::logic_error);
    rw.unlock_shared();
    rw.lock();
    rw.unlock();
    EXPECT_THROW(rw.unlock(), std::logic_error);
    EXPECT_THROW(rw.unlock_shared(), std::logic_error);
    rw.lock();
    EXPECT_THROW(rw.unlock_shared(), std::logic_error);
    rw.unlock();
    rw.lock_shared();
    rw.unlock_shared();
    EXPECT_THROW(rw.unlock_shared(), std::logic_error);
}

// TestMutexFairness: one that holds it nearly always, and one that wants it for a moment, again and again.
WEFT_TEST(conform_sync_mutex, fairness)
{
    const procs two(2);
    weft::mutex m;
    std::atomic<bool> stop{false};
    weft::wait_group hog;
    hog.go(
        [&]
        {
            while (!stop) {
                const std::lock_guard guard(m);
                weft::sleep_for(std::chrono::microseconds(100));
            }
        });
    for (int i = 0; i < 10; ++i) {
        weft::sleep_for(std::chrono::microseconds(100));
        const std::lock_guard guard(m);
    }
    stop = true;
    hog.wait();
}

// TestParallelReaders: that many are inside at the same time.
WEFT_TEST(conform_sync_mutex, parallel_readers)
{
    for (const int readers : {1, 3, 4}) {
        const procs four(4);
        weft::shared_mutex m;
        std::atomic<int> inside{0};
        std::atomic<bool> let_go{false};
        weft::wait_group all;
        for (int i = 0; i < readers; ++i) {
            all.go(
                [&]
                {
                    m.lock_shared();
                    ++inside;
                    while (!let_go)
                        weft::yield();
                    m.unlock_shared();
                });
        }
        EXPECT_TRUE(eventually([&] { return inside == readers; }));
        let_go = true;
        all.wait();
    }
}

// TestRWMutex, HammerRWMutex: a writer alone, readers never beside one; with the numbers of readers that Go takes.
void hammer_shared(int proc_count, int readers, std::size_t rounds)
{
    const procs p(proc_count);
    weft::shared_mutex m;
    std::atomic<int> activity{0};  // 10,000 for a writer, 1 for a reader
    std::atomic<int> violations{0};
    const auto pause = []
    {
        for (int i = 0; i < 100; ++i)
            asm volatile("" ::: "memory");
    };
    const auto reader = [&]
    {
        for (std::size_t i = 0; i < rounds; ++i) {
            if (i % 4 == 3) {
                if (!m.try_lock_shared())
                    continue;
            } else {
                m.lock_shared();
            }
            const int now = ++activity;
            violations += now < 1 || now >= 10'000;
            pause();
            --activity;
            m.unlock_shared();
        }
    };
    const auto writer = [&]
    {
        for (std::size_t i = 0; i < rounds; ++i) {
            if (i % 4 == 3) {
                if (!m.try_lock())
                    continue;
            } else {
                m.lock();
            }
            violations += (activity += 10'000) != 10'000;
            pause();
            activity -= 10'000;
            m.unlock();
        }
    };
    weft::wait_group all;
    all.go(writer);
    for (int i = 0; i < readers / 2; ++i)
        all.go(reader);
    all.go(writer);
    for (int i = readers / 2; i < readers; ++i)
        all.go(reader);
    all.wait();
    EXPECT_EQ(violations, 0);
}

WEFT_TEST(conform_sync_mutex, hammer_shared)
{
    weft::shared_mutex m;
    m.lock();
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_shared());
    m.unlock();
    EXPECT_TRUE(m.try_lock_shared());
    EXPECT_TRUE(m.try_lock_shared());
    EXPECT_FALSE(m.try_lock());
    m.unlock_shared();
    m.unlock_shared();
    const std::size_t n = scaled(1'000);
    for (const int readers : {1, 3, 10})
        hammer_shared(1, readers, n);
    for (const int readers : {1, 3, 5, 10})
        hammer_shared(4, readers, n);
    for (const int readers : {3, 10})
        hammer_shared(10, readers, n);
}

}  // namespace
