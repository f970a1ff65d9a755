// section: the part of a runtime call in which the M's P is not to be stolen from (section_word.hpp).
//
// What the layers above do under a lock of theirs, they do inside one: an M that is stopped for good (process exit) is
// stopped at the beginning of a section, so never with such a lock held. Nor may a section begin with a lock held that
// others take inside theirs: the M may have to wait for a P first (retake.md). park() alone may be called so. Nor may
// anybody wait for a biased_lock inside one: its holder may be waiting for the end of this section.
#pragma once

#include "base/cpu.hpp"
#include "rt/core/m.hpp"
#include "rt/core/thread_local.hpp"

namespace weft::rt {

/// Without a P: sleeps until the M has one. The goroutine stays on its thread.
void enter_slow(m& self) noexcept;
/// For a goroutine that is about to leave its M. False: the M has no P, or is stopped; not entered.
[[nodiscard]] bool enter_to_leave_slow(m& self) noexcept;
/// For what can be done without a P as well. False: the M has none; not entered.
[[nodiscard]] bool enter_with_p_slow(m& self) noexcept;
WEFT_ALWAYS_INLINE void enter(m& self) noexcept
{
    if (!self.section.try_enter()) [[unlikely]]
        enter_slow(self);
}
[[nodiscard]] WEFT_ALWAYS_INLINE bool enter_to_leave(m& self) noexcept
{
    return self.section.try_enter() || enter_to_leave_slow(self);
}
[[nodiscard]] WEFT_ALWAYS_INLINE bool enter_with_p(m& self) noexcept
{
    return self.section.try_enter() || enter_with_p_slow(self);
}
WEFT_ALWAYS_INLINE void leave(m& self) noexcept
{
    self.section.exit();
}

/// Begins a section if the caller is on an M with a P. Else null, and what is to be run goes to the global queue.
[[nodiscard]] WEFT_ALWAYS_INLINE m* begin_section_with_p() noexcept
{
    m* const self = this_m();
    return self != nullptr && enter_with_p(*self) ? self : nullptr;
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

/// Process exit has begun: this M runs no goroutine any more.
[[noreturn]] void stop_here() noexcept;

}  // namespace weft::rt
