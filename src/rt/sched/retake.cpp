#include "rt/sched/retake.hpp"

#include "rt/sched/procs.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/section.hpp"
#include "rt/sched/sleep.hpp"
#include "rt/sched/wake.hpp"
#include "sys/futex.hpp"
#include "sys/membarrier.hpp"

namespace weft::rt {

namespace {

/// The M has been given a P from its own thread, where nobody looks at `stopping` for it.
void go_on(m& self) noexcept
{
    if (sched.stopping.load(base::memory_order_seq_cst))
        stop_here();  // stop_at_exit() may have looked at our P before we had it
    self.blocking.store(p::no_tick, base::memory_order_relaxed);
}

}  // namespace

/// Precondition: its steal lock is held, and the owner in its section, or claimed.
void take_owner_off(p& proc) noexcept
{
    proc.owner.store(nullptr, base::memory_order_relaxed);
    // Its timers and the shared queues have waited too: the next decision is next_fair()'s.
    proc.tick.store(proc.tick.load(base::memory_order_relaxed) | (fairness_period - 1), base::memory_order_relaxed);
    sched.retakes.fetch_add(1, base::memory_order_relaxed);
}

bool retake(p& victim, std::uint64_t tick) noexcept
{
    constexpr int patience = 50;  // pauses: an owner that is inside makes a decision now, or computes no more
    if (!victim.steal_lock.try_lock())
        return false;
    bool taken = false;
    m* const owner = victim.owner.load(base::memory_order_relaxed);
    if (owner != nullptr && owner->section.request()) {  // T1
        sys::heavy_fence();                              // T2
        if (owner->section.wait_outside(patience)) {     // T3, T4
            taken = victim.tick.load(base::memory_order_relaxed) == tick;
            if (taken) {
                take_owner_off(victim);
                owner->section.take_away();  // T5
            } else {
                owner->section.release();
            }
        }
    }
    victim.steal_lock.unlock();
    return taken;
}

bool take_any_p(m& self) noexcept
{
    sched.lock.lock();
    p* const proc = take_idle_p(false);
    sched.lock.unlock();
    if (proc == nullptr)
        return false;
    own_p(self, *proc);
    go_on(self);
    return true;
}

void get_p(m& self) noexcept
{
    if (sched.stopping.load(base::memory_order_relaxed))
        stop_here();
    if (take_any_p(self))
        return;
    g& me = *self.current;
    me.home = &self;
    me.flags |= g::locked;
    sched.lock.lock();
    ++sched.home_ms;
    sched.lock.unlock();
    me.move_to(g_state::running, g_state::runnable);
    sched.global.push(&me);  // H1
    wake_if_needed();        // H2: a P may have become idle after we looked
    while (self.note.load(base::memory_order_acquire) != m::awake)
        sys::futex_wait(self.note, m::asleep);
    self.note.store(m::asleep, base::memory_order_relaxed);
    own_p(self, *self.handed_proc);
    me.move_to(g_state::runnable, g_state::running);
    if (me.lock_depth == 0)
        me.flags &= static_cast<std::uint8_t>(~g::locked);
    go_on(self);
}

bool rejoin(m& self) noexcept
{
    if (sched.stopping.load(base::memory_order_relaxed))
        stop_here();
    if (take_any_p(self))
        return true;
    self.proc = nullptr;
    return sleep_without_p(self);
}

}  // namespace weft::rt
