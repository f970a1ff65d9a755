// The idle protocol, docs/design/idle.md; steps named as there.
#include "rt/sched/find.hpp"

#include "rt/poll/netpoll.hpp"
#include "rt/sched/expire.hpp"
#include "rt/sched/pick.hpp"
#include "rt/sched/procs.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/section.hpp"
#include "rt/sched/sleep.hpp"
#include "rt/sched/steal.hpp"
#include "rt/sched/wake.hpp"
#include "sys/clock.hpp"
#include "sys/membarrier.hpp"

namespace weft::rt {

namespace {

// Whether stealing pays. Where goroutines run for less time than it takes to move them (fine_grained) a thief takes
// only the oldest one. If that was the root of a divided task, it is busy for long and comes back for another. If not,
// it is back within `worthwhile`; after a few times it sleeps although there is work, and sysmon has it tried again
// later.
constexpr std::int64_t worthwhile = 3'000;  // ns: some times the cost of a steal

/// Fires expired timers of all Ps. True: something became runnable on our P.
bool fire_all_timers(m& self, std::int64_t now) noexcept
{
    bool any = false;
    const std::uint32_t made = sched.made.load(base::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i)
        any |= fire_timers(*self.proc, sched.at(i).timers, now);
    return any;
}

/// Looks at the descriptors, unless somebody waits for them. True: something became runnable.
bool poll_now(m& self, std::int64_t now) noexcept
{
    if (!netpoll::in_use())
        return false;
    g_list woken;
    netpoll::poll_after(now, 0, false, woken);
    if (woken.empty())
        return false;
    ready_batch(&self, self.proc, woken);
    return true;
}

/// F: the M has found work and stops looking for it; whoever has skipped a wake-up because of us is made good for.
void stop_spinning(m& self) noexcept
{
    if (!self.spinning)
        return;
    self.spinning = false;
    sched.idle.end_spin();  // F1
    if (sched.idle.needs_waking()) {
        sys::heavy_fence();  // F2
        if (any_work())
            wake_one();
    }
}

/// Called when `self` has run out of work: did what it last got from others keep it busy?
void weigh_steal(m& self, std::int64_t now) noexcept
{
    if (self.stole_at == 0)
        return;
    self.wasted_steals = now - self.stole_at < worthwhile ? self.wasted_steals + 1 : 0;
    self.stole_at = 0;
}

/// What is not on the P of `self`.
g* look_elsewhere(m& self, std::int64_t now) noexcept
{
    const std::uint32_t procs = sched.procs.load(base::memory_order_relaxed);
    const bool fine =
        sched.global.fine_grained() && procs > 1 && !self.proc->fine_grained.load(base::memory_order_relaxed);
    if (fine && self.wasted_steals >= wasted_most && self.spinning)
        return nullptr;
    g* item = sched.global.take(fine ? 1 : sched.global.share(procs), self.proc->ready);
    if (item == nullptr) {
        if (!self.spinning)
            self.spinning = sched.idle.begin_spin(procs);
        if (self.spinning && self.wasted_steals < wasted_most)
            item = steal(self);
        if (item == nullptr)
            return nullptr;
    } else if (!fine) {
        return item;
    }
    self.stole_at = now;
    return item;
}

}  // namespace

g* find_runnable(m& self) noexcept
{
    for (;;) {
        if (sched.stopping.load(base::memory_order_relaxed))
            stop_here();
        if (self.proc->id >= sched.procs.load(base::memory_order_relaxed)) {
            retire_p(self);
            if (!sleep_without_p(self))
                return nullptr;
            continue;
        }
        p& proc = *self.proc;
        g* item = next_local(proc);
        if (item == nullptr) {
            const std::int64_t now = sys::monotonic_now();
            weigh_steal(self, now);
            if (fire_all_timers(self, now))
                item = next_local(proc);
            if (item == nullptr && poll_now(self, now))
                item = next_local(proc);
            if (item == nullptr)
                item = look_elsewhere(self, now);
        }
        if (item != nullptr) {
            stop_spinning(self);
            return item;
        }
        if (!go_idle(self))
            return nullptr;
    }
}

}  // namespace weft::rt
