#include "rt/sched/pick.hpp"

#include "rt/core/thread_local.hpp"
#include "rt/poll/netpoll.hpp"
#include "rt/sched/expire.hpp"
#include "rt/sched/switch.hpp"
#include "rt/sched/wake.hpp"
#include "sys/clock.hpp"

namespace weft::rt {

namespace {

// So often (ns) the oldest fresh goroutine runs before newer ones. Not by count: each time costs a divided task its
// depth-first order, and with it memory.
constexpr std::int64_t oldest_period = 10'000'000;
// After so long (ns) runnext is passed over once.
constexpr std::int64_t next_slice = 2'000'000;
// A goroutine that runs for less (ns) than its cache lines take to move to another core is better left where it is.
constexpr std::int64_t worth_moving = 300;

/// The longest waiting goroutine of a queue. Which queue begins changes each `turn`: decisions may be so slow that
/// there is always an old goroutine in each of them.
g* next_queued(p& proc, std::uint32_t procs, std::uint64_t round, std::int64_t now) noexcept
{
    for (std::uint64_t queue = round; queue < round + 3; ++queue) {
        switch (queue % 3) {
            case 0:
                if (g* const item = sched.global.take(sched.global.share(procs), proc.ready))
                    return item;
                break;
            case 1:
                if (!proc.fresh.empty() && now - proc.oldest_taken > oldest_period) {
                    proc.oldest_taken = now;
                    return proc.fresh.pop_front();
                }
                break;
            default:
                if (!proc.ready.empty())
                    return proc.ready.pop_front();
        }
    }
    return nullptr;
}

/// Goroutines that ready each other for ever share one slice, or runnext would never leave the queues their turn. At
/// its end the one in runnext goes behind all that wait.
void end_slice(p& proc, std::int64_t now) noexcept
{
    if (now - proc.slice_began < next_slice || proc.queued() == 0)
        return;
    proc.slice_began = now;
    if (g* const item = proc.take_next()) {
        sched.global.push(item);
        wake_if_needed();
    }
}

/// Descriptors get their turn beside a P's own work. By time, since decisions may be quick against a system call.
void poll_beside(p& proc, std::int64_t now) noexcept
{
    constexpr std::int64_t period = 200'000;  // ns: about 0.25 % of the time
    g_list woken;
    netpoll::poll_after(now, period, true, woken);
    if (!woken.empty())
        ready_batch(this_m(), &proc, woken);
}

}  // namespace

/// The shared queues, the timers and a change of max_procs get their turn beside a P's own work.
WEFT_NOINLINE g* next_fair(p& proc) noexcept
{
    const std::uint32_t procs = sched.procs.load(base::memory_order_relaxed);
    if (proc.id >= procs || sched.stopping.load(base::memory_order_relaxed))
        return nullptr;  // find_runnable() retires the P, or stops
    const std::int64_t now = sys::monotonic_now();
    proc.fine_grained.store(now - proc.fair_at < static_cast<std::int64_t>(fairness_period) * worth_moving,
                            base::memory_order_relaxed);
    proc.fair_at = now;
    fire_timers(proc, proc.timers, now);
    // One other P's timers as well: it may be retired, or run something long.
    if (netpoll::in_use()) [[unlikely]]
        poll_beside(proc, now);
    const std::uint64_t round = proc.tick.load(base::memory_order_relaxed) / fairness_period;
    const std::uint32_t other = static_cast<std::uint32_t>(round % sched.made.load(base::memory_order_acquire));
    fire_timers(proc, sched.at(other).timers, now);
    if (g* const item = next_queued(proc, procs, round, now)) {
        end_slice(proc, now);
        return item;
    }
    if (g* const item = proc.take_next())
        return item;
    return proc.fresh.empty() ? nullptr : proc.fresh.pop_back();
}

/// The uncommon part of next_prepared(): a goroutine that is locked to its thread, or needs a stack.
WEFT_NOINLINE g* prepare_slow(m& self, g* next) noexcept
{
    // Whoever parks may hold a lock until it has left its stack: it leaves for g0 rather than for a stack whose page
    // the kernel has to find first.
    if ((next->flags & g::locked) != 0 || next->stack_class != default_stack_class || self.proc->stacks.comes_cold()) {
        push_next(*self.proc, next);
        return nullptr;
    }
    prepare_run(self, next);
    return next;
}

g* next_local(p& proc) noexcept
{
    return pick(proc);
}

}  // namespace weft::rt
