// Switching between goroutines.
//
// A goroutine that parks or ends picks its successor itself (pick.hpp) and switches to it directly; only when its P has
// no work does it go through g0, the M's own stack, where find.cpp looks further. All of that happens inside the M's
// claim (core/section_word.hpp), which begins in the goroutine that leaves and ends in the one that goes on. So a
// goroutine may stand in a run queue while its context is not saved yet: it can't be taken before the claim ends.
//
// A goroutine that waits on something is published to it only by its commit_fn, which runs after the switch, on the
// next stack: from that moment another M may run it.
#pragma once

#include "base/cpu.hpp"
#include "rt/core/cold.hpp"
#include "rt/core/m.hpp"
#include "rt/core/p.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/pick.hpp"
#include "rt/sched/run_queues.hpp"
#include "rt/stack/stack.hpp"
#include "sys/context.hpp"
#include "sys/sanitizer.hpp"

namespace weft::rt {

/// Only now, when it has been published: whoever sees it in stats() finds it where it waits. Pairs with stats().
WEFT_ALWAYS_INLINE void count_park(m& self) noexcept
{
    self.proc->parks.add(1, base::memory_order_release);
}

/// Runs what the stack that was left wants done now that nobody stands on it any more.
WEFT_ALWAYS_INLINE void finish_switch(m& self) noexcept
{
    if (commit_fn const commit = self.commit; commit != nullptr) {
        self.commit = nullptr;
        g* const parked = self.committing;
        if (!commit(parked, self.commit_argument)) {
            parked->move_to(g_state::waiting, g_state::runnable);
            push_next(*self.proc, parked);
        } else if (parked != nullptr) {
            count_park(self);
        }
    }
}

/// Gives a goroutine that is to run for the first time its stack.
void give_stack_to(p& proc, g* item) noexcept;

/// What `next` lacks before it can be switched to.
WEFT_ALWAYS_INLINE void prepare_run(m& self, g* next) noexcept
{
    if ((next->flags & needs_stack) != 0) [[unlikely]]
        give_stack_to(*self.proc, next);
}

/// Makes `next` the running goroutine of `self`.
WEFT_ALWAYS_INLINE void begin_run(m& self, g* next) noexcept
{
    next->move_to(g_state::runnable, g_state::running);  // W1 of docs/design/hibernation.md
    base::light_compiler_fence();                        // W2
    if (says_cold(next->why.load(base::memory_order_relaxed))) [[unlikely]]
        hooks.thaw(*next);  // W3
    self.current = next;
}

/// The switch itself, once it is settled who runs next (null: g0).
WEFT_ALWAYS_INLINE m* switch_plain(m* self, sys::context* from, g* next) noexcept
{
    const int error = *self->errno_at;
    [[maybe_unused]] void* fake = nullptr;
    const sys::context* to = &self->g0;
    if (next != nullptr) {
        to = &next->ctx;
        sys::before_switch(&fake, next->stack_top - stack_bytes(next->stack_class), stack_bytes(next->stack_class),
                           next->fiber);
    } else {
        sys::before_switch(&fake, self->g0_low, self->g0_size, self->g0_fiber);
    }
    self = static_cast<m*>(sys::switch_context(from, to, self));
    sys::after_switch(fake);
    *self->errno_at = error;
    return self;
}

/// The same inside a catch block or while unwinding.
m* switch_in_exception(m* self, sys::context* from, g* next) noexcept;

/// Leaves `from` for `next` (null: g0), which is prepared. Returns when `from` is resumed, on whatever M that may be,
/// with that M and inside its claim. Between switches an M has no exception state: whoever leaves takes its own along.
WEFT_ALWAYS_INLINE m* switch_to(m* self, sys::context* from, g* next) noexcept
{
    if (next != nullptr)
        begin_run(*self, next);
    else
        self->current = nullptr;
    if (self->exceptions->any()) [[unlikely]]
        return switch_in_exception(self, from, next);
    return switch_plain(self, from, next);
}

/// `self` is for `owner` alone; null: for any goroutine.
void set_locked(m& self, g* owner) noexcept;

}  // namespace weft::rt
