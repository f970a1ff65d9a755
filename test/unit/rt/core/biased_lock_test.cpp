// rt::biased_lock: exclusion between the M that it is biased to and all others, and when it becomes biased to whom.
#include "rt/core/biased_lock.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "sys/membarrier.hpp"

namespace {

using biased_lock_test = weft::test::fixture;
using weft::rt::biased_lock;
using weft::test::scaled;

/// Stands for an M: the lock looks at the address alone. They are as far apart as Ms are.
struct alignas(weft::base::cache_line) m_like {};
std::array<m_like, 8> ms;

const weft::rt::m* m_of(std::size_t i)
{
    return reinterpret_cast<const weft::rt::m*>(&ms.at(i));
}

void section(biased_lock& lock, const weft::rt::m* self)
{
    lock.lock(self);
    lock.unlock();
}

/// Whether the cheap way is open to `self`.
bool is_biased_to(biased_lock& lock, const weft::rt::m* self)
{
    if (!lock.try_lock_biased(self))
        return false;
    lock.unlock_biased();
    return true;
}

/// How many sections in a row by `self` make it biased to it; `most` if that many do not.
int sections_until_biased(biased_lock& lock, const weft::rt::m* self, int most)
{
    int n = 0;
    while (n < most && !is_biased_to(lock, self)) {
        section(lock, self);
        ++n;
    }
    return n;
}

TEST_F(biased_lock_test, becomes_biased_to_who_uses_it_alone)
{
    biased_lock lock;
    EXPECT_FALSE(is_biased_to(lock, m_of(0))) << "to nobody at first";
    const int n = sections_until_biased(lock, m_of(0), 1'000);
    if (!weft::sys::has_membarrier()) {
        EXPECT_EQ(n, 1'000) << "never without membarrier";
        return;
    }
    EXPECT_GT(n, 1);
    EXPECT_LT(n, 100);
    EXPECT_FALSE(is_biased_to(lock, m_of(1)));
    EXPECT_FALSE(is_biased_to(lock, nullptr));
    section(lock, m_of(0));
    EXPECT_TRUE(is_biased_to(lock, m_of(0))) << "it stays so";
}

TEST_F(biased_lock_test, another_one_takes_the_bias_away)
{
    biased_lock lock;
    for (const weft::rt::m* other : {m_of(1), static_cast<const weft::rt::m*>(nullptr)}) {
        (void)sections_until_biased(lock, m_of(0), 10'000);
        section(lock, other);
        EXPECT_FALSE(is_biased_to(lock, m_of(0)));
        EXPECT_FALSE(is_biased_to(lock, other));
    }
}

TEST_F(biased_lock_test, is_never_biased_to_a_plain_thread_or_to_two_in_turns)
{
    biased_lock lock;
    for (int i = 0; i < 1'000; ++i)
        section(lock, nullptr);
    EXPECT_FALSE(is_biased_to(lock, nullptr));
    for (std::size_t i = 0; i < 1'000; ++i)
        section(lock, m_of(i % 2));
    EXPECT_FALSE(is_biased_to(lock, m_of(0)));
    EXPECT_FALSE(is_biased_to(lock, m_of(1)));
}

TEST_F(biased_lock_test, each_bias_takes_more_patience_until_there_is_none)
{
    if (!weft::sys::has_membarrier())
        GTEST_SKIP() << "never biased without membarrier";
    biased_lock lock;
    constexpr int long_enough = 10'000;
    int last = 0;
    for (int epoch = 0; epoch < 4; ++epoch) {
        const int n = sections_until_biased(lock, m_of(0), long_enough);
        EXPECT_GT(n, last);
        EXPECT_LT(n, long_enough);
        last = n;
        section(lock, m_of(1));
    }
    // It stays a lock all the same, with all of its epochs used up.
    for (int i = 0; i < 100; ++i) {
        section(lock, m_of(0));
        section(lock, m_of(1));
    }
}

/// Plain data, for TSan too. `alone`: thread 0 has the lock for itself again and again, so that biases come and go.
void exclude(std::size_t threads, bool plain_one, bool alone)
{
    biased_lock lock;
    std::size_t sections = 0;
    std::atomic<std::size_t> done{0};
    const std::size_t rounds = scaled(20'000);
    std::vector<std::thread> all;
    for (std::size_t t = 0; t < threads; ++t)
        all.emplace_back(
            [&, t]
            {
                const weft::rt::m* const self = plain_one && t + 1 == threads ? nullptr : m_of(t);
                for (std::size_t i = 0; i < rounds; ++i) {
                    lock.lock(self);
                    ++sections;
                    lock.unlock();
                    if (alone && t != 0 && i % 64 == 0)
                        std::this_thread::yield();
                }
                ++done;
            });
    for (std::thread& t : all)
        t.join();
    EXPECT_EQ(done, threads);
    EXPECT_EQ(sections, threads * rounds);
}

TEST_F(biased_lock_test, one_at_a_time)
{
    exclude(2, false, false);
    exclude(2, false, true);
    exclude(2, true, true);
    exclude(4, true, false);
}

TEST_F(biased_lock_test, one_at_a_time_while_the_bias_moves)
{
    biased_lock lock;
    std::size_t sections = 0;
    const std::size_t rounds = scaled(500);
    std::vector<std::thread> all;
    for (std::size_t t = 0; t < 3; ++t)
        all.emplace_back(
            [&, t]
            {
                for (std::size_t i = 0; i < rounds; ++i) {
                    for (int k = 0; k < 20; ++k) {  // enough for a first bias
                        lock.lock(m_of(t));
                        ++sections;
                        lock.unlock();
                    }
                    std::this_thread::yield();
                }
            });
    for (std::thread& t : all)
        t.join();
    EXPECT_EQ(sections, 3 * 20 * rounds);
}

}  // namespace
