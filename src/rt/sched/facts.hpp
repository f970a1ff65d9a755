// What the layers above ask the scheduler of the moment: the time, a random number, whether spinning pays.
#pragma once

#include <cstdint>

#include "rt/core/m.hpp"

namespace weft::rt {

/// Uniform in [0, n), n > 0; for choices, not for secrets. `self`: see park_in_section().
[[nodiscard]] std::uint32_t random_below(m* self, std::uint32_t n) noexcept;

/// The caller's time in ns: the monotonic clock, or that of its bubble.
[[nodiscard]] std::int64_t now() noexcept;

/// Counts for code that may spin for a while before it parks.
[[nodiscard]] bool worth_spinning() noexcept;

}  // namespace weft::rt
