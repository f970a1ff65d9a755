// Everybody asleep inside run(), and nothing left to wake anybody: found, reported, and the process ended.
// docs/design/deadlock.md has the reasoning; steps named as there.
#include "rt/boot/deadlock.hpp"

#include "base/check.hpp"
#include "base/printer.hpp"
#include "rt/core/g.hpp"
#include "rt/core/p.hpp"
#include "rt/core/timer.hpp"
#include "rt/core/wait_reason.hpp"
#include "rt/report/dump.hpp"
#include "rt/report/observer.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/sleep.hpp"
#include "rt/sched/sysmon.hpp"
#include "rt/sched/timekeeper.hpp"
#include "rt/sched/wake.hpp"
#include "rt/services/hibernate/hibernator.hpp"
#include "rt/services/scavenger.hpp"
#include "sys/interrupt.hpp"
#include "sys/membarrier.hpp"
#include "sys/sanitizer.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

namespace {

constexpr int status = 2;
constexpr int with_stack = 256;  // goroutines; the others have a line each

struct plain_threads {
    std::uint64_t parks;
    std::uint64_t readies;

    static plain_threads count() noexcept
    {
        // Readies first: each one has a park before it.
        const std::uint64_t readies = sched.thread_readies.load(base::memory_order_seq_cst);
        return {sched.thread_parks.load(base::memory_order_seq_cst), readies};
    }
    friend bool operator==(const plain_threads&, const plain_threads&) = default;
};

/// Precondition: sched.lock is held. Whether no M runs anything or is about to.
bool all_asleep() noexcept
{
    if (sched.idle.read().spinning != 0 || sched.idle_ms.load(base::memory_order_relaxed) + sched.home_ms != sched.ms)
        return false;
    const std::uint32_t made = sched.made.load(base::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i)
        if (sched.at(i).state.load(base::memory_order_relaxed) == p_state::running)
            return false;
    return true;
}

/// Precondition: sched.lock is held and all_asleep(). Whether there is a thread that is neither ours nor parked, or
/// work.
bool somebody_else() noexcept
{
    const plain_threads before = plain_threads::count();  // L1
    const int threads = sys::thread_count();              // L2
    sys::heavy_fence();                                   // L3
    if (!(plain_threads::count() == before) || any_work() || earliest_timer() != never)
        return true;  // L4
    const std::uint64_t known = std::uint64_t{sched.ms} + (sysmon_runs() ? 1U : 0U) + (scavenger_runs() ? 1U : 0U) +
                                (observer_runs() ? 1U : 0U) + (hibernator_runs() ? 1U : 0U) +
                                (before.parks - before.readies) + static_cast<std::uint64_t>(sys::sanitizer_threads);
    return static_cast<std::uint64_t>(threads) != known;  // L5
}

bool is_parked(const g& item) noexcept
{
    return item.state.load(base::memory_order_relaxed) == g_state::waiting && (item.flags & g::a_thread) == 0;
}

bool waits_for_outside() noexcept
{
    bool any = false;
    for_each_g(
        [](g& item, void* found) noexcept
        {
            if (is_parked(item) && ends_from_outside(item.why.load(base::memory_order_relaxed)))
                *static_cast<bool*>(found) = true;
        },
        &any);
    return any;
}

struct listing {
    base::printer out{2};  // stderr
    int shown = 0;
};

void report_one(g& item, void* argument) noexcept
{
    auto& list = *static_cast<listing*>(argument);
    if (is_parked(item))
        report_parked(list.out, item, list.shown++ < with_stack);
}

}  // namespace

outlook look_for_deadlock() noexcept
{
    sched.lock.lock();
    if (!must_look_for_deadlock() || sched.stopping.load(base::memory_order_relaxed) || earliest_timer() != never) {
        sched.lock.unlock();
        return outlook::going_on;
    }
    if (sched.runs_without_detection.load(base::memory_order_relaxed) != 0 || !all_asleep() || somebody_else() ||
        waits_for_outside() || sys::program_handles_signals()) {
        sched.lock.unlock();
        return outlook::unknown;
    }
    base::report("fatal error: all goroutines are asleep - deadlock!\n");
    sys::prepare_unwinding();
    listing list;
    for_each_g(&report_one, &list);
    list.out.flush();
    base::end_process(status);
}

}  // namespace weft::rt
