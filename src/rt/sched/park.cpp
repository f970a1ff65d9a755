#include "rt/sched/park.hpp"

#include "rt/core/thread_local.hpp"
#include "rt/sched/hidden_frames.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/pick.hpp"
#include "rt/sched/plain_thread.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/section.hpp"
#include "rt/sched/switch.hpp"
#include "rt/sched/timekeeper.hpp"
#include "rt/sched/wake.hpp"
#include "sys/futex.hpp"

namespace weft::rt {

namespace {

WEFT_ALWAYS_INLINE void begin_park(m& self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    me->why.store(why, base::memory_order_relaxed);
    self.commit = commit;
    self.commit_argument = argument;
    self.committing = me;
}

/// Parks `me` in the section of `self`, which ends.
WEFT_ALWAYS_INLINE void leave_for_next(m* self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    begin_park(*self, me, commit, argument, why);
    me->move_to(g_state::running, g_state::waiting, base::memory_order_release);  // pairs with hibernate()
    self = switch_to(self, &me->ctx, next_prepared(*self));
    finish_switch(*self);
    leave(*self);
}

/// A commit_fn for observe_park(), which asks for one.
bool nothing_to_commit(g*, void*) noexcept
{
    return true;
}

/// `inside`: in a section of `self`.
WEFT_NOINLINE void park_special(m* self, bool inside, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    if ((me->flags & g::a_thread) != 0)
        park_thread(me, commit, argument, why);
    else
        hooks.bubble_park(*self, inside, me, commit, argument, why);
}
WEFT_HIDDEN_FRAME(park_special);

/// A commit_fn for park_until(): `argument` is the deadline_wait.
bool publish_and_arm(g* parked, void* argument) noexcept
{
    auto& wait = *static_cast<deadline_wait*>(argument);
    timer_heap& heap = timers_of(*parked);
    const std::int64_t when = wait.alarm.when;
    heap.lock();
    wait.alarm.heap = &heap;
    const bool published = wait.publish(wait);
    // The waiter may be running again by now, but its disarm() waits for this lock.
    const bool first = published && when != never && heap.arm(wait.alarm);
    heap.unlock();
    if (first)
        wake_timekeeper(when);
    return published;
}

}  // namespace

/// What of a parking there is to do without a P, outside of a section: the rest is the scheduler's loop's. There its
/// state becomes waiting, when its context is saved: hibernate() has no section to wait for.
WEFT_NOINLINE void leave_without_p(m* self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    begin_park(*self, me, commit, argument, why);
    self = switch_to(self, &me->ctx, nullptr);
    finish_switch(*self);
    leave(*self);
}
WEFT_HIDDEN_FRAME(leave_without_p);

/// A commit_fn: the goroutine does not wait, it only needs another M. Not counted as a park.
bool queue_for_all(g* parked, void*) noexcept
{
    parked->move_to(g_state::waiting, g_state::runnable);
    sched.global.push(parked);
    wake_if_needed();
    return true;
}

void switch_out(m& from, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    leave_for_next(&from, me, commit, argument, why);
}
WEFT_HIDDEN_FRAME(switch_out);

void switch_out_without_p(m& from, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    leave_without_p(&from, me, commit, argument, why);
}
WEFT_HIDDEN_FRAME(switch_out_without_p);

// Not inlined, for this_m_inline(): not by link-time optimisation either.
WEFT_HOT WEFT_NOINLINE void park(g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    m* const self = this_m_inline();
    if ((me->flags & g::special) != 0) [[unlikely]] {
        const bool inside = (me->flags & g::a_thread) == 0 && enter_to_leave(*self);
        park_special(self, inside, me, commit, argument, why);
        return;
    }
    if (enter_to_leave(*self)) [[likely]]
        leave_for_next(self, me, commit, argument, why);
    else
        leave_without_p(self, me, commit, argument, why);
}
WEFT_HIDDEN_FRAME(park);

void park_in_section(m* self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    if ((me->flags & g::special) != 0) [[unlikely]] {
        park_special(self, true, me, commit, argument, why);
        return;
    }
    leave_for_next(self, me, commit, argument, why);
}
WEFT_HIDDEN_FRAME(park_in_section);

void park_published(m* self, g* me, wait_reason why) noexcept
{
    if (self->detour != 0) [[unlikely]] {
        leave_for_next(self, me, &nothing_to_commit, nullptr, why);
        return;
    }
    me->why.store(why, base::memory_order_relaxed);
    me->move_to(g_state::running, g_state::waiting, base::memory_order_release);  // pairs with hibernate()
    count_park(*self);
    self = switch_to(self, &me->ctx, next_prepared(*self));
    finish_switch(*self);
    leave(*self);
}
WEFT_HIDDEN_FRAME(park_published);

bool park_until(deadline_wait& wait, wait_reason why) noexcept
{
    if ((wait.waiter->flags & g::a_thread) != 0)
        return park_until_in_section(nullptr, wait, why);
    park(wait.waiter, &publish_and_arm, &wait, why);
    timer_heap::disarm(wait.alarm);
    return !wait.timed_out;
}
WEFT_HIDDEN_FRAME(park_until);

bool park_until_in_section(m* self, deadline_wait& wait, wait_reason why) noexcept
{
    g* const me = wait.waiter;
    if (self != nullptr) {
        park_in_section(self, me, &publish_and_arm, &wait, why);
        timer_heap::disarm(wait.alarm);
        return !wait.timed_out;
    }
    const commit_fn publish = [](g*, void* w) noexcept
    {
        auto& published = *static_cast<deadline_wait*>(w);
        return published.publish(published);
    };
    if (wait.alarm.when == never) {
        park_thread(me, publish, &wait, why);
    } else if (park_thread_commit(me, publish, &wait)) {
        bool waiting = true;
        while (!thread_was_readied(me)) {
            if (!waiting)
                block_thread(me);
            else if (!sys::futex_wait_until(me->awake, 0, wait.alarm.when)) {
                if (wait.alarm.expire(wait.alarm) != nullptr)
                    break;
                waiting = false;  // somebody has won us and is about to say so
            }
        }
        thread_resumed(me);
    }
    return !wait.timed_out;
}
WEFT_HIDDEN_FRAME(park_until_in_section);

}  // namespace weft::rt
