// Which goroutine a P runs next, of its own queues; each 64th time of the shared ones too. Inside a section.
#pragma once

#include <cstdint>

#include "rt/core/m.hpp"
#include "rt/core/p.hpp"
#include "rt/sched/run_queues.hpp"
#include "rt/sched/scheduler.hpp"

namespace weft::rt {

/// The decision in which the shared queues, the timers and a change of max_procs get their turn.
[[nodiscard]] g* next_fair(p& proc) noexcept;

/// next_local(), inlined where it is hot.
WEFT_ALWAYS_INLINE g* pick(p& proc) noexcept
{
    const std::uint64_t tick = proc.next_tick();
    if (tick % fairness_period == 0) [[unlikely]]
        return next_fair(proc);
    if (g* const item = proc.take_next())
        return item;
    const bool fresh = !proc.fresh.empty();
    if (!proc.ready.empty() && (!fresh || !proc.fresh_is_next)) {
        proc.fresh_is_next = true;
        return proc.ready.pop_front();
    }
    proc.fresh_is_next = false;
    return fresh ? proc.fresh.pop_back() : nullptr;
}

// Everything below wants to be called inside a section (section.hpp), unless it says otherwise.
/// The next goroutine of the P's own queues; also of the shared ones, each 64th time. Null: look in find.cpp.
[[nodiscard]] g* next_local(p& proc) noexcept;

/// Flags of a goroutine that can't be switched to as it is.
inline constexpr std::uint8_t needs_stack = g::no_stack;

/// What `self` may run next by a direct switch; null: go through g0. It may need a stack.
WEFT_ALWAYS_INLINE g* next_direct(m& self) noexcept
{
    if (self.detour != 0) [[unlikely]]
        return nullptr;
    g* const next = pick(*self.proc);
    if (next != nullptr && (next->flags & g::locked) != 0) [[unlikely]] {
        push_next(*self.proc, next);
        return nullptr;
    }
    return next;
}

/// The uncommon part of next_prepared(): a goroutine that is locked to its thread, or needs a stack.
[[nodiscard]] g* prepare_slow(m& self, g* next) noexcept;

/// next_direct(), prepared.
WEFT_ALWAYS_INLINE g* next_prepared(m& self) noexcept
{
    if (self.detour != 0) [[unlikely]]
        return nullptr;
    g* const next = pick(*self.proc);
    if (next != nullptr && (next->flags & (g::locked | needs_stack)) != 0) [[unlikely]]
        return prepare_slow(self, next);
    return next;
}

}  // namespace weft::rt
