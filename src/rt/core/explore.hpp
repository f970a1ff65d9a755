// The points at which a testing::explore() may let another goroutine run.
#pragma once

#include "weft/detail/config.hpp"
#include "weft/detail/explore.hpp"

namespace weft::rt {

/// In a testing::explore(), lets another goroutine run or not. ready() and park() do it themselves; for operations that
/// need neither. No lock may be held, nor a section.
WEFT_ALWAYS_INLINE void explore_point() noexcept
{
    detail::explore_point();
}

}  // namespace weft::rt
