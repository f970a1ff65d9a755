// The scheduler's shared state: what belongs to all Ms and Ps. Each file of this room has the functions of one concern.
//
// Lock order: scheduler::lock, then p::steal_lock; timer heaps, the global queue and the pools are leaves. A commit_fn
// may take a timer heap's lock while it holds a sema bucket's.
#pragma once

#include <array>
#include <cstdint>

#include "base/atomic.hpp"
#include "base/cpu.hpp"
#include "rt/core/gqueue.hpp"
#include "rt/core/idle.hpp"
#include "rt/core/m.hpp"
#include "rt/core/p.hpp"
#include "sys/lock.hpp"
#include "weft/runtime.hpp"

namespace weft::rt {

/// How sysmon sleeps, in scheduler::sysmon_nap.
namespace nap_of_sysmon {
inline constexpr std::uint32_t awake = 0;
inline constexpr std::uint32_t short_one = 1;
inline constexpr std::uint32_t long_one = 2;  ///< may be cut short: poke_sysmon()
inline constexpr std::uint32_t deep = 3;      ///< until somebody takes a P: wake_sysmon()
}  // namespace nap_of_sysmon

struct scheduler {
    alignas(base::cache_line) idle_word idle;
    base::atomic<std::uint32_t> procs{0};  ///< what max_procs says
    bool parks_are_observed = false;       ///< a debug option looks at each park; written at the start
    std::uint32_t cpus = 1;                ///< in the affinity mask when the runtime started; constant from then on
    base::atomic<std::uint32_t> made{0};   ///< Ps that exist: all[0 .. made)
    base::atomic<bool> stopping{false};    ///< process exit has begun
    base::atomic<std::uint32_t> start_hooks{
        0};                               ///< not 0: task_start() must look: `stopping`, bubbles, WEFT_DEBUG=stacks
    base::atomic<std::int64_t> slice{0};  ///< options::slice, ns
    base::atomic<std::int64_t> keep_idle_m{0};                     ///< options::keep_threads, ns
    base::atomic<std::uint32_t> sysmon_nap{nap_of_sysmon::awake};  ///< futex word
    base::atomic<m*> timekeeper{nullptr};        ///< the sleeping M that wakes for timers; set under lock
    base::atomic<std::int64_t> keeper_until{0};  ///< when it will look; 0: nobody keeps time

    alignas(base::cache_line) gqueue global;

    alignas(base::cache_line) sys::lock_word lock;
    p* idle_ps = nullptr;                    ///< guarded by lock; last in, first out: its caches are warm
    m* idle_first = nullptr;                 ///< guarded by lock; sleeping Ms, the timekeeper last
    m* idle_last = nullptr;                  ///< guarded by lock
    base::atomic<std::uint32_t> idle_ms{0};  ///< written under lock
    std::uint32_t ms = 0;                    ///< guarded by lock; Ms that have a thread
    std::uint32_t max_ms = 0;                ///< options::max_threads, or less where the system allows less
    bool short_of_ms = false;                ///< guarded by lock; no thread was to be had, and none has been idle since
    std::uint32_t home_ms = 0;  ///< guarded by lock; Ms that wait for their own goroutine's turn (may be short of one)
    m* free_ms = nullptr;       ///< guarded by lock; Ms whose threads have ended
    base::atomic<m*> all_ms{nullptr};  ///< all there have ever been, linked by m::next_made
    /// run()s that are going on, and those among them that do not want deadlocks to be looked for.
    base::atomic<std::uint32_t> runs{0};
    base::atomic<std::uint32_t> runs_without_detection{0};
    /// Plain threads parked without a deadline are the difference of the two: docs/design/deadlock.md.
    base::atomic<std::uint64_t> thread_parks{0};
    base::atomic<std::uint64_t> thread_readies{0};
    /// Who runs the exit handlers: a goroutine, from then on treated as a plain thread, or what stands for a thread.
    base::atomic<g*> exiting{nullptr};

    base::counter handoffs;                           ///< written under lock
    base::counter wakeups;                            ///< written under lock
    base::counter thread_failures;                    ///< written under lock
    base::counter threads_ended;                      ///< written under lock
    base::atomic<std::uint64_t> retakes{0};           ///< by sysmon, or by who blocks
    base::atomic<std::uint64_t> started_outside{0};   ///< goroutines started by threads without a P
    base::atomic<std::uint64_t> finished_outside{0};  ///< those that ended on one, or whose stack no P kept
    base::atomic<std::uint64_t> parks_outside{0};     ///< as p::parks, on threads without a P
    base::atomic<std::uint64_t> readies_outside{0};   ///< as p::readies, by threads without a P
    base::atomic<std::uint64_t> ids{1};               ///< next goroutine id not yet in a P's stock

    std::array<base::atomic<p*>, max_procs_limit> all{};

    [[nodiscard]] p& at(std::uint32_t i) noexcept { return *all[i].load(base::memory_order_acquire); }
};
WEFT_HIDDEN extern constinit scheduler sched;

// --- sched.cpp
/// Decisions of a P between two looks at the shared queues and the timers; a power of two.
inline constexpr std::uint64_t fairness_period = 64;

}  // namespace weft::rt
