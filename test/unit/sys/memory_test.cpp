// sys/memory.hpp: reservations, guards, giving back.
#include "sys/memory.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string>

#include "../../support/in_child.hpp"

namespace {

using namespace weft::sys;
using weft::test::in_child;

constexpr std::size_t page = 4'096;
constexpr std::size_t mib = std::size_t{1} << 20;

bool readable(const char* at)
{
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0)
        return false;
    const bool good = ::write(ends[1], at, 1) == 1;
    ::close(ends[0]);
    ::close(ends[1]);
    return good;
}

std::size_t mappings()
{
    std::ifstream maps("/proc/self/maps");
    std::size_t n = 0;
    for (std::string line; std::getline(maps, line);)
        ++n;
    return n;
}

TEST(memory_test, reservations_are_aligned)
{
    for (const pages kind : {pages::small, pages::huge}) {
        for (const std::size_t alignment : {page, 64 * page, 2 * mib, 64 * mib}) {
            auto* const at = static_cast<char*>(reserve(4 * mib, alignment, kind, "weft test"));
            ASSERT_NE(at, nullptr);
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(at) % alignment, 0U);
            at[0] = 1;
            at[4 * mib - 1] = 1;
            release(at, 4 * mib);
        }
    }
}

TEST(memory_test, a_reservation_beyond_the_address_space_is_refused)
{
    EXPECT_EQ(reserve(std::size_t{1} << 50, page, pages::small, "weft test"), nullptr);
}

TEST(memory_test, discarded_memory_is_zero_again)
{
    auto* const at = static_cast<char*>(reserve(16 * page, page, pages::small, "weft test"));
    ASSERT_NE(at, nullptr);
    at[0] = 1;
    at[page] = 2;
    at[2 * page] = 3;
    discard(at + page, page);
    EXPECT_EQ(at[0], 1);
    EXPECT_EQ(at[page], 0);
    EXPECT_EQ(at[2 * page], 3);
    release(at, 16 * page);
}

void guards_fault(bool forbid_markers)
{
    const guard_kind kind = init_guards(forbid_markers);
    if (forbid_markers) {
        EXPECT_EQ(kind, guard_kind::prot_none);
    }
    auto* const at = static_cast<char*>(reserve(4 * page, page, pages::small, "weft test"));
    ASSERT_NE(at, nullptr);
    ASSERT_TRUE(guard(at + page, page));
    EXPECT_TRUE(readable(at));
    EXPECT_FALSE(readable(at + page));
    EXPECT_FALSE(readable(at + 2 * page - 1));
    EXPECT_TRUE(readable(at + 2 * page));
    release(at, 4 * page);
}

TEST(memory_test, guards_fault)
{
    in_child(
        []
        {
            guards_fault(false);
            guards_fault(true);
        });
}

TEST(memory_test, markers_need_no_mapping)
{
    if (!guards_are_markers())
        GTEST_SKIP() << "a kernel without guard markers";
    auto* const at = static_cast<char*>(reserve(1'000 * page, page, pages::small, "weft test"));
    ASSERT_NE(at, nullptr);
    const std::size_t before = mappings();
    for (std::size_t i = 0; i < 1'000; i += 2)
        ASSERT_TRUE(guard(at + i * page, page));
    EXPECT_LE(mappings(), before + 3);
    release(at, 1'000 * page);
}

TEST(memory_test, the_first_touched_page_is_found)
{
    constexpr std::size_t pages_in_all = 5'000;
    auto* const at = static_cast<char*>(reserve(pages_in_all * page, page, pages::small, "weft test"));
    ASSERT_NE(at, nullptr);
    char* const end = at + pages_in_all * page;
    if (first_touched(at, end) == nullptr)
        GTEST_SKIP() << "no /proc/self/pagemap";
    EXPECT_EQ(first_touched(at, end), end);
    for (const std::size_t touched : {4'999U, 4'000U, 256U, 255U, 1U, 0U}) {
        at[touched * page + 77] = 1;
        EXPECT_EQ(first_touched(at, end), at + touched * page);
    }
    discard(at, 300 * page);
    EXPECT_EQ(first_touched(at, end), at + 4'000 * page);
    EXPECT_EQ(first_touched(at, at), at);
    release(at, pages_in_all * page);
}

}  // namespace
