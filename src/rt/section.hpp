// section: the part of a runtime call in which the M's P is not to be stolen from (claim.hpp).
//
// What the layers above do under a lock of theirs, they do inside one: an M that is stopped for good (process exit) is
// stopped at the beginning of a section, so never with such a lock held.
#pragma once

#include "base/cpu.hpp"
#include "rt/m.hpp"

namespace weft::rt {

void enter_slow(m& self) noexcept;
WEFT_ALWAYS_INLINE void enter(m& self) noexcept
{
    if (!self.own.try_enter()) [[unlikely]]
        enter_slow(self);
}
WEFT_ALWAYS_INLINE void leave(m& self) noexcept
{
    self.own.exit();
}

/// Begins a section. Null on a plain thread, which needs none.
[[nodiscard]] WEFT_ALWAYS_INLINE m* begin_section() noexcept
{
    m* const self = this_m();
    if (self != nullptr) [[likely]]
        enter(*self);
    return self;
}
WEFT_ALWAYS_INLINE void end_section(m* self) noexcept
{
    if (self != nullptr) [[likely]]
        leave(*self);
}

}  // namespace weft::rt
