#include "rt/sched/yield.hpp"

#include "rt/core/thread_local.hpp"
#include "rt/sched/hidden_frames.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/park.hpp"
#include "rt/sched/pick.hpp"
#include "rt/sched/run_queues.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/section.hpp"
#include "rt/sched/switch.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

namespace {

/// yield(), the common case alone: only others that have yielded or were readied, it is not the shared queues' turn,
/// and nothing is special about either of the two. Null: nothing has been done.
WEFT_ALWAYS_INLINE g* swap_with_next(m& self, g* me) noexcept
{
    p& proc = *self.proc;
    if (self.detour != 0 || proc.has_next() || !proc.fresh.empty())
        return nullptr;
    const std::uint64_t tick = proc.tick.load(base::memory_order_relaxed) + 1;
    if (tick % fairness_period == 0)
        return nullptr;
    const auto plain = [me](const g* next)
    { return ((me->flags | next->flags) & (g::explored | g::locked | needs_stack)) == 0; };
    g* const next = proc.ready.rotate_if(me, plain);
    if (next != nullptr) [[likely]]
        proc.tick.store(tick, base::memory_order_relaxed);
    return next;
}

/// yield() in any other case, in the section of `self`, which ends.
WEFT_NOINLINE void yield_slow(m* self, g* me) noexcept
{
    if ((me->flags & g::explored) != 0) {
        leave(*self);
        hooks.bubble_point(me, true);
        return;
    }
    if (sched.stopping.load(base::memory_order_relaxed)) {
        leave(*self);  // the exit handlers run on this goroutine, and nothing beside it
        return;
    }
    me->move_to(g_state::running, g_state::runnable);
    push_ready(*self->proc, me);
    g* const next = next_prepared(*self);
    if (next == me) {
        me->move_to(g_state::runnable, g_state::running);
    } else {
        self = switch_to(self, &me->ctx, next);
        finish_switch(*self);
    }
    leave(*self);
}
WEFT_HIDDEN_FRAME(yield_slow);

/// yield() without a P, outside of a section.
WEFT_NOINLINE void yield_without_p(m* self, g* me) noexcept
{
    if ((me->flags & g::explored) != 0)
        hooks.bubble_point(me, true);
    else
        leave_without_p(self, me, &queue_for_all, nullptr, wait_reason::none);
}
WEFT_HIDDEN_FRAME(yield_without_p);

}  // namespace

// Not inlined, for this_m_inline(): not by link-time optimisation either.
WEFT_HOT WEFT_NOINLINE void yield() noexcept
{
    m* self = this_m_inline();
    if (self == nullptr) [[unlikely]] {
        sys::yield_thread();
        return;
    }
    g* const me = self->current;
    if (!enter_to_leave(*self)) [[unlikely]] {
        yield_without_p(self, me);
        return;
    }
    g* const next = swap_with_next(*self, me);
    if (next == nullptr) [[unlikely]] {
        yield_slow(self, me);
        return;
    }
    me->move_to(g_state::running, g_state::runnable);
    self = switch_to(self, &me->ctx, next);
    finish_switch(*self);
    leave(*self);
}
WEFT_HIDDEN_FRAME(yield);

void leave_retired_p() noexcept
{
    for (;;) {
        m* const self = this_m();
        if (self == nullptr)
            return;
        enter(*self);
        p& proc = *self->proc;
        const bool in_use =
            proc.id < sched.procs.load(base::memory_order_relaxed) || sched.stopping.load(base::memory_order_relaxed);
        if (!in_use)  // the next decision is next_fair()'s, which has the P retired
            proc.tick.store(proc.tick.load(base::memory_order_relaxed) | (fairness_period - 1),
                            base::memory_order_relaxed);
        leave(*self);
        if (in_use)
            return;
        yield();
    }
}

}  // namespace weft::rt
