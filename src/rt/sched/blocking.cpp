#include "rt/sched/blocking.hpp"

#include <utility>

#include "rt/core/thread_local.hpp"
#include "rt/sched/park.hpp"
#include "rt/sched/retake.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/section.hpp"
#include "rt/sched/sysmon.hpp"
#include "rt/sched/wake.hpp"
#include "sys/clock.hpp"
#include "weft/runtime.hpp"

namespace weft::rt {

namespace {

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
    self.section.give_up();
    hand_off(proc);
    self.gave_way_at = sys::monotonic_now();
    return true;
}

}  // namespace

void come_back_from_blocking(m& self) noexcept
{
    g* const me = self.current;
    if (take_any_p(self)) {
        leave(self);
    } else if ((me->flags & (g::locked | g::explored)) != 0) {
        get_p(self);
        leave(self);
    } else {
        leave_without_p(&self, me, &queue_for_all, nullptr, wait_reason::none);
    }
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
    if (self->section.without_p()) [[unlikely]]
        end_without_p(*self, call);
}

}  // namespace weft::detail
