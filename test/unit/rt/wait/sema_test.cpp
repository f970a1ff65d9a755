// rt::sema_bucket: queues by key, also where keys share a bucket.
#include "rt/wait/sema.hpp"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "support/rng.hpp"

namespace {

using weft::rt::sema_bucket;
using weft::rt::sema_waiter;

// Addresses to wait on that fall into one bucket.
std::vector<const void*> keys_of_one_bucket(std::size_t count)
{
    static std::array<std::uint64_t, 100'000> words{};
    std::vector<const void*> keys;
    const sema_bucket& bucket = sema_bucket::of(words.data());
    for (const std::uint64_t& w : words)
        if (&sema_bucket::of(&w) == &bucket && keys.size() < count)
            keys.push_back(&w);
    return keys;
}

TEST(sema_test, the_bucket_of_a_key_is_always_the_same)
{
    int a = 0;
    EXPECT_EQ(&sema_bucket::of(&a), &sema_bucket::of(&a));
}

TEST(sema_test, keys_spread_over_buckets)
{
    std::array<std::uint64_t, 4'096> words{};
    std::map<const sema_bucket*, int> uses;
    for (const std::uint64_t& w : words)
        ++uses[&sema_bucket::of(&w)];
    int most = 0;
    for (const auto& [bucket, n] : uses)
        most = std::max(most, n);
    EXPECT_GT(uses.size(), 32U);
    EXPECT_LT(most, 512) << "one bucket has an eighth of all keys";
}

TEST(sema_test, queues_by_key)
{
    const auto keys = keys_of_one_bucket(3);
    ASSERT_EQ(keys.size(), 3U);
    sema_bucket& bucket = sema_bucket::of(keys[0]);
    std::array<sema_waiter, 6> w;
    for (std::size_t i = 0; i < w.size(); ++i)
        w[i].key = keys[i % 2];
    bucket.lock();
    EXPECT_EQ(bucket.front(keys[0]), nullptr);
    EXPECT_EQ(bucket.pop_front(keys[0]), nullptr);
    EXPECT_FALSE(bucket.remove(w[0]));
    for (std::size_t i = 0; i < 4; ++i)
        bucket.push_back(w[i]);
    bucket.push_front(w[4]);
    bucket.push_front(w[5]);
    EXPECT_EQ(bucket.front(keys[0]), &w[4]);
    EXPECT_EQ(bucket.front(keys[2]), nullptr);
    EXPECT_TRUE(bucket.remove(w[0]));
    EXPECT_FALSE(bucket.remove(w[0]));
    EXPECT_EQ(bucket.pop_front(keys[0]), &w[4]);
    EXPECT_EQ(bucket.pop_front(keys[0]), &w[2]);
    EXPECT_EQ(bucket.pop_front(keys[0]), nullptr);
    EXPECT_EQ(bucket.pop_front(keys[1]), &w[5]);
    EXPECT_EQ(bucket.pop_front(keys[1]), &w[1]);
    EXPECT_EQ(bucket.pop_front(keys[1]), &w[3]);
    EXPECT_EQ(bucket.front(keys[1]), nullptr);
    bucket.unlock();
}

TEST(sema_test, behaves_as_deques)
{
    weft::test::rng r(9);
    const auto keys = keys_of_one_bucket(5);
    ASSERT_EQ(keys.size(), 5U);
    sema_bucket& bucket = sema_bucket::of(keys[0]);
    std::vector<sema_waiter> waiters(50);
    std::vector<sema_waiter*> unused;
    for (sema_waiter& w : waiters)
        unused.push_back(&w);
    std::map<const void*, std::deque<sema_waiter*>> model;
    bucket.lock();
    for (int step = 0; step < 50'000; ++step) {
        const void* const key = keys[r.below(keys.size())];
        std::deque<sema_waiter*>& queue = model[key];
        switch (r.below(5)) {
            case 0:
            case 1:
                if (!unused.empty()) {
                    sema_waiter* const w = unused.back();
                    unused.pop_back();
                    std::destroy_at(w);
                    std::construct_at(w)->key = key;
                    if (r.one_in(3)) {
                        bucket.push_front(*w);
                        queue.push_front(w);
                    } else {
                        bucket.push_back(*w);
                        queue.push_back(w);
                    }
                }
                break;
            case 2:
            case 3: {
                sema_waiter* const w = bucket.pop_front(key);
                ASSERT_EQ(w, queue.empty() ? nullptr : queue.front());
                if (w != nullptr) {
                    queue.pop_front();
                    unused.push_back(w);
                }
                break;
            }
            default:
                if (!queue.empty()) {
                    const std::size_t at = r.below(queue.size());
                    ASSERT_TRUE(bucket.remove(*queue[at]));
                    unused.push_back(queue[at]);
                    queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(at));
                }
        }
        for (const void* k : keys)
            ASSERT_EQ(bucket.front(k), model[k].empty() ? nullptr : model[k].front());
    }
    for (const void* k : keys)
        while (bucket.pop_front(k) != nullptr) {
        }
    bucket.unlock();
}

}  // namespace
