// Where an exploration (weft/testing.hpp) may let another goroutine run. Nothing here is for users.
#pragma once

#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"

namespace weft::detail {

/// Changes the turn or not, as the seed says, if the caller is a goroutine of an exploration. To be called with no lock
/// of the library held, where a goroutine may park.
WEFT_API void explore_point_slow() noexcept;

/// The same; costs one predicted branch when nobody explores.
WEFT_ALWAYS_INLINE void explore_point() noexcept
{
    if (base::exploring()) [[unlikely]]
        explore_point_slow();
}

}  // namespace weft::detail
