// rt/stack/decaying_peak.hpp: what is kept after a burst, and for how long.
#include "rt/stack/decaying_peak.hpp"

#include <gtest/gtest.h>

namespace {

using weft::rt::demand_mark;

TEST(demand_mark_test, a_burst_is_remembered_for_a_while)
{
    demand_mark mark;
    EXPECT_EQ(mark.look(1'000'000, 10), 1'000'000U);
    for (std::size_t i = 1; i < demand_mark::window; ++i)
        EXPECT_EQ(mark.look(10, 10), 1'000'000U) << "look " << i;
    EXPECT_EQ(mark.look(10, 10), 10U + (1'000'000U - 10) / 4);
}

TEST(demand_mark_test, and_then_forgotten_in_ten_looks)
{
    demand_mark mark;
    (void)mark.look(1'000'000, 10);
    std::size_t looks = 1;
    while (mark.look(10, 10) != 10) {
        ++looks;
        ASSERT_LE(looks, demand_mark::window + 10);
    }
}

TEST(demand_mark_test, never_below_what_is_in_use)
{
    demand_mark mark;
    (void)mark.look(1'000, 100);
    for (int i = 0; i < 100; ++i)
        EXPECT_GE(mark.look(500, 500), 500U);
    EXPECT_EQ(mark.look(500, 500), 500U);
}

TEST(demand_mark_test, one_that_comes_back_in_time_finds_everything)
{
    demand_mark mark;
    for (int burst = 0; burst < 10; ++burst) {
        EXPECT_EQ(mark.look(700, 0), 700U);
        for (std::size_t i = 1; i < demand_mark::window; ++i)
            EXPECT_EQ(mark.look(0, 0), 700U);
    }
}

}  // namespace
