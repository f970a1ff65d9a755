// base::rand: within bounds, and not obviously lopsided.
#include "base/rand.hpp"

#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace {

TEST(rand_test, stays_below_its_bound)
{
    weft::base::rand r(7);
    for (const std::uint32_t n : {1U, 2U, 3U, 10U, 1'000U, std::numeric_limits<std::uint32_t>::max()})
        for (int i = 0; i < 10'000; ++i)
            ASSERT_LT(r.below(n), n);
}

TEST(rand_test, hits_every_value_about_equally)
{
    weft::base::rand r(42);
    std::array<int, 7> hits{};
    constexpr int draws = 70'000;
    for (int i = 0; i < draws; ++i)
        ++hits[r.below(7)];
    for (const int h : hits) {
        EXPECT_GT(h, draws / 7 * 9 / 10);
        EXPECT_LT(h, draws / 7 * 11 / 10);
    }
}

TEST(rand_test, is_a_function_of_its_seed)
{
    weft::base::rand a(3);
    weft::base::rand b(3);
    weft::base::rand c(4);
    bool differs = false;
    for (int i = 0; i < 100; ++i) {
        const std::uint64_t value = a.next();
        ASSERT_EQ(value, b.next());
        differs |= value != c.next();
    }
    EXPECT_TRUE(differs);
}

}  // namespace
