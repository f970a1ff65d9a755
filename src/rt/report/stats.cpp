// Counters, summed up over the Ps.
#include <algorithm>

#include "rt/core/g.hpp"
#include "rt/core/idle.hpp"
#include "rt/core/p.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/services/hibernate/hibernate.hpp"
#include "rt/services/hibernate/pack.hpp"
#include "rt/stack/stack.hpp"
#include "sys/memory.hpp"
#include "weft/go.hpp"
#include "weft/runtime.hpp"

namespace weft {

namespace {

struct sums {
    std::uint64_t finished = 0;
    std::uint64_t started = 0;
    std::uint64_t queued = 0;
    std::uint64_t cached_stacks = 0;
};

/// Acquire: what has ended has given its stack back, what has parked can be found where it waits.
std::uint64_t sum_of(base::counter rt::p::* of_p, const base::atomic<std::uint64_t>& outside) noexcept
{
    std::uint64_t sum = outside.load(base::memory_order_acquire);
    const std::uint32_t made = rt::sched.made.load(base::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i)
        sum += (rt::sched.at(i).*of_p).read(base::memory_order_acquire);
    return sum;
}

/// Finished before started: a goroutine that does both meanwhile is counted as alive, never as minus one.
sums count_goroutines() noexcept
{
    sums s;
    s.finished = sum_of(&rt::p::finished, rt::sched.finished_outside);
    s.started = sum_of(&rt::p::started, rt::sched.started_outside);
    return s;
}

std::uint64_t difference(std::uint64_t a, std::uint64_t b) noexcept
{
    return a > b ? a - b : 0;
}

}  // namespace

std::size_t num_goroutines() noexcept
{
    const sums s = count_goroutines();
    return static_cast<std::size_t>(difference(s.started, s.finished));
}

runtime_stats stats()
{
    runtime_stats out{};
    // First: when all are seen to wait, the other figures are from then or later. Parks before readies: one that parks
    // or runs meanwhile does not count as waiting, and no other is taken for it.
    out.parks = sum_of(&rt::p::parks, rt::sched.parks_outside);
    out.goroutines_waiting = difference(out.parks, sum_of(&rt::p::readies, rt::sched.readies_outside));
    sums s = count_goroutines();
    std::uint32_t running_ps = 0;
    const std::uint32_t made = rt::sched.made.load(base::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i) {
        rt::p& proc = rt::sched.at(i);
        s.queued += proc.queued() + (proc.has_next() ? 1U : 0U);
        running_ps += proc.state.load(base::memory_order_relaxed) == rt::p_state::running ? 1U : 0U;
        out.switches += proc.tick.load(base::memory_order_relaxed);
        out.steals += proc.steals.read();
        out.stolen += proc.stolen.read();
        out.timers += proc.timers.size();
    }
    const rt::idle_word::view idle = rt::sched.idle.read();
    out.goroutines = difference(s.started, s.finished);
    out.goroutines_started = s.started;
    out.goroutines_runnable = s.queued + rt::sched.global.size();
    out.goroutines_running = std::min<std::uint64_t>(difference(running_ps, idle.spinning), out.goroutines);
    out.procs = rt::sched.procs.load(base::memory_order_relaxed);
    out.procs_idle = idle.idle;
    rt::sched.lock.lock();
    out.threads = rt::sched.ms;
    out.threads_idle = rt::sched.idle_ms.load(base::memory_order_relaxed);
    const std::uint64_t without_p = difference(out.threads, out.threads_idle + rt::sched.home_ms + running_ps);
    // Under the lock: decay moves stacks from idle Ps to the pool.
    for (std::uint32_t i = 0; i < made; ++i)
        s.cached_stacks += rt::sched.at(i).stacks.size();
    const rt::stack_counts stacks = rt::count_stacks();
    rt::sched.lock.unlock();
    out.goroutines_without_p = std::min(without_p, difference(out.goroutines, out.goroutines_running));
    out.threads_ended = rt::sched.threads_ended.read();
    out.retakes = rt::sched.retakes.load(base::memory_order_relaxed);
    out.threads_spinning = idle.spinning;
    out.thread_failures = rt::sched.thread_failures.read();
    out.handoffs = rt::sched.handoffs.read();
    out.wakeups = rt::sched.wakeups.read();
    out.stacks_free = stacks.free + s.cached_stacks;
    out.stacks_in_use = difference(stacks.made, out.stacks_free);
    out.stack_reserved = stacks.reserved;
    const rt::hibernation_counts cold = rt::count_hibernation();
    out.stack_committed = difference(stacks.made, stacks.cold + cold.stacks) * base::page_size;
    out.control_blocks = rt::g_bytes();
    out.stack_hibernated = rt::count_packed().committed;
    out.goroutines_hibernated = cold.stacks;
    out.hibernations = cold.hibernated;
    out.restores = cold.restored;
    out.restores_by_access = cold.by_fault;
    out.hibernation_off = rt::hibernation_refusal();
    return out;
}

runtime_memory memory()
{
    const sys::process_memory process = sys::measure_process();
    return {.resident = process.resident,
            .page_tables = process.page_tables,
            .stacks = rt::resident_stacks(),
            .hibernated = rt::count_packed().committed,
            .control_blocks = rt::resident_gs()};
}

}  // namespace weft
