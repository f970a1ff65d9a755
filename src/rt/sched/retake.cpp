// Taking a P away from an M that makes no use of it, and how that M goes on. docs/design/retake.md; steps named as
// there.
//
// The goroutine that computes or blocks keeps its thread and loses only the P, and notices at its next call of ours.
// It then takes an idle P; is there none
//   - and it parks: it does that without (leave_without_p() in sched.cpp);
//   - and it yields, or blocking() ends: it goes to the end of the global queue;
//   - and in all other calls, between which user code may count on staying on its thread: it queues as one that runs on
//     its own M alone, and the M sleeps until somebody hands it a P.
#include "rt/sched/retake.hpp"

#include <utility>

#include "rt/rt.hpp"
#include "rt/sched/sched.hpp"
#include "sys/barrier.hpp"
#include "sys/clock.hpp"
#include "sys/futex.hpp"
#include "weft/runtime.hpp"

namespace weft::rt {

namespace {

/// The M has been given a P from its own thread, where nobody looks at `stopping` for it.
void go_on(m& self) noexcept
{
    if (sched.stopping.load(base::memory_order_seq_cst))
        stop_here();  // stop_at_exit() may have looked at our P before we had it
    self.blocking.store(p::no_tick, base::memory_order_relaxed);
}

/// Precondition: its steal lock is held, and the owner in its section, or claimed.
void take_owner_off(p& proc) noexcept
{
    proc.owner.store(nullptr, base::memory_order_relaxed);
    // Its timers and the shared queues have waited too: the next decision is next_fair()'s.
    proc.tick.store(proc.tick.load(base::memory_order_relaxed) | (fairness_period - 1), base::memory_order_relaxed);
    sched.retakes.fetch_add(1, base::memory_order_relaxed);
}

/// By an M that is about to block for long: others have its P at once. False: nothing has been done, nobody would be
/// better off.
///
/// With more CPUs than Ps neither: the M would be woken while ours still runs, so on another CPU, which is fast asleep
/// and takes longer to wake (40 us on a virtual machine) than the way over sysmon, which wakes it when this one is
/// free.
bool give_way(m& self) noexcept
{
    if (sched.cpus > sched.procs.load(base::memory_order_relaxed) || !enter_with_p(self))
        return false;
    if (const idle_word::view idle = sched.idle.read(); idle.idle != 0 || idle.spinning != 0) {
        leave(self);
        return false;
    }
    p& proc = *self.proc;
    proc.steal_lock.lock();  // no thief is in its section: we are inside
    take_owner_off(proc);
    proc.steal_lock.unlock();
    self.own.give_up();
    hand_off(proc);
    self.gave_way_at = sys::monotonic_now();
    return true;
}

}  // namespace

bool retake(p& victim, std::uint64_t tick) noexcept
{
    constexpr int patience = 50;  // pauses: an owner that is inside makes a decision now, or computes no more
    if (!victim.steal_lock.try_lock())
        return false;
    bool taken = false;
    m* const owner = victim.owner.load(base::memory_order_relaxed);
    if (owner != nullptr && owner->own.request()) {  // T1
        sys::heavy_barrier();                        // T2
        if (owner->own.wait_outside(patience)) {     // T3, T4
            taken = victim.tick.load(base::memory_order_relaxed) == tick;
            if (taken) {
                take_owner_off(victim);
                owner->own.take_away();  // T5
            } else {
                owner->own.release_claim();
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

namespace weft::detail {

namespace {

/// Others wait behind us: sysmon had better look soon. It finds out by itself, but not within microseconds.
WEFT_NOINLINE void begin_before_others(rt::m& self, const blocking_call& call) noexcept
{
    if (call.known_long.load(base::memory_order_relaxed) < blocking_call::certainly || !rt::give_way(self))
        rt::poke_sysmon(&self);
}

/// The M has lost its P in `call`.
WEFT_NOINLINE void end_without_p(rt::m& self, blocking_call& call) noexcept
{
    const std::uint8_t known = call.known_long.load(base::memory_order_relaxed);
    const std::int64_t gave_way_at = std::exchange(self.gave_way_at, 0);
    if (gave_way_at != 0 && sys::monotonic_now() - gave_way_at < rt::short_call)
        call.known_long.store(0, base::memory_order_relaxed);
    else if (known < blocking_call::certainly)
        call.known_long.store(known + 1, base::memory_order_relaxed);
    come_back_from_blocking(self);
}

}  // namespace

// Not inlined, for this_m_inline(): not by link-time optimisation either. What is uncommon is apart, so that the rest
// saves no registers.
WEFT_NOINLINE void begin_blocking(const blocking_call& call) noexcept
{
    using namespace rt;
    m* const self = this_m_inline();
    if (self == nullptr)
        return;
    p& proc = *self->proc;
    self->blocking.store(proc.tick.load(base::memory_order_relaxed), base::memory_order_relaxed);
    if (proc.has_work() || sched.global.size() != 0) [[unlikely]]
        begin_before_others(*self, call);
}

WEFT_NOINLINE void end_blocking(blocking_call& call) noexcept
{
    using namespace rt;
    m* const self = this_m_inline();
    if (self == nullptr)
        return;
    self->blocking.store(p::no_tick, base::memory_order_relaxed);
    if (self->own.without_p()) [[unlikely]]
        end_without_p(*self, call);
}

}  // namespace weft::detail
