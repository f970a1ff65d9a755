// stack_slab: which stacks of a slab are free, and in what condition. Nothing of it lies in the stacks themselves, so
// their memory can go back to the kernel while they wait. docs/design/stacks.md.
//
// A stack is in exactly one of these states:
//   in use   no bit is set: a goroutine, a P's cache, or for a moment the look owns it
//   warm     free, and may have memory
//   cold     free, without any
// and of the warm ones, `seen`: it was free at the last look for those that were deep; `shallow`: no memory beyond its
// top page; of the cold ones, `bare`: without its guard.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "rt/stack/stack.hpp"

namespace weft::rt {

/// 64 stacks, lowest address in the lowest bit.
struct stack_row {
    std::uint64_t warm;
    std::uint64_t seen;
    std::uint64_t shallow;
    std::uint64_t cold;
    std::uint64_t bare;
};

/// What the look does to stacks of a row that it owns meanwhile.
struct row_work {
    std::uint64_t dropped = 0;   ///< were warm: lose their memory
    std::uint64_t released = 0;  ///< lose their guards and page tables as well; among them are some of `dropped`
    std::uint64_t trimmed = 0;   ///< keep their top page

    [[nodiscard]] bool any() const noexcept { return (dropped | released | trimmed) != 0; }
};

/// Calls f(first, count) for each run of ones.
template <class F>
void for_each_run(std::uint64_t bits, F f)
{
    for (unsigned first = 0; bits != 0;) {
        const auto gap = static_cast<unsigned>(std::countr_zero(bits));
        bits >>= gap;
        const auto count = static_cast<unsigned>(std::countr_one(bits));
        f(first + gap, count);
        first += gap + count;
        bits = count == 64 ? 0 : bits >> count;
    }
}

/// Everything but the constants is guarded by the lock of the class.
class stack_slab {
public:
    constexpr stack_slab() noexcept = default;

    /// Memory that init() wants for `stacks` of them.
    [[nodiscard]] static constexpr std::size_t table_bytes(std::size_t stacks) noexcept
    {
        return rows_of(stacks) * sizeof(stack_row) + 2 * words_of(rows_of(stacks)) * sizeof(std::uint64_t);
    }

    /// [low, high) of stacks of class `cls`, all in use so far. `table`: zeroed, of table_bytes(), for good.
    void init(char* low, char* high, unsigned cls, void* table) noexcept
    {
        memory_.low = reinterpret_cast<std::uintptr_t>(low);
        memory_.high = reinterpret_cast<std::uintptr_t>(high);
        memory_.cls = cls;
        row_count_ = rows_of(static_cast<std::size_t>(high - low) / stack_bytes(cls));
        rows_ = static_cast<stack_row*>(table);
        warm_rows_ = reinterpret_cast<std::uint64_t*>(rows_ + row_count_);
        cold_rows_ = warm_rows_ + words_of(row_count_);
    }

    // -- constants
    [[nodiscard]] bool holds(std::uintptr_t address) const noexcept
    {
        return address >= memory_.low && address < memory_.high;
    }
    [[nodiscard]] char* low() const noexcept { return reinterpret_cast<char*>(memory_.low); }
    [[nodiscard]] char* high() const noexcept { return reinterpret_cast<char*>(memory_.high); }
    [[nodiscard]] unsigned cls() const noexcept { return memory_.cls; }
    [[nodiscard]] slab_info& memory() noexcept { return memory_; }
    [[nodiscard]] std::size_t row_count() const noexcept { return row_count_; }
    [[nodiscard]] char* low_of(std::size_t row, unsigned bit) const noexcept
    {
        return low() + (row * 64 + bit) * stack_bytes(memory_.cls);
    }

    // -- taking and giving
    [[nodiscard]] bool has_warm() const noexcept { return warm_ != 0; }
    [[nodiscard]] bool has_cold() const noexcept { return cold_ != 0; }
    [[nodiscard]] std::uint64_t warm() const noexcept { return warm_; }
    [[nodiscard]] std::uint64_t cold() const noexcept { return cold_; }

    /// The warm stack with the lowest address. Precondition: has_warm().
    [[nodiscard]] char* take_warm() noexcept
    {
        const std::size_t r = first_of(warm_rows_);
        stack_row& row = rows_[r];
        const std::uint64_t bit = row.warm & (0 - row.warm);
        row.warm ^= bit;
        row.seen &= ~bit;
        row.shallow &= ~bit;
        --warm_;
        note(warm_rows_, r, row.warm);
        return low_of(r, static_cast<unsigned>(std::countr_zero(bit))) + stack_bytes(memory_.cls);
    }
    struct cold_stack {
        char* top;
        bool bare;
    };
    /// The cold stack with the lowest address. Precondition: has_cold().
    [[nodiscard]] cold_stack take_cold() noexcept
    {
        const std::size_t r = first_of(cold_rows_);
        stack_row& row = rows_[r];
        const std::uint64_t bit = row.cold & (0 - row.cold);
        const bool bare = (row.bare & bit) != 0;
        row.cold ^= bit;
        row.bare &= ~bit;
        --cold_;
        note(cold_rows_, r, row.cold);
        return {low_of(r, static_cast<unsigned>(std::countr_zero(bit))) + stack_bytes(memory_.cls), bare};
    }
    void give(const char* top, bool shallow) noexcept
    {
        const place at = place_of(top);
        stack_row& row = rows_[at.row];
        row.warm |= at.bit;
        row.shallow |= shallow ? at.bit : 0;
        ++warm_;
        note(warm_rows_, at.row, row.warm);
    }
    /// One that has no memory and no guard.
    void give_bare(const char* top) noexcept
    {
        const place at = place_of(top);
        stack_row& row = rows_[at.row];
        row.cold |= at.bit;
        row.bare |= at.bit;
        ++cold_;
        note(cold_rows_, at.row, row.cold);
    }

