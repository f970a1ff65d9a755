// rt::gqueue: the shared queue hands out fair shares in order.
#include "rt/core/gqueue.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "support/scale.hpp"

namespace {

using weft::rt::g;
using weft::rt::g_list;
using weft::rt::gqueue;
using ring = weft::rt::runq<256>;

TEST(gqueue_test, is_first_in_first_out)
{
    const auto gs = std::make_unique<g[]>(10);
    gqueue q;
    ring rest;
    EXPECT_EQ(q.take(1, rest), nullptr);
    q.push(&gs[0]);
    g_list more;
    for (std::size_t i = 1; i < 10; ++i)
        more.push_back(&gs[i]);
    q.push(more);
    EXPECT_TRUE(more.empty());
    EXPECT_EQ(q.size(), 10U);
    EXPECT_EQ(q.take(4, rest), &gs[0]);
    EXPECT_EQ(rest.size(), 3U);
    for (std::size_t i = 1; i < 4; ++i)
        EXPECT_EQ(rest.pop_front(), &gs[i]);
    EXPECT_EQ(q.take(100, rest), &gs[4]);
    EXPECT_EQ(rest.size(), 5U);
    EXPECT_EQ(q.size(), 0U);
}

TEST(gqueue_test, a_share_is_never_nothing_and_never_too_much)
{
    constexpr std::size_t count = 1'000;
    const auto gs = std::make_unique<g[]>(count);
    gqueue q;
    EXPECT_GE(q.share(1'024), 1U);
    for (std::size_t i = 0; i < count; ++i)
        q.push(&gs[i]);
    EXPECT_GE(q.share(4), count / 4);
    EXPECT_LE(q.share(4), count / 4 + 1);
    ring rest;
    for (std::size_t i = 0; i < ring::capacity - 2; ++i)
        rest.push_back(&gs[0]);
    ASSERT_NE(q.take(count, rest), nullptr);
    EXPECT_LE(rest.size(), ring::capacity);
    EXPECT_GE(q.size() + 3, count);
}

TEST(gqueue_test, loses_nothing_between_threads)
{
    const std::size_t each = weft::test::scaled(20'000);
    constexpr std::size_t producers = 3;
    const auto gs = std::make_unique<g[]>(producers * each);
    const auto seen = std::make_unique<std::atomic<int>[]>(producers * each);
    gqueue q;
    std::atomic<std::size_t> taken{0};
    std::vector<std::thread> threads;
    for (std::size_t p = 0; p < producers; ++p) {
        threads.emplace_back(
            [&, p]
            {
                for (std::size_t i = 0; i < each; ++i)
                    q.push(&gs[p * each + i]);
            });
    }
    for (int c = 0; c < 2; ++c) {
        threads.emplace_back(
            [&]
            {
                const auto rest = std::make_unique<ring>();
                while (taken < producers * each) {
                    g* item = q.take(16, *rest);
                    for (; item != nullptr; item = rest->empty() ? nullptr : rest->pop_front()) {
                        ++seen[static_cast<std::size_t>(item - gs.get())];
                        ++taken;
                    }
                }
            });
    }
    for (std::thread& t : threads)
        t.join();
    for (std::size_t i = 0; i < producers * each; ++i)
        ASSERT_EQ(seen[i], 1);
}

}  // namespace
