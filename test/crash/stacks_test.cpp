// WEFT_DEBUG=stacks: what is said of how deep goroutines went.
#include <gtest/gtest.h>

#include <cstddef>
#include <sstream>
#include <string>
#include <vector>

#include "../support/child.hpp"
#include "../support/scale.hpp"

namespace {

using weft::test::outcome;
using weft::test::run_child;

struct row {
    std::size_t used = 0;   // KiB
    std::size_t limit = 0;  // KiB
    std::size_t count = 0;
    bool hint = false;
};

std::vector<row> rows_of(const std::string& report)
{
    std::vector<row> rows;
    std::istringstream lines(report);
    for (std::string line; std::getline(lines, line);) {
        row r;
        if (std::sscanf(line.c_str(), "  at most %zu of %zu KiB used by %zu goroutine", &r.used, &r.limit, &r.count) !=
            3)
            continue;
        r.hint = line.find("attr::stack_size") != std::string::npos;
        rows.push_back(r);
    }
    return rows;
}

outcome run(const char* scenario)
{
    return run_child("child_stacks", scenario, {"WEFT_DEBUG=stacks"});
}

bool unknown_here(const outcome& o)
{
    return o.reported("needs /proc/self/pagemap");  // an emulator
}

TEST(stacks_test, says_at_exit_where_they_went_deep)
{
    const outcome o = run("ended");
    EXPECT_TRUE(o.exited(0)) << o;
    if (unknown_here(o))
        GTEST_SKIP() << "no /proc/self/pagemap";
    const std::vector<row> rows = rows_of(o.err);
    ASSERT_GE(rows.size(), 4U) << o;
    // Three rounds of seven divers: 192 KiB less the 20,000 bytes that they have left, and less than a frame.
    EXPECT_EQ(rows[0].limit, 192U) << o;
    EXPECT_EQ(rows[0].count, 21U) << o;
    EXPECT_GE(rows[0].used, 172U) << o;
    EXPECT_LE(rows[0].used, weft::test::under_sanitizer ? 188U : 176U) << o;
    EXPECT_TRUE(rows[0].hint) << o;
    // The one that leaves by exit_goroutine().
    EXPECT_EQ(rows[1].limit, 960U) << o;
    EXPECT_EQ(rows[1].count, 1U) << o;
    EXPECT_GE(rows[1].used, 360U) << o;
    EXPECT_LE(rows[1].used, 364U) << o;
    EXPECT_FALSE(rows[1].hint) << o;
    // Those that only yield, although they had the divers' stacks.
    std::size_t shallow = 0;
    for (std::size_t i = 2; i < rows.size(); ++i) {
        EXPECT_LE(rows[i].used, weft::test::under_sanitizer ? 48U : 16U) << o;
        EXPECT_FALSE(rows[i].hint) << o;
        shallow += rows[i].count;
    }
    EXPECT_GE(shallow, 150U) << o;
}

TEST(stacks_test, dumps_know_of_living_ones)
{
    const outcome o = run("alive");
    EXPECT_TRUE(o.exited(0)) << o;
    if (unknown_here(o))
        GTEST_SKIP() << "no /proc/self/pagemap";
    const std::vector<row> rows = rows_of(o.err.substr(0, o.err.rfind("weft: stacks")));
    ASSERT_GE(rows.size(), 2U) << o;
    EXPECT_EQ(rows[0].count, 5U) << o;
    EXPECT_GE(rows[0].used, 100U) << o;
    EXPECT_TRUE(rows[0].hint) << o;
}

TEST(stacks_test, nothing_is_said_unless_asked)
{
    const outcome o = run_child("child_stacks", "ended");
    EXPECT_TRUE(o.exited(0)) << o;
    EXPECT_TRUE(o.err.empty()) << o;
}

}  // namespace
