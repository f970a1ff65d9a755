// futex(2): sleeping on a 32-bit word, within this process.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"

namespace weft::sys {

/// Sleeps while `word` is `expected`. Returns on a wake, a signal, a different value, or for no reason: look again.
void futex_wait(const base::atomic<std::uint32_t>& word, std::uint32_t expected) noexcept;

/// The same until `deadline` (nanoseconds of CLOCK_MONOTONIC) at the most. False: the deadline has passed.
bool futex_wait_until(const base::atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t deadline) noexcept;

/// Wakes up to `count` sleepers. The word may be gone already: only its address is used.
void futex_wake(const base::atomic<std::uint32_t>* word, int count) noexcept;

}  // namespace weft::sys
