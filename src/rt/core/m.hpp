// m: an OS thread that runs goroutines. It has a P while it does, unless that was taken away from it (retake.md).
//
// Ms are never freed: one whose thread has ended is used again for a new one, so a stale pointer to one can always be
// looked at.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.hpp"
#include "base/cpu.hpp"
#include "base/rand.hpp"
#include "rt/core/g.hpp"
#include "rt/core/p.hpp"
#include "rt/core/section_word.hpp"
#include "sys/context.hpp"
#include "sys/exception_globals.hpp"

namespace weft::rt {

/// Runs when a parking goroutine's context is saved, on the next stack, inside the claim: publishes the goroutine to
/// what it waits on (and drops that thing's lock). From then on others may make it runnable. False: it needn't wait
/// after all and runs again.
using commit_fn = bool (*)(g* parked, void* argument) noexcept;

struct alignas(base::cache_line) m {
    // -- what each switch touches; by the M itself, `own` also by thieves
    section_word section;
    g* current = nullptr;  ///< the running goroutine; null on g0
    /// Given by whoever wakes this M. Without a P the one that it had: a hint, and a place for timers.
    p* proc = nullptr;
    commit_fn commit = nullptr;
    void* commit_argument = nullptr;
    g* committing = nullptr;
    int* errno_at = nullptr;
    sys::exception_globals* exceptions = nullptr;
    sys::context g0{};  ///< the scheduler's loop, on the thread's own stack

    // -- by the M itself
    g* locked = nullptr;              ///< the goroutine that has this thread for itself
    g* handed = nullptr;              ///< = locked, runnable again; set with handed_proc by whoever found it
    p* handed_proc = nullptr;         ///< the P to run it with
    const g* may_stay = nullptr;      ///< may run here again although it is to move at each park (watch.hpp)
    bool spinning = false;            ///< counted in idle_word
    std::int64_t stole_at = 0;        ///< when it last got work from elsewhere, ns; 0: not since it was out of work
    std::uint32_t wasted_steals = 0;  ///< in a row; find.cpp
    char* dead_stack = nullptr;       ///< of the goroutine that has just ended; released after the switch
    void* dead_fiber = nullptr;
    std::uint8_t dead_class = 0;
    void* g0_fiber = nullptr;
    char* g0_low = nullptr;  ///< ASan: bounds of g0's stack
    std::size_t g0_size = 0;
    base::rand random{0};

    /// In blocking(): the tick of its P when that began; else p::no_tick. By the M itself, read by sysmon.
    base::atomic<std::uint64_t> blocking{p::no_tick};
    /// `blocking` when that last poked sysmon, and the time. By the M itself, the tick last; read by sysmon.
    base::atomic<std::uint64_t> poked_tick{p::no_tick};
    base::atomic<std::int64_t> poked_at{0};
    std::int64_t gave_way_at = 0;  ///< in blocking(), having given its P to others by itself: the time; else 0

    // -- all Ms there have ever been
    m* next_made = nullptr;  ///< link of scheduler::all_ms; constant once it is listed
    m* next_free = nullptr;  ///< guarded by the scheduler's lock; its thread has ended

    /// Why it goes through g0 at each scheduling decision. 0 nearly always; by the M itself.
    enum : std::uint8_t {
        has_locked = 1,  ///< `locked` is not null
        observed = 2,    ///< a debug option wants to see each park (watch.hpp)
    };
    std::uint8_t detour = 0;

    // -- for the stop at process exit
    std::int64_t used_at_stop = 0;      ///< CPU time, ns; by who stops it
    base::atomic<int> thread_id{0};     ///< the kernel's; by the M itself, before it first runs a goroutine
    base::atomic<bool> stopped{false};  ///< it has met the stop and runs nothing any more

    // -- sleeping: guarded by the scheduler's lock
    m* next_idle = nullptr;
    m* previous_idle = nullptr;
    bool listed = false;  ///< on the idle list

    enum : std::uint32_t {
        asleep = 0,   ///< or about to sleep
        awake = 1,    ///< has been given a P
        look = 2,     ///< an earlier timer was armed
        polling = 3,  ///< asleep, but in netpoll::poll(), which interrupt() ends
    };
    alignas(base::cache_line) base::atomic<std::uint32_t> note{asleep};  ///< futex word
};

static_assert(offsetof(m, section) == 0, "biased_lock goes from an M to its section_word");

}  // namespace weft::rt
