#include "rt/sched/ready.hpp"

#include "rt/core/explore.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/plain_thread.hpp"
#include "rt/sched/run_queues.hpp"
#include "rt/sched/section.hpp"
#include "rt/sched/wake.hpp"

namespace weft::rt {

namespace {

/// Of what is not special, by a thread without a P.
WEFT_NOINLINE void ready_outside(g* item) noexcept
{
    end_wait_outside(item);
    sched.global.push(item);
    wake_if_needed();
}

/// push_next(), where one is queued already: somebody else may run one of the two.
WEFT_NOINLINE void push_next_and_wake(p& proc, g* item) noexcept
{
    push_next(proc, item);
    wake_if_needed();
}

/// ready() of what is not special.
WEFT_ALWAYS_INLINE void ready_plain(g* item) noexcept
{
    if (m* const self = begin_section_with_p(); self != nullptr) [[likely]] {
        ready_in_section(*self, item);
        leave(*self);
    } else {
        ready_outside(item);
    }
}

}  // namespace

/// Null `self`: outside of a section.
WEFT_NOINLINE void ready_special(m* self, g* item) noexcept
{
    if ((item->flags & g::a_thread) != 0)
        ready_thread(item);
    else
        hooks.bubble_ready(self, item);
}

void ready_in_section(m& self, g* item) noexcept
{
    // Alone in runnext it will run as soon as we park: no other M is woken for it. Should we not park, sysmon lets it
    // be stolen.
    if (!try_ready_in_section(self, item)) [[unlikely]] {
        end_wait(*self.proc, item);
        push_next_and_wake(*self.proc, item);
    }
}

void ready(g* item) noexcept
{
    if ((item->flags & g::special) != 0) [[unlikely]] {
        ready_special(nullptr, item);
        explore_point();
        return;
    }
    ready_plain(item);
}

void ready_by_ending(g* item) noexcept
{
    if ((item->flags & g::special) != 0) [[unlikely]]
        ready_special(nullptr, item);
    else
        ready_plain(item);
}

void ready(g_list& items) noexcept
{
    if (items.size() == 1) {
        ready(items.pop_front());
        return;
    }
    g_list queued;
    while (g* const item = items.pop_front()) {
        if ((item->flags & g::special) != 0) {
            ready_special(nullptr, item);
        } else {
            item->move_to(g_state::waiting, g_state::runnable);
            queued.push_back(item);
        }
    }
    if (queued.empty()) {
        explore_point();
        return;
    }
    if (m* const self = begin_section_with_p(); self != nullptr) {
        p& proc = *self->proc;
        proc.readies.add(queued.size());
        while (!queued.empty() && !proc.ready.full())
            proc.ready.push_back(queued.pop_front());
        if (!queued.empty())
            sched.global.push(queued);
        wake_if_needed();
        leave(*self);
    } else {
        sched.readies_outside.fetch_add(queued.size(), base::memory_order_relaxed);
        sched.global.push(queued);
        wake_if_needed();
    }
}

}  // namespace weft::rt
