// sysmon: a thread without a P that watches the Ps.
//
// What it does today: a goroutine that was readied into an empty runnext, or started with nothing else queued, wakes
// nobody: nearly always its maker parks within a microsecond, and waking an M costs more than that. When its maker
// does not park, and another P is idle, sysmon sees to it that it is stolen.
// It sleeps 50 us to 1 ms between looks while some Ps are busy and some are idle, and for good while none is busy.
#include "rt/netpoll.hpp"
#include "rt/sched.hpp"
#include "sys/barrier.hpp"
#include "sys/clock.hpp"
#include "sys/futex.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

namespace {

constexpr std::int64_t shortest_nap = 50'000;           // ns
constexpr std::int64_t longest_nap = 1'000'000;         // ns
constexpr std::int64_t nothing_to_do_nap = 10'000'000;  // ns; all Ps are busy: nobody could be given anything

base::atomic<bool> running{false};
base::atomic<std::uint32_t> deep_sleep{0};  ///< futex word: 1 = sleeps until somebody takes a P

base::atomic<std::uint32_t> left_spins{0};
base::atomic<bool> alive{false};  ///< set by the thread itself

/// True: somebody was helped.
bool look(std::array<std::uint64_t, max_procs_limit>& ticks) noexcept
{
    bool helped = false;
    const std::uint32_t made = sched.made.load(base::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i) {
        p& proc = sched.at(i);
        const std::uint64_t tick = proc.tick.load(base::memory_order_relaxed);
        if (proc.state.load(base::memory_order_relaxed) == p_state::running && tick == ticks[i] &&
            (proc.has_next() || proc.queued() != 0)) {
            proc.stale_next.store(tick, base::memory_order_relaxed);
            wake_one();
            helped = true;
        }
        ticks[i] = tick;
    }
    return helped;
}

/// What leave_spin_to_sysmon() has promised.
void take_spins_back() noexcept
{
    std::uint32_t n = left_spins.exchange(0, base::memory_order_acq_rel);
    if (n == 0)
        return;
    for (; n > 0; --n)
        sched.idle.end_spin();
    sys::heavy_barrier();  // as found() in find.cpp
    if (any_work())
        wake_one();
}

/// When all Ps are busy, and do not poll; or when the timekeeper was needed to run what it has found.
void look_after_io(bool some_idle) noexcept
{
    constexpr std::int64_t too_long = 10'000'000;  // ns
    if (some_idle)
        appoint_timekeeper();
    if (!netpoll::in_use())
        return;
    g_list woken;
    netpoll::poll_after(sys::monotonic_now(), some_idle ? 0 : too_long, false, woken);
    if (!woken.empty())
        hand_in(nullptr, nullptr, woken);
}

/// How many Ps are busy. Retired ones that still run count as well.
std::uint32_t busy() noexcept
{
    std::uint32_t n = 0;
    const std::uint32_t made = sched.made.load(base::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i)
        n += sched.at(i).state.load(base::memory_order_relaxed) == p_state::running ? 1U : 0U;
    return n;
}

void* sysmon_main(void*) noexcept
{
    alive.store(true, base::memory_order_seq_cst);
    static std::array<std::uint64_t, max_procs_limit> ticks{};
    sys::precise_sleep();
    std::int64_t nap = shortest_nap;
    while (!sched.stopping.load(base::memory_order_relaxed)) {
        take_spins_back();
        if (busy() == 0) {
            deep_sleep.store(1, base::memory_order_seq_cst);
            // Pairs with wake_sysmon(): a P that was taken before this second look is seen by it.
            if (busy() == 0 && left_spins.load(base::memory_order_seq_cst) == 0)
                sys::futex_wait(deep_sleep, 1);
            deep_sleep.store(0, base::memory_order_relaxed);
            nap = shortest_nap;
        }
        const bool some_idle = sched.idle.read().idle != 0;
        look_after_io(some_idle);
        nap = look(ticks) ? shortest_nap : nap * 2 < longest_nap ? nap * 2 : longest_nap;
        sys::futex_wait_until(deep_sleep, 0, sys::monotonic_now() + (some_idle ? nap : nothing_to_do_nap));
    }
    return nullptr;
}

}  // namespace

void start_sysmon() noexcept
{
    if (!running.exchange(true) && sys::start_thread("weft-sysmon", &sysmon_main, nullptr) != 0)
        running.store(false);  // goes without; tried again at the next change of max_procs
}

void leave_spin_to_sysmon() noexcept
{
    left_spins.fetch_add(1, base::memory_order_seq_cst);
    wake_sysmon();
    if (!running.load(base::memory_order_relaxed))
        take_spins_back();  // no thread could be started for it
}

bool sysmon_runs() noexcept
{
    return alive.load(base::memory_order_seq_cst);
}

void wake_sysmon() noexcept
{
    if (deep_sleep.load(base::memory_order_seq_cst) != 0 && deep_sleep.exchange(0) != 0)
        sys::futex_wake(&deep_sleep, 1);
}

}  // namespace weft::rt