    // -- the look
    /// Moves `r` down to the next row with a warm stack; from row_count() on, the highest. False: there is none.
    [[nodiscard]] bool next_warm_row(std::size_t& r) const noexcept
    {
        while (warm_ != 0 && r > 0) {
            const std::size_t word = (r - 1) / 64;
            const auto above = static_cast<unsigned>(63 - (r - 1) % 64);
            if (const std::uint64_t left = warm_rows_[word] << above >> above; left != 0) {
                r = word * 64 + 63 - static_cast<unsigned>(std::countl_zero(left));
                return true;
            }
            r = word * 64;
        }
        return false;
    }
    struct aims {
        std::uint64_t surplus;  ///< so many warm stacks are to be dropped; counted down
        bool trim;              ///< look for those that were deep and have not been needed since the last such look
        bool tables;            ///< take 2 MiB in which nothing is in use any more from the page tables
    };
    /// Takes out of row `r` what is to be worked on; of the surplus, those with the highest addresses. end_look() puts
    /// them back.
    [[nodiscard]] row_work begin_look(std::size_t r, aims& aim) noexcept
    {
        stack_row& row = rows_[r];
        row_work work;
        work.dropped = highest(row.warm, aim.surplus);
        aim.surplus -= static_cast<std::uint64_t>(std::popcount(work.dropped));
        const std::uint64_t kept = row.warm & ~work.dropped;
        if (aim.trim)
            work.trimmed = kept & row.seen & ~row.shallow;
        if (aim.tables)
            work.released = whole_tables(row.cold | work.dropped, work.dropped);
        const std::uint64_t out_of_cold = row.cold & work.released;
        warm_ -= static_cast<std::uint64_t>(std::popcount(work.dropped | work.trimmed));
        cold_ -= static_cast<std::uint64_t>(std::popcount(out_of_cold));
        row.warm = kept & ~work.trimmed;
        row.seen = aim.trim ? row.warm : row.seen & row.warm;
        row.shallow &= row.warm;
        row.cold ^= out_of_cold;
        row.bare &= row.cold;
        note(warm_rows_, r, row.warm);
        note(cold_rows_, r, row.cold);
        return work;
    }
    void end_look(std::size_t r, const row_work& work) noexcept
    {
        stack_row& row = rows_[r];
        const std::uint64_t cold = work.dropped | work.released;
        row.warm |= work.trimmed;
        row.seen |= work.trimmed;
        row.shallow |= work.trimmed;
        row.cold |= cold;
        row.bare |= work.released;
        warm_ += static_cast<std::uint64_t>(std::popcount(work.trimmed));
        cold_ += static_cast<std::uint64_t>(std::popcount(cold));
        note(warm_rows_, r, row.warm);
        note(cold_rows_, r, row.cold);
    }

    stack_slab* next = nullptr;      ///< of the same class, made after this one
    stack_slab* previous = nullptr;  ///< made before

private:
    struct place {
        std::size_t row;
        std::uint64_t bit;
    };

    [[nodiscard]] static constexpr std::size_t rows_of(std::size_t stacks) noexcept { return (stacks + 63) / 64; }
    [[nodiscard]] static constexpr std::size_t words_of(std::size_t rows) noexcept { return (rows + 63) / 64; }

    [[nodiscard]] place place_of(const char* top) const noexcept
    {
        const std::size_t index = static_cast<std::size_t>(top - low()) / stack_bytes(memory_.cls) - 1;
        return {index / 64, std::uint64_t{1} << (index % 64)};
    }
    /// Precondition: some bit is set.
    [[nodiscard]] static std::size_t first_of(const std::uint64_t* words) noexcept
    {
        std::size_t word = 0;
        while (words[word] == 0)
            ++word;
        return word * 64 + static_cast<std::size_t>(std::countr_zero(words[word]));
    }
    static void note(std::uint64_t* words, std::size_t r, std::uint64_t stacks) noexcept
    {
        const std::uint64_t bit = std::uint64_t{1} << (r % 64);
        std::uint64_t& word = words[r / 64];
        word = stacks != 0 ? word | bit : word & ~bit;
    }
    [[nodiscard]] static std::uint64_t highest(std::uint64_t bits, std::uint64_t most) noexcept
    {
        while (static_cast<std::uint64_t>(std::popcount(bits)) > most)
            bits &= bits - 1;
        return bits;
    }
    /// Those of `free` that share no page-table page with one that is not, where one of `dropped` is among them.
    [[nodiscard]] std::uint64_t whole_tables(std::uint64_t free, std::uint64_t dropped) const noexcept
    {
        constexpr std::size_t table = std::size_t{2} << 20;  // what a page-table page maps; slabs begin at a multiple
        const std::size_t each = std::max<std::size_t>(table / stack_bytes(memory_.cls), 1);  // 16 at most
        const std::uint64_t ones = (std::uint64_t{1} << each) - 1;
        std::uint64_t whole = 0;
        for (std::size_t first = 0; first < 64; first += each) {
            const std::uint64_t mask = ones << first;
            if ((free & mask) == mask && (dropped & mask) != 0)
                whole |= mask;
        }
        return whole;
    }

    // -- constants
    slab_info memory_{};
    std::size_t row_count_ = 0;
    stack_row* rows_ = nullptr;
    std::uint64_t* warm_rows_ = nullptr;  ///< which rows have a warm stack
    std::uint64_t* cold_rows_ = nullptr;

    std::uint64_t warm_ = 0;
    std::uint64_t cold_ = 0;
};

}  // namespace weft::rt
