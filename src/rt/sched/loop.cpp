#include "rt/sched/loop.hpp"

#include <utility>

#include "rt/sched/find.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/park.hpp"
#include "rt/sched/procs.hpp"
#include "rt/sched/retake.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/section.hpp"
#include "rt/sched/sleep.hpp"
#include "rt/sched/switch.hpp"
#include "rt/sched/wake.hpp"

namespace weft::rt {

namespace {

/// finish_switch() on g0 where debug options want to know of each park.
WEFT_NOINLINE void finish_observed_switch(m& self) noexcept
{
    hooks.observe_park(self);
    finish_switch(self);
    self.committing = nullptr;
}

/// finish_switch() on g0 of an M without a P.
void finish_outside(m& self) noexcept
{
    if ((self.detour & m::observed) != 0)
        hooks.observe_park(self);
    commit_fn const commit = std::exchange(self.commit, nullptr);
    g* const parked = std::exchange(self.committing, nullptr);
    if (parked != nullptr)
        parked->move_to(g_state::running, g_state::waiting, base::memory_order_release);  // pairs with hibernate()
    if (!commit(parked, self.commit_argument))
        (void)queue_for_all(parked, nullptr);
    else if (parked != nullptr && commit != &queue_for_all)
        sched.parks_outside.fetch_add(1, base::memory_order_release);
}

}  // namespace

void schedule(m& self) noexcept
{
    for (;;) {
        g* next;
        if (self.locked != nullptr) {
            next = wait_locked(self);
        } else {
            if (self.section.outside() && !rejoin(self))
                return;
            next = find_runnable(self);
            if (next == nullptr)
                return;
            if ((next->flags & g::locked) != 0) {
                p& proc = *self.proc;
                disown_p(self, proc);
                give_to_home(proc, next);
                if (!sleep_without_p(self))
                    return;
                continue;
            }
            if ((self.detour & m::observed) != 0 && hooks.must_move(self, next)) {
                push_next(*self.proc, next);
                if (!pass_p_on(self))
                    self.may_stay = next;  // no other thread is to be had
                else if (!sleep_without_p(self))
                    return;
                continue;
            }
        }
        if (sched.stopping.load(base::memory_order_relaxed))
            stop_here();
        prepare_run(self, next);
        switch_to(&self, &self.g0, next);
        if (self.section.outside()) [[unlikely]] {
            finish_outside(self);
            continue;
        }
        if ((self.detour & m::observed) != 0)
            finish_observed_switch(self);
        else
            finish_switch(self);
        self.section.rest();
    }
}

}  // namespace weft::rt
