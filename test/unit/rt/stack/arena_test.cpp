// rt::arena: aligned pieces that do not overlap, from few reservations.
#include "rt/stack/arena.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using weft::rt::arena;

constexpr std::size_t kib = 1'024;

TEST(arena_test, pieces_are_aligned_zeroed_and_disjoint)
{
    arena r(64 * kib, 1'024 * kib, weft::sys::pages::small, "weft test");
    std::vector<char*> pieces;
    constexpr std::size_t size = 16 * kib;
    for (int i = 0; i < 300; ++i) {
        auto* const piece = static_cast<char*>(r.carve(size, size));
        ASSERT_NE(piece, nullptr);
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(piece) % size, 0U);
        ASSERT_EQ(std::count(piece, piece + size, 0), static_cast<std::ptrdiff_t>(size));
        std::memset(piece, 0x5a, size);
        pieces.push_back(piece);
    }
    std::sort(pieces.begin(), pieces.end());
    for (std::size_t i = 1; i < pieces.size(); ++i)
        ASSERT_GE(pieces[i] - pieces[i - 1], static_cast<std::ptrdiff_t>(size));
    EXPECT_GE(r.reserved(), 300 * size);
    EXPECT_LE(r.reserved(), 300 * size + 1'024 * kib);
}

TEST(arena_test, a_piece_may_be_larger_than_a_reservation)
{
    arena r(4 * kib, 8 * kib, weft::sys::pages::small, "weft test");
    auto* const piece = static_cast<char*>(r.carve(256 * kib, 64 * kib));
    ASSERT_NE(piece, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece) % (64 * kib), 0U);
    piece[0] = 1;
    piece[256 * kib - 1] = 1;
}

TEST(arena_test, refuses_what_no_address_space_holds)
{
    arena r(4 * kib, 4 * kib, weft::sys::pages::small, "weft test");
    EXPECT_EQ(r.carve(std::size_t{1} << 50, 4 * kib), nullptr);
    EXPECT_EQ(r.reserved(), 0U);
    EXPECT_NE(r.carve(4 * kib, 4 * kib), nullptr) << "and goes on";
}

}  // namespace
