// Making a parked goroutine runnable, or waking a plain thread.
#pragma once

#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/p.hpp"
#include "rt/core/timer.hpp"
#include "rt/sched/scheduler.hpp"

namespace weft::rt {

/// Makes a parked goroutine runnable, or wakes a plain thread. The caller must have won it: one ready() a park().
void ready(g* item) noexcept;
/// ready() by a goroutine that may not be one any more: its control block belongs to who is woken (storage_life::kept).
/// The caller does not park here in an exploration.
void ready_by_ending(g* item) noexcept;
/// ready() inside a section. Precondition: not g::special.
void ready_in_section(m& self, g* item) noexcept;
/// waiting -> runnable, by the owner of `proc`, who then queues it.
WEFT_ALWAYS_INLINE void end_wait(p& proc, g* item) noexcept
{
    item->move_to(g_state::waiting, g_state::runnable);
    proc.readies.add();
}
/// The common case of ready_in_section() alone. False: nothing has been done.
[[nodiscard]] WEFT_ALWAYS_INLINE bool try_ready_in_section(m& self, g* item) noexcept
{
    p& proc = *self.proc;
    if ((item->flags & g::special) != 0 || proc.has_next()) [[unlikely]]
        return false;
    end_wait(proc, item);
    proc.runnext.store(item, base::memory_order_relaxed);
    return true;
}
/// ready() for many, linked by g::next; the list is empty afterwards.
void ready(g_list& items) noexcept;

/// Of a plain thread or of a bubbled goroutine. Null `self`: outside of a section.
void ready_special(m* self, g* item) noexcept;

/// waiting -> runnable, by a thread without a P, which then queues it. In bubbles by everybody.
inline void end_wait_outside(g* item) noexcept
{
    item->move_to(g_state::waiting, g_state::runnable);
    sched.readies_outside.fetch_add(1, base::memory_order_relaxed);
}

}  // namespace weft::rt
