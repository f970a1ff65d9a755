// rt::runq against a deque, also where its counters wrap.
#include "rt/core/runq.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>

#include "support/rng.hpp"

namespace {

using weft::rt::g;
using ring = weft::rt::runq<8>;

// The ring never looks at what it holds.
g* numbered(std::uintptr_t n)
{
    return reinterpret_cast<g*>(n * 64);
}

TEST(runq_test, is_first_in_first_out)
{
    ring q;
    EXPECT_TRUE(q.empty());
    for (std::uintptr_t i = 1; i <= 8; ++i)
        q.push_back(numbered(i));
    EXPECT_TRUE(q.full());
    EXPECT_EQ(q.try_push_back(numbered(9)), 0U);
    for (std::uintptr_t i = 1; i <= 8; ++i) {
        EXPECT_EQ(q.front(), numbered(i));
        EXPECT_EQ(q.pop_front(), numbered(i));
    }
    EXPECT_TRUE(q.empty());
}

TEST(runq_test, takes_back_the_newest)
{
    ring q;
    q.push_back(numbered(1));
    q.push_back(numbered(2));
    q.push_back(numbered(3));
    EXPECT_EQ(q.pop_back(), numbered(3));
    EXPECT_EQ(q.pop_front(), numbered(1));
    EXPECT_EQ(q.pop_back(), numbered(2));
    EXPECT_TRUE(q.empty());
}

bool any(const g*)
{
    return true;
}

TEST(runq_test, rotates_even_when_full)
{
    ring q;
    EXPECT_EQ(q.rotate_if(numbered(9), any), nullptr);
    EXPECT_TRUE(q.empty());
    for (std::uintptr_t i = 1; i <= 8; ++i)
        q.push_back(numbered(i));
    EXPECT_EQ(q.rotate_if(numbered(9), [](const g* front) { return front != numbered(1); }), nullptr);
    EXPECT_EQ(q.rotate_if(numbered(9), [](const g* front) { return front == numbered(1); }), numbered(1));
    EXPECT_EQ(q.size(), 8U);
    for (std::uintptr_t i = 2; i <= 9; ++i)
        EXPECT_EQ(q.pop_front(), numbered(i));
}

TEST(runq_test, moves_its_oldest_to_another)
{
    ring from;
    ring to;
    to.push_back(numbered(100));
    for (std::uintptr_t i = 1; i <= 6; ++i)
        from.push_back(numbered(i));
    from.move_front(to, 3);
    EXPECT_EQ(from.size(), 3U);
    EXPECT_EQ(from.pop_front(), numbered(4));
    EXPECT_EQ(to.size(), 4U);
    EXPECT_EQ(to.pop_front(), numbered(100));
    EXPECT_EQ(to.pop_front(), numbered(1));
    EXPECT_EQ(to.pop_back(), numbered(3));
}

TEST(runq_test, behaves_as_a_deque)
{
    weft::test::rng r(11);
    ring q;
    std::deque<g*> model;
    std::uintptr_t next = 1;
    for (int step = 0; step < 200'000; ++step) {
        switch (r.below(5)) {
            case 0:
            case 1:
                if (g* const item = numbered(next++); q.full()) {
                    ASSERT_EQ(q.try_push_back(item), 0U);
                } else {
                    ASSERT_EQ(q.try_push_back(item), model.size() + 1);
                    model.push_back(item);
                }
                break;
            case 2:
                if (!model.empty()) {
                    ASSERT_EQ(q.pop_front(), model.front());
                    model.pop_front();
                }
                break;
            case 3:
                if (!model.empty()) {
                    ASSERT_EQ(q.pop_back(), model.back());
                    model.pop_back();
                }
                break;
            default:
                if (!model.empty()) {
                    g* const item = numbered(next++);
                    ASSERT_EQ(q.rotate_if(item, any), model.front());
                    model.pop_front();
                    model.push_back(item);
                }
        }
        ASSERT_EQ(q.size(), model.size());
        ASSERT_EQ(q.empty(), model.empty());
        ASSERT_EQ(q.full(), model.size() == ring::capacity);
    }
}

}  // namespace
