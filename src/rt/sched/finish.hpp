// The first function of every stack, and how a goroutine ends.
#pragma once

#include "rt/core/g.hpp"
#include "rt/core/m.hpp"

namespace weft::rt {

/// What must be known of a goroutine after its body has run, when its control block may be somebody else's already.
struct goroutine_end {
    char* stack_top;
    std::uint8_t stack_class;
    bool kept;
};
[[nodiscard]] inline goroutine_end end_of(const g& item) noexcept
{
    return {item.stack_top, item.stack_class, (item.flags & g::kept) != 0};
}
/// Ends the calling goroutine where it stands, as if its body had returned; `end` is from before its destructors ran.
[[noreturn]] void end_goroutine(const goroutine_end& end) noexcept;

/// Runs one goroutine after the other on its stack for as long as the next one has not begun yet and wants a stack like
/// this. `argument`: the M.
[[noreturn]] void goroutine_main(void* argument);

/// Puts a control block away; it belongs to nobody else.
WEFT_ALWAYS_INLINE void drop_in_section(m& self, g* item) noexcept
{
    if (item->extra != nullptr) [[unlikely]]
        drop_extra(item);
    item->state.store(g_state::dead, base::memory_order_relaxed);
    self.proc->gs.give(item);
}

}  // namespace weft::rt
