#include "rt/sched/finish.hpp"

#include "rt/core/local.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/sched/hidden_frames.hpp"
#include "rt/sched/lock_thread.hpp"
#include "rt/sched/pick.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/section.hpp"
#include "rt/sched/switch.hpp"
#include "rt/stack/stack.hpp"
#include "sys/sanitizer.hpp"

namespace weft::rt {

namespace {

/// A commit_fn for a goroutine that has ended, for what can't be done while its stack is in use: `argument` is the M.
bool release_stack(g*, void* argument) noexcept
{
    m& self = *static_cast<m*>(argument);
    sys::delete_fiber(self.dead_fiber);
    give_stack(self.dead_stack, self.dead_class);
    sched.finished_outside.fetch_add(1, base::memory_order_release);
    return true;
}

/// Has release_stack() run on the next stack.
void release_after_switch(m& self, const goroutine_end& end) noexcept
{
    self.dead_fiber = sys::this_fiber();
    self.dead_stack = end.stack_top;
    self.dead_class = end.stack_class;
    self.commit = &release_stack;
    self.commit_argument = &self;
    self.committing = nullptr;
}

/// The last of an ended goroutine's stack: `next` (null: g0) goes on.
[[noreturn]] WEFT_ALWAYS_INLINE void switch_for_good(m& self, const goroutine_end& end, g* next) noexcept
{
    const sys::context* to = &self.g0;
    self.current = nullptr;
    if (next != nullptr) {
        prepare_run(self, next);
        begin_run(self, next);
        to = &next->ctx;
        sys::before_switch(nullptr, next->stack_top - stack_bytes(next->stack_class), stack_bytes(next->stack_class),
                           next->fiber);
    } else {
        sys::before_switch(nullptr, self.g0_low, self.g0_size, self.g0_fiber);
    }
    sys::context nowhere;
    sys::forget_frames(end.stack_top);  // after all else here: what leaves its scope is poisoned, too
    sys::switch_context(&nowhere, to, &self);
    __builtin_unreachable();
}

/// What is left of a goroutine that has ended, on an M that has no P: g0 goes on.
[[noreturn]] WEFT_NOINLINE void end_without_p(m& self, const goroutine_end& end) noexcept
{
    if (!end.kept) {
        g* const me = self.current;
        if (me->extra != nullptr)
            drop_extra(me);
        me->move_to(g_state::running, g_state::dead);
        give_global_g(me);
    }
    set_locked(self, nullptr);
    release_after_switch(self, end);
    switch_for_good(self, end, nullptr);
}

/// Puts an ended goroutine away and finds the next one. Begins the section that the next one ends. Its control block
/// may be somebody else's already, so nothing may wait here for its sake.
WEFT_ALWAYS_INLINE g* finish_run(m& self, const goroutine_end& end) noexcept
{
    if (!enter_with_p(self)) [[unlikely]]
        end_without_p(self, end);
    if (!end.kept)
        drop_in_section(self, self.current);
    if (self.detour != 0) [[unlikely]]
        set_locked(self, nullptr);
    return next_direct(self);
}

/// After its stack is somebody else's: stats() shows no goroutine's stack without the goroutine. Pairs with
/// count_goroutines().
WEFT_ALWAYS_INLINE void count_end(m& self) noexcept
{
    self.proc->finished.add(1, base::memory_order_release);
}

/// Leaves the stack of an ended goroutine for good.
[[noreturn]] WEFT_NOINLINE void leave_stack(m& self, const goroutine_end& end, g* next) noexcept
{
    if (end.stack_class == default_stack_class && !sys::thread_sanitizer) {
        // Before the switch: inside the claim nobody else takes it, and a new goroutine that gets it at once writes
        // nothing to it before it runs.
        self.proc->stacks.give(end.stack_top);
        count_end(self);
    } else {
        release_after_switch(self, end);
    }
    switch_for_good(self, end, next);
}

}  // namespace

/// The first function of every stack: runs one goroutine after the other on it for as long as the next one has not
/// begun yet and wants a stack like this.
[[noreturn]] void goroutine_main(void* argument)
{
    m* self = static_cast<m*>(argument);
    sys::after_switch(nullptr);
    finish_switch(*self);
    for (;;) {
        leave(*self);
        g* const me = self->current;
        const goroutine_end end = end_of(*me);
        if ((me->flags & g::pinned) != 0) [[unlikely]]
            lock_thread();
        me->body(me->storage);
        if (!end.kept && me->extra != nullptr) [[unlikely]]
            end_locals(*me);
        self = this_m();
        g* const next = finish_run(*self, end);
        // TSan keeps a history for each goroutine, so there each begins on a stack of its own.
        if (sys::thread_sanitizer || next == nullptr || (next->flags & g::no_stack) == 0 ||
            next->stack_class != end.stack_class) [[unlikely]]
            leave_stack(*self, end, next);
        count_end(*self);
        next->stack_top = end.stack_top;
        next->flags &= static_cast<std::uint8_t>(~g::no_stack);
        begin_run(*self, next);
    }
}
WEFT_HIDDEN_FRAME(goroutine_main);

void end_goroutine(const goroutine_end& end) noexcept
{
    m* me = this_m();
    *me->exceptions = {};  // what was being unwound is not finished by a handler
    if (!end.kept && me->current->extra != nullptr)
        end_locals(*me->current);
    m& self = *this_m();
    leave_stack(self, end, finish_run(self, end));
}

}  // namespace weft::rt
