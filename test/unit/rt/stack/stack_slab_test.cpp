// rt/stack/stack_slab.hpp: which stacks are free, and what the look takes of them, against a plain model.
#include "rt/stack/stack_slab.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/rng.hpp"

namespace {

using namespace weft::rt;

/// A slab of stacks that are never touched: only their addresses count.
class fake_slab {
public:
    fake_slab(unsigned cls, std::size_t stacks)
        : table_(stack_slab::table_bytes(stacks) / sizeof(std::uint64_t)),
          base_(reinterpret_cast<char*>(std::uintptr_t{1} << 40)),
          cls_(cls)
    {
        slab.init(base_, base_ + stacks * stack_bytes(cls), cls, table_.data());
    }
    [[nodiscard]] char* top(std::size_t i) const { return base_ + (i + 1) * stack_bytes(cls_); }
    [[nodiscard]] std::size_t index(const char* top) const
    {
        return static_cast<std::size_t>(top - base_) / stack_bytes(cls_) - 1;
    }

    stack_slab slab;

private:
    std::vector<std::uint64_t> table_;
    char* base_;
    unsigned cls_;
};

/// One whole look; returns what was done to each row.
std::map<std::size_t, row_work> look(stack_slab& slab, std::uint64_t surplus, bool tables = true, bool trim = true)
{
    stack_slab::aims aim{.surplus = surplus, .trim = trim, .tables = tables};
    std::map<std::size_t, row_work> done;
    for (std::size_t row = slab.row_count(); slab.next_warm_row(row);) {
        const row_work work = slab.begin_look(row, aim);
        slab.end_look(row, work);
        if (work.any())
            done[row] = work;
    }
    return done;
}

TEST(stack_slab_test, runs_of_ones)
{
    const auto runs = [](std::uint64_t bits)
    {
        std::vector<std::pair<unsigned, unsigned>> found;
        for_each_run(bits, [&](unsigned first, unsigned count) { found.emplace_back(first, count); });
        return found;
    };
    using list = std::vector<std::pair<unsigned, unsigned>>;
    EXPECT_EQ(runs(0), list{});
    EXPECT_EQ(runs(~std::uint64_t{0}), (list{{0, 64}}));
    EXPECT_EQ(runs(1), (list{{0, 1}}));
    EXPECT_EQ(runs(std::uint64_t{1} << 63), (list{{63, 1}}));
    EXPECT_EQ(runs(0x8000'0000'0000'0ff1), (list{{0, 1}, {4, 8}, {63, 1}}));
}

TEST(stack_slab_test, low_addresses_first)
{
    fake_slab fake(3, 10'000);
    for (const std::size_t i : {9'999U, 64U, 63U, 5'000U, 4'096U, 4'095U, 0U})
        fake.slab.give(fake.top(i), false);
    for (const std::size_t i : {0U, 63U, 64U, 4'095U, 4'096U, 5'000U, 9'999U})
        EXPECT_EQ(fake.index(fake.slab.take_warm()), i);
    EXPECT_FALSE(fake.slab.has_warm());
}

TEST(stack_slab_test, the_surplus_is_that_with_high_addresses)
{
    fake_slab fake(3, 1'000);
    for (std::size_t i = 0; i < 1'000; ++i)
        fake.slab.give(fake.top(i), false);
    look(fake.slab, 700);
    EXPECT_EQ(fake.slab.warm(), 300U);
    EXPECT_EQ(fake.slab.cold(), 700U);
    for (std::size_t i = 0; i < 300; ++i)
        EXPECT_EQ(fake.index(fake.slab.take_warm()), i);
    EXPECT_FALSE(fake.slab.has_warm());
    for (std::size_t i = 300; i < 1'000; ++i)
        EXPECT_EQ(fake.index(fake.slab.take_cold().top), i);
    EXPECT_FALSE(fake.slab.has_cold());
}

TEST(stack_slab_test, what_was_not_used_between_two_looks_is_trimmed_once)
{
    fake_slab fake(3, 64);
    for (std::size_t i = 0; i < 64; ++i)
        fake.slab.give(fake.top(i), false);
    for (int i = 0; i < 4; ++i)
        EXPECT_TRUE(look(fake.slab, 0, true, false).empty()) << "not every look is for that";
    EXPECT_TRUE(look(fake.slab, 0).empty()) << "they may be wanted again at once";
    char* const used = fake.slab.take_warm();
    fake.slab.give(used, false);
    EXPECT_TRUE(look(fake.slab, 0, true, false).empty());
    auto done = look(fake.slab, 0);
    EXPECT_EQ(done[0].trimmed, ~std::uint64_t{1}) << "all but the one that was used";
    done = look(fake.slab, 0);
    EXPECT_EQ(done[0].trimmed, 1U);
    EXPECT_TRUE(look(fake.slab, 0).empty());
    EXPECT_EQ(fake.slab.warm(), 64U);
}

TEST(stack_slab_test, what_comes_back_shallow_is_left_alone)
{
    fake_slab fake(5, 64);
    fake.slab.give(fake.top(7), true);
    for (int i = 0; i < 4; ++i)
        EXPECT_TRUE(look(fake.slab, 0).empty());
    EXPECT_EQ(fake.slab.take_warm(), fake.top(7));
    fake.slab.give(fake.top(7), false);
    EXPECT_TRUE(look(fake.slab, 0).empty());
    EXPECT_EQ(look(fake.slab, 0)[0].trimmed, std::uint64_t{1} << 7) << "that was another use";
}

TEST(stack_slab_test, page_tables_go_with_the_last_stack_of_two_mebibytes)
{
    fake_slab fake(1, 64);  // of 128 KiB: 16 share a page-table page
    for (std::size_t i = 0; i < 64; ++i)
        if (i != 20)
            fake.slab.give(fake.top(i), false);
    auto done = look(fake.slab, 64);
    EXPECT_EQ(done[0].released, 0xffff'ffff'0000'ffffU) << "one of the second sixteen is in use";
    fake.slab.give(fake.top(20), false);
    done = look(fake.slab, 64);
    EXPECT_EQ(done[0].dropped, std::uint64_t{1} << 20);
    EXPECT_EQ(done[0].released, 0xffff'0000U) << "with those that were cold already";
    EXPECT_EQ(fake.slab.cold(), 64U);
    for (int i = 0; i < 64; ++i)
        EXPECT_TRUE(fake.slab.take_cold().bare);
}

TEST(stack_slab_test, page_tables_of_other_sizes)
{
    const auto released = [](unsigned cls, bool tables)
    {
        fake_slab fake(cls, 64);
        for (std::size_t i = 0; i < 64; ++i)
            fake.slab.give(fake.top(i), false);
        return look(fake.slab, 64, tables)[0].released;
    };
    for (unsigned cls = 0; cls < stack_classes; ++cls) {
        EXPECT_EQ(released(cls, true), ~std::uint64_t{0}) << "class " << cls;
        EXPECT_EQ(released(cls, false), 0U) << "class " << cls;
    }
}

/// What a stack is, in the plain model.
struct modelled {
    enum { in_use, warm, cold } state = in_use;
    bool bare = false;
    bool touched = true;  ///< has pages beyond the top one
};

class random_walk {
public:
    random_walk(unsigned cls, std::size_t stacks, std::uint64_t seed)
        : fake_(cls, stacks), model_(stacks), random_(seed), per_table_((std::size_t{2} << 20) / stack_bytes(cls))
    {
    }
    void step()
    {
        switch (random_.below(8)) {
            case 0:
            case 1:
            case 2:
                give();
                break;
            case 3:
            case 4:
                take_warm();
                break;
            case 5:
            case 6:
                take_cold();
                break;
            default:
                look_at_all();
        }
        std::size_t warm = 0;
        std::size_t cold = 0;
        for (const modelled& m : model_) {
            warm += m.state == modelled::warm ? 1 : 0;
            cold += m.state == modelled::cold ? 1 : 0;
        }
        ASSERT_EQ(fake_.slab.warm(), warm);
        ASSERT_EQ(fake_.slab.cold(), cold);
    }

private:
    void give()
    {
        for (std::size_t n = random_.below(model_.size()); n > 0; --n) {
            const std::size_t i = random_.below(model_.size());
            if (model_[i].state != modelled::in_use)
                continue;
            const bool shallow = random_.below(4) == 0;
            fake_.slab.give(fake_.top(i), shallow);
            model_[i] = {modelled::warm, false, !shallow};
        }
    }
    std::size_t first(decltype(modelled::state) state)
    {
        std::size_t i = 0;
        while (i < model_.size() && model_[i].state != state)
            ++i;
        return i;
    }
    void take_warm()
    {
        for (std::size_t n = random_.below(model_.size()); n > 0 && fake_.slab.has_warm(); --n) {
            const std::size_t i = fake_.index(fake_.slab.take_warm());
            ASSERT_EQ(i, first(modelled::warm));
            model_[i] = {};
        }
    }
    void take_cold()
    {
        for (std::size_t n = random_.below(model_.size()); n > 0 && fake_.slab.has_cold(); --n) {
            const auto [top, bare] = fake_.slab.take_cold();
            const std::size_t i = fake_.index(top);
            ASSERT_EQ(i, first(modelled::cold));
            ASSERT_EQ(bare, model_[i].bare);
            model_[i] = {};
        }
    }
    void look_at_all()
    {
        const std::uint64_t warm = fake_.slab.warm();
        const std::uint64_t surplus = random_.below(model_.size());
        std::uint64_t dropped = 0;
        for (const auto& [row, work] : look(fake_.slab, surplus, true, random_.one_in(2))) {
            for (std::size_t bit = 0; bit < 64 && row * 64 + bit < model_.size(); ++bit) {
                modelled& m = model_[row * 64 + bit];
                const std::uint64_t mask = std::uint64_t{1} << bit;
                if ((work.dropped & mask) != 0) {
                    ASSERT_EQ(m.state, modelled::warm);
                    m = {modelled::cold, false, false};
                    ++dropped;
                }
                if ((work.trimmed & mask) != 0) {
                    ASSERT_EQ(m.state, modelled::warm);
                    ASSERT_TRUE(m.touched);
                    m.touched = false;
                }
                if ((work.released & mask) != 0)
                    m.bare = true;
            }
            ASSERT_EQ(work.dropped & work.trimmed, 0U);
            check_released(row, work.released);
        }
        ASSERT_EQ(dropped, std::min(warm, surplus));
    }
    /// Nothing that is in use, or keeps memory, loses its guard.
    void check_released(std::size_t row, std::uint64_t released)
    {
        for (std::size_t bit = 0; bit < 64; ++bit) {
            if ((released >> bit & 1) == 0)
                continue;
            const std::size_t table = (row * 64 + bit) / per_table_;
            for (std::size_t i = table * per_table_; i < (table + 1) * per_table_; ++i)
                ASSERT_EQ(model_[i].state, modelled::cold);
        }
    }

    fake_slab fake_;
    std::vector<modelled> model_;
    weft::test::rng random_;
    std::size_t per_table_;
};

TEST(stack_slab_test, agrees_with_a_plain_model)
{
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        random_walk walk(1 + static_cast<unsigned>(seed % 5), seed % 2 == 0 ? 256 : 192, seed);
        for (int i = 0; i < 200 && !HasFatalFailure(); ++i)
            walk.step();
    }
}

}  // namespace
