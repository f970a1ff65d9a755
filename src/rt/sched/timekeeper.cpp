#include "rt/sched/timekeeper.hpp"

#include "base/cpu.hpp"
#include "rt/core/bubble_member.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/idle_ms.hpp"
#include "rt/sched/scheduler.hpp"

namespace weft::rt {

std::int64_t earliest_timer() noexcept
{
    std::int64_t earliest = never;
    const std::uint32_t made = sched.made.load(base::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i) {
        const std::int64_t at = sched.at(i).timers.earliest();
        earliest = at < earliest ? at : earliest;
    }
    return earliest;
}

void wake_timekeeper(std::int64_t when) noexcept
{
    base::light_fence();  // pairs with K2 in find.cpp
    if (when >= sched.keeper_until.load(base::memory_order_relaxed))
        return;  // also when nobody keeps time: 0
    poke_timekeeper();
}

void poke_timekeeper() noexcept
{
    sched.lock.lock();
    if (m* const keeper = sched.timekeeper.load(base::memory_order_relaxed); keeper != nullptr)
        poke(*keeper);
    sched.lock.unlock();
}

void resign_timekeeper() noexcept
{
    sched.timekeeper.store(nullptr, base::memory_order_relaxed);
    sched.keeper_until.store(0, base::memory_order_relaxed);
}

void appoint_timekeeper() noexcept
{
    if (sched.timekeeper.load(base::memory_order_relaxed) != nullptr)
        return;
    sched.lock.lock();
    if (m* const next = sched.idle_last;
        next != nullptr && sched.timekeeper.load(base::memory_order_relaxed) == nullptr) {
        sched.timekeeper.store(next, base::memory_order_relaxed);
        poke(*next);
    }
    sched.lock.unlock();
}

timer_heap& timers_of(g& owner) noexcept
{
    return (owner.flags & g::bubbled) != 0 ? hooks.bubble_timers(*owner.member->in) : this_m()->proc->timers;
}

void arm_in_section(m* self, timer& alarm) noexcept
{
    timer_heap& heap = self != nullptr ? self->proc->timers : sched.at(0).timers;
    heap.lock();
    const bool first = heap.arm(alarm);
    heap.unlock();
    if (first)
        wake_timekeeper(alarm.when);
}

}  // namespace weft::rt
