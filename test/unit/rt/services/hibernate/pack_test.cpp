// rt/services/hibernate/pack.hpp: what comes out of a packed stack is what went in; and the memory for them.
#include "rt/services/hibernate/pack.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/rng.hpp"
#include "support/scale.hpp"

namespace {

using namespace weft::rt;
using weft::test::rng;

constexpr std::size_t largest = packed_bound(most_packed_words);

/// Room for any packed stack, and some bytes behind it that nobody may write to.
class room {
public:
    room() { std::memset(bytes_.data(), canary, bytes_.size()); }
    packed_stack& block() { return *reinterpret_cast<packed_stack*>(bytes_.data()); }
    [[nodiscard]] bool intact_from(std::size_t n) const
    {
        return std::all_of(bytes_.begin() + static_cast<std::ptrdiff_t>(n), bytes_.end(),
                           [](unsigned char c) { return c == canary; });
    }

private:
    static constexpr unsigned char canary = 0xa5;
    alignas(16) std::array<unsigned char, largest + 64> bytes_;
};

/// Packs and unpacks; returns how many bytes it took.
std::size_t expect_round_trip(const std::vector<std::uint64_t>& words)
{
    const auto packed = std::make_unique<room>();
    packed_stack& block = packed->block();
    pack(words.data(), words.size(), block);
    EXPECT_EQ(block.words, words.size());
    EXPECT_LE(block.bytes, packed_bound(words.size()));
    EXPECT_TRUE(packed->intact_from(block.bytes)) << "more was written than it says";
    std::vector<std::uint64_t> back(words.size() + 1, 0x5a5a);
    unpack(block, reinterpret_cast<std::uintptr_t>(words.data()), back.data());
    EXPECT_EQ(back.back(), 0x5a5aU) << "more was unpacked than there was";
    back.pop_back();
    EXPECT_EQ(back, words);
    return block.bytes;
}

TEST(pack_test, nothing)
{
    EXPECT_EQ(expect_round_trip({}), packed_head);
}

TEST(pack_test, words_at_the_edges_of_each_form)
{
    std::vector<std::uint64_t> words(1024);
    const auto own = reinterpret_cast<std::uintptr_t>(words.data());
    const auto code = reinterpret_cast<std::uintptr_t>(&pack);
    std::size_t n = 0;
    for (const std::uint64_t edge :
         {std::uint64_t{0}, std::uint64_t{0x80}, std::uint64_t{0x100}, std::uint64_t{0x8000}, std::uint64_t{0x1'0000},
          std::uint64_t{0x8000'0000}, std::uint64_t{0x1'0000'0000}, std::uint64_t{0x8000'0000'0000},
          std::uint64_t{0x1'0000'0000'0000}, std::uint64_t{1} << 63U, ~std::uint64_t{0x7f}, ~std::uint64_t{0xff},
          ~std::uint64_t{0x7fff'ffff}, std::uint64_t{own}, std::uint64_t{own} + 0x1'0000, std::uint64_t{code},
          std::uint64_t{code} + 0x8000'0000U, std::uint64_t{code} - 0x8000'0000U})
        for (std::uint64_t beside = 0; beside < 5; ++beside)
            words[n++] = edge + beside - 2;
    words.resize(n);
    expect_round_trip(words);
    for (std::size_t count = 0; count < n; ++count)
        expect_round_trip({words.begin(), words.begin() + static_cast<std::ptrdiff_t>(count)});
}

TEST(pack_test, random_words_of_all_forms)
{
    const std::uint64_t seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    rng r(seed);
    for (std::size_t round = 0; round < weft::test::scaled(4'000); ++round) {
        std::vector<std::uint64_t> words(r.below(r.one_in(16) ? most_packed_words + 1 : 200));
        const auto own = reinterpret_cast<std::uintptr_t>(words.data());
        for (std::uint64_t& w : words) {
            switch (r.below(8)) {
                case 0:
                    w = 0;
                    break;
                case 1:
                    w = own + r.below(0x1'0000);
                    break;
                case 2:
                    w = own - r.below(0x1'0000);
                    break;
                case 3:
                    w = reinterpret_cast<std::uintptr_t>(&unpack) + r.next() % 0x1'0000'0000 - 0x8000'0000;
                    break;
                case 4:
                    w = ~(r.next() >> r.below(64));
                    break;
                default:
                    w = r.next() >> r.below(64);
            }
        }
        expect_round_trip(words);
        if (HasFailure())
            return;
    }
}

TEST(pack_test, the_most_words_that_pack_worst)
{
    const std::vector<std::uint64_t> words(most_packed_words, 0x8000'0000'0000'0001U);
    EXPECT_EQ(expect_round_trip(words), largest);
}

TEST(pack_test, little_is_packed_into_little)
{
    EXPECT_EQ(expect_round_trip(std::vector<std::uint64_t>(64, 0)), packed_head + 32);
    EXPECT_EQ(expect_round_trip(std::vector<std::uint64_t>(65, 7)), packed_head + 33 + 65);
    EXPECT_EQ(expect_round_trip(std::vector<std::uint64_t>(2, ~std::uint64_t{0})), packed_head + 1 + 2);
    std::vector<std::uint64_t> own(64);
    for (std::uint64_t& w : own)
        w = reinterpret_cast<std::uintptr_t>(&w);
    EXPECT_EQ(expect_round_trip(own), packed_head + 32 + 2 * own.size());
}

// --- memory for them

struct held_block {
    packed_stack* at;
    std::size_t bytes;
    unsigned char mark;

    void fill() const { std::memset(static_cast<void*>(at), mark, bytes); }
    [[nodiscard]] bool intact() const
    {
        const auto* const from = reinterpret_cast<const unsigned char*>(at);
        return std::all_of(from, from + bytes, [this](unsigned char c) { return c == mark; });
    }
};

std::size_t any_size(rng& r)
{
    constexpr std::array<std::size_t, 4> most{256, 1024, 4096, largest};
    return 1 + r.below(most[r.below(4)]);
}

TEST(pack_test, every_size_is_to_be_had)
{
    std::vector<packed_stack*> all;
    for (std::size_t bytes = 1; bytes <= largest; bytes += bytes < 5'000 ? 1 : 61)
        all.push_back(take_packed(bytes));
    all.push_back(take_packed(largest));
    EXPECT_EQ(std::count(all.begin(), all.end(), nullptr), 0);
    std::sort(all.begin(), all.end());
    EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end()) << "one block twice";
    for (packed_stack* const block : all) {
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignof(packed_stack), 0U);
        give_packed(block);
    }
}

/// Takes and gives at random, up to `most` at a time; false: one was overwritten.
bool take_and_give(rng r, std::size_t rounds, std::size_t most)
{
    std::vector<held_block> held;
    bool good = true;
    for (std::size_t i = 0; i < rounds; ++i) {
        if (held.size() < most && !r.one_in(3)) {
            const std::size_t bytes = any_size(r);
            held.push_back({take_packed(bytes), bytes, static_cast<unsigned char>(r.next())});
            held.back().fill();
        } else if (!held.empty()) {
            std::swap(held[r.below(held.size())], held.back());
            good = good && held.back().intact();
            give_packed(held.back().at);
            held.pop_back();
        }
    }
    for (const held_block& h : held) {
        good = good && h.intact();
        give_packed(h.at);
    }
    return good;
}

TEST(pack_test, blocks_do_not_overlap_and_counts_add_up)
{
    const packed_counts before = count_packed();
    const std::uint64_t seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    EXPECT_TRUE(take_and_give(rng(seed), weft::test::scaled(200'000), 3'000));
    EXPECT_EQ(count_packed().blocks, before.blocks);
    EXPECT_EQ(count_packed().bytes, before.bytes);
}

TEST(pack_test, several_threads)
{
    const packed_counts before = count_packed();
    const std::uint64_t seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::array<bool, 4> good{};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < good.size(); ++i)
        threads.emplace_back([&, i] { good[i] = take_and_give(rng(seed + i), weft::test::scaled(100'000), 500); });
    for (std::thread& t : threads)
        t.join();
    for (const bool g : good)
        EXPECT_TRUE(g);
    EXPECT_EQ(count_packed().blocks, before.blocks);
    EXPECT_EQ(count_packed().bytes, before.bytes);
}

TEST(pack_test, memory_goes_back)
{
    constexpr std::size_t chunk = std::size_t{64} << 10;
    constexpr std::size_t kept = 16 * chunk;
    const packed_counts before = count_packed();
    const std::size_t n = weft::test::scaled(200'000);
    std::vector<packed_stack*> all(n);
    for (int round = 0; round < 3; ++round) {
        for (packed_stack*& block : all) {
            block = take_packed(200);
            ASSERT_NE(block, nullptr);
            block->bytes = 1;
        }
        const packed_counts full = count_packed();
        EXPECT_EQ(full.blocks, before.blocks + n);
        EXPECT_EQ(full.bytes, before.bytes + n * 208);  // rounded up to 16
        EXPECT_GE(full.committed, full.bytes);
        EXPECT_LE(full.committed, before.committed + n * 208 + n / 64 * 208 + kept + chunk) << "more than 1 % beside";
        for (packed_stack* const block : all)
            give_packed(block);
        EXPECT_LE(count_packed().committed, before.committed + kept);
        EXPECT_EQ(count_packed().bytes, before.bytes);
    }
}

TEST(pack_test, what_is_left_of_one_size_serves_another)
{
    const packed_counts before = count_packed();
    std::vector<packed_stack*> all(weft::test::scaled(20'000));
    for (std::size_t bytes : {std::size_t{100}, std::size_t{1'500}, std::size_t{9'000}}) {
        for (packed_stack*& block : all)
            block = take_packed(bytes);
        for (packed_stack* const block : all)
            give_packed(block);
    }
    constexpr std::size_t kept = std::size_t{1} << 20;
    EXPECT_LE(count_packed().committed, before.committed + kept);
}

}  // namespace
