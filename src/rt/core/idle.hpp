// idle_word: how many Ps are idle and how many Ms look for work, in one word, so that whoever makes work can decide
// with one plain load whether somebody must be woken. docs/design/idle.md has the protocol and why no wake-up is lost;
// test/model/idle_test.cpp explores it.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"

namespace weft::rt {

class idle_word {
public:
    static constexpr std::uint64_t one_idle = 1;
    static constexpr std::uint64_t one_spinning = std::uint64_t{1} << 32;

    struct view {
        std::uint32_t idle;      ///< Ps on the idle list
        std::uint32_t spinning;  ///< Ms with a P that look for work
    };
    [[nodiscard]] view read() const noexcept { return split(word_.load(base::memory_order_relaxed)); }

    /// After work was made (and a light fence): is there an idle P, and nobody looking for work?
    [[nodiscard]] bool needs_waking() const noexcept
    {
        const view now = read();
        return now.idle != 0 && now.spinning == 0;
    }
    /// The one waker: counts itself a spinning M in advance. False: nobody is to be woken.
    [[nodiscard]] bool begin_wake() noexcept
    {
        std::uint64_t seen = word_.load(base::memory_order_relaxed);
        do {
            const view now = split(seen);
            if (now.idle == 0 || now.spinning != 0)
                return false;
        } while (!word_.compare_exchange_weak(seen, seen + one_spinning, base::memory_order_seq_cst,
                                              base::memory_order_relaxed));
        return true;
    }
    /// An M without work begins to look for it, unless half of the busy ones already do.
    [[nodiscard]] bool begin_spin(std::uint32_t procs) noexcept
    {
        const view now = read();
        if (2 * now.spinning >= procs - now.idle)
            return false;
        word_.fetch_add(one_spinning, base::memory_order_seq_cst);
        return true;
    }
    /// What the spinning M found lets it stop; the caller must look whether others are needed (idle.md, step F2).
    void end_spin() noexcept { word_.fetch_sub(one_spinning, base::memory_order_seq_cst); }

    // Under the scheduler's lock: a P goes to the idle list or leaves it.
    void add_idle(bool was_spinning) noexcept
    {
        word_.fetch_add(one_idle - (was_spinning ? one_spinning : 0), base::memory_order_seq_cst);
    }
    void take_idle(bool to_spin) noexcept
    {
        word_.fetch_add((to_spin ? one_spinning : 0) - one_idle, base::memory_order_seq_cst);
    }

private:
    static view split(std::uint64_t w) noexcept
    {
        return {static_cast<std::uint32_t>(w), static_cast<std::uint32_t>(w >> 32)};
    }
    base::atomic<std::uint64_t> word_{0};
};

}  // namespace weft::rt
