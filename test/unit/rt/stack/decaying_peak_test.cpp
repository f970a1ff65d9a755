// rt/stack/decaying_peak.hpp: what is kept after a burst, and for how long.
#include "rt/stack/decaying_peak.hpp"

#include <gtest/gtest.h>

namespace {

using weft::rt::decaying_peak;

TEST(decaying_peak_test, a_burst_is_remembered_for_a_while)
{
    decaying_peak mark;
    EXPECT_EQ(mark.look(1'000'000, 10), 1'000'000U);
    for (std::size_t i = 1; i < decaying_peak::window; ++i)
        EXPECT_EQ(mark.look(10, 10), 1'000'000U) << "look " << i;
    EXPECT_EQ(mark.look(10, 10), 10U + (1'000'000U - 10) / 4);
}

TEST(decaying_peak_test, and_then_forgotten_in_ten_looks)
{
    decaying_peak mark;
    (void)mark.look(1'000'000, 10);
    std::size_t looks = 1;
    while (mark.look(10, 10) != 10) {
        ++looks;
        ASSERT_LE(looks, decaying_peak::window + 10);
    }
}

TEST(decaying_peak_test, never_below_what_is_in_use)
{
    decaying_peak mark;
    (void)mark.look(1'000, 100);
    for (int i = 0; i < 100; ++i)
        EXPECT_GE(mark.look(500, 500), 500U);
    EXPECT_EQ(mark.look(500, 500), 500U);
}

TEST(decaying_peak_test, one_that_comes_back_in_time_finds_everything)
{
    decaying_peak mark;
    for (int burst = 0; burst < 10; ++burst) {
        EXPECT_EQ(mark.look(700, 0), 700U);
        for (std::size_t i = 1; i < decaying_peak::window; ++i)
            EXPECT_EQ(mark.look(0, 0), 700U);
    }
}

}  // namespace
