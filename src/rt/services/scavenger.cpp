// The thread that looks at free stacks. Not sysmon: giving back the stacks of a million goroutines keeps the kernel
// busy for a second, and sysmon must be back within microseconds.
//
//   D1 look; is there nothing left with memory:     G1 a stack goes to a pool, or a P with stacks in its cache goes
//   idle, D2 scavenger_word = deep                                under the lock of the pool, or the scheduler's D3
//   look again; still nothing: sleep             G2 scavenger_word == deep? awake, and wake the thread
//
// Each G1 comes before or after D3 in the order of their common lock. Before: D3 finds the stack. After: D2 is visible
// to G2. So no stack is forgotten; and when all have decayed nobody wakes up any more.
#include "rt/services/scavenger.hpp"

#include <array>

#include "rt/core/p.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/stack/scavenging.hpp"
#include "rt/stack/stack.hpp"
#include "sys/clock.hpp"
#include "sys/futex.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

namespace {

constexpr std::int64_t period = 500'000'000;  // ns

base::atomic<bool> running{false};
base::atomic<bool> alive{false};  // set by the thread itself

struct {
    sys::lock_word lock;                                // before sched.lock and the pools'
    std::array<std::uint64_t, max_procs_limit> tick{};  // guarded by lock; of each P at the last look
} last;

/// Precondition: last.lock is held. The stacks of Ps that have made no decision since the last look go to the pool.
/// False: no P without an owner has any.
bool drain_idle_caches() noexcept
{
    bool any = false;
    const std::uint32_t made = sched.made.load(base::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i) {
        p& proc = sched.at(i);
        const std::uint64_t tick = proc.tick.load(base::memory_order_relaxed);
        const bool quiet = tick == last.tick[i];
        last.tick[i] = tick;
        sched.lock.lock();
        // Idle or dead: nobody touches its caches, and whoever takes it does that under the lock.
        if (proc.state.load(base::memory_order_relaxed) != p_state::running && proc.stacks.size() != 0) {
            if (quiet)
                proc.stacks.drain();
            any = true;
        }
        sched.lock.unlock();
    }
    return any;
}

void* scavenger_main(void*) noexcept
{
    sys::name_this_thread("weft-scavenger");
    alive.store(true, base::memory_order_seq_cst);
    while (!sched.stopping.load(base::memory_order_relaxed)) {
        if (!scavenge_once()) {                                                       // D1
            scavenger_word.store(scavenger_sleep::deep, base::memory_order_relaxed);  // D2
            if (!scavenge_once())                                                     // D3
                sys::futex_wait(scavenger_word, scavenger_sleep::deep);
            scavenger_word.store(scavenger_sleep::awake, base::memory_order_relaxed);
        }
        (void)sys::futex_wait_until(scavenger_word, scavenger_sleep::awake, sys::monotonic_now() + period);
    }
    return nullptr;
}

}  // namespace

bool scavenge_once() noexcept
{
    last.lock.lock();
    const bool cached = drain_idle_caches();
    const bool pooled = look_at_free_stacks();
    last.lock.unlock();
    return cached || pooled;
}

void start_scavenger() noexcept
{
    if (!running.exchange(true) && sys::start_thread(&scavenger_main, nullptr) != 0)
        running.store(false);  // goes without: free stacks keep their memory
}

void wake_scavenger_slow() noexcept
{
    std::uint32_t seen = scavenger_sleep::deep;
    if (scavenger_word.compare_exchange_strong(seen, scavenger_sleep::awake))
        sys::futex_wake(&scavenger_word, 1);
}

bool scavenger_runs() noexcept
{
    return alive.load(base::memory_order_seq_cst);
}

}  // namespace weft::rt
