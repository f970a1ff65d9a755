// Queueing a runnable goroutine on a P. Inside a section (section.hpp) of the P's owner.
#pragma once

#include <cstdint>

#include "rt/core/p.hpp"
#include "rt/sched/scheduler.hpp"

namespace weft::rt {

/// Half of a full ring goes to the global queue, the oldest first.
template <std::uint32_t N>
WEFT_NOINLINE void overflow(p& proc, runq<N>& ring) noexcept
{
    g_list out;
    for (std::uint32_t n = N / 2; n > 0; --n)
        out.push_back(ring.pop_front());
    sched.global.push(out, proc.fine_grained.load(base::memory_order_relaxed));
}
/// Queue a runnable goroutine on `proc`.
WEFT_ALWAYS_INLINE void push_ready(p& proc, g* item) noexcept
{
    if (proc.ready.try_push_back(item) == 0) [[unlikely]] {
        overflow(proc, proc.ready);
        proc.ready.push_back(item);
    }
}
/// Returns how many there are now.
WEFT_ALWAYS_INLINE std::uint32_t push_fresh(p& proc, g* item) noexcept
{
    std::uint32_t n = proc.fresh.try_push_back(item);
    if (n == 0) [[unlikely]] {
        overflow(proc, proc.fresh);
        n = proc.fresh.try_push_back(item);
    }
    return n;
}
WEFT_ALWAYS_INLINE void push_next(p& proc, g* item) noexcept
{
    if (g* const former = proc.take_next())
        push_ready(proc, former);
    proc.runnext.store(item, base::memory_order_relaxed);
}

/// Empties the queues of `proc`, which the caller owns.
void take_all(p& proc, g_list& out) noexcept;

}  // namespace weft::rt
