// The bits in g::why beside the reason: how far a parked goroutine has come on the way into hibernation.
//
//   bit 7  seen waiting: by a dump (wait_reason.hpp)
//   bit 6  settled: was parked already when the hibernator last came by
//   bit 5  cold: look before you run it (thaw()): its stack is away, or may be about to be
//
// begin_park() overwrites all of them with a plain reason: a park begins with none. Set by who holds the hibernation
// lock, while the goroutine waits. Cold is cleared under the stripe of the goroutine's stack, by whoever has put the
// stack back or found it there, and settled with it; and by the hibernator, without the stripe, when it gives up.
#pragma once

#include "base/atomic.hpp"
#include "rt/core/wait_reason.hpp"

namespace weft::rt {

inline constexpr std::uint8_t aged_bit = 0x40;
inline constexpr std::uint8_t cold_bit = 0x20;
static_assert((wait_reason_bits & (aged_bit | cold_bit | seen_waiting)) == 0);

[[nodiscard]] constexpr bool says_aged(wait_reason why) noexcept
{
    return (static_cast<std::uint8_t>(why) & aged_bit) != 0;
}
[[nodiscard]] constexpr bool says_cold(wait_reason why) noexcept
{
    return (static_cast<std::uint8_t>(why) & cold_bit) != 0;
}

/// False: the word has changed meanwhile.
[[nodiscard]] inline bool mark_aged(base::atomic<wait_reason>& word) noexcept
{
    wait_reason seen = word.load(base::memory_order_relaxed);
    return word.compare_exchange_strong(seen, static_cast<wait_reason>(static_cast<std::uint8_t>(seen) | aged_bit),
                                        base::memory_order_relaxed);
}

/// H1 of docs/design/hibernation.md. False: it is cold already, or has changed meanwhile.
[[nodiscard]] inline bool make_cold(base::atomic<wait_reason>& word) noexcept
{
    wait_reason seen = word.load(base::memory_order_relaxed);
    return !says_cold(seen) &&
           word.compare_exchange_strong(seen, static_cast<wait_reason>(static_cast<std::uint8_t>(seen) | cold_bit),
                                        base::memory_order_relaxed);
}

inline void clear_marks(base::atomic<wait_reason>& word, std::uint8_t bits) noexcept
{
    wait_reason seen = word.load(base::memory_order_relaxed);
    while (!word.compare_exchange_weak(seen, static_cast<wait_reason>(static_cast<std::uint8_t>(seen) & ~bits),
                                       base::memory_order_release, base::memory_order_relaxed)) {
    }
}

/// Leaves neither cold nor settled: it is, or may be, about to run, or its stack is in use.
inline void clear_cold(base::atomic<wait_reason>& word) noexcept
{
    clear_marks(word, cold_bit | aged_bit);
}

/// By the hibernator, which can't take it away now: it is as settled as before.
inline void give_up_cold(base::atomic<wait_reason>& word) noexcept
{
    clear_marks(word, cold_bit);
}

}  // namespace weft::rt
