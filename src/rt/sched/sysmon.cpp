#include "rt/sched/sysmon.hpp"

#include <algorithm>
#include <array>

#include "rt/poll/netpoll.hpp"
#include "rt/sched/expire.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/retake.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/timekeeper.hpp"
#include "rt/sched/wake.hpp"
#include "sys/clock.hpp"
#include "sys/futex.hpp"
#include "sys/membarrier.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

namespace {

// ns
constexpr std::int64_t keen_nap = 20'000;
constexpr std::int64_t shortest_nap = 50'000;
constexpr std::int64_t longest_nap = 1'000'000;
constexpr int keen_looks = 50;
constexpr std::uint64_t lively = 64;  // decisions of a P between two looks: nobody holds it up
constexpr int calm_looks = 8;         // so many in a row at which all were lively

base::atomic<bool> running{false};
base::atomic<std::uint32_t> left_spins{0};
base::atomic<bool> alive{false};  ///< set by the thread itself

/// What was seen of a P.
struct seen_p {
    std::uint64_t tick = p::no_tick;
    std::int64_t since = 0;           ///< the decision was made after this
    std::int64_t blocking_since = 0;  ///< it poked, or was first seen in blocking(); 0: not
};

class monitor {
public:
    /// One look at everything. Returns how long to sleep.
    std::int64_t look() noexcept
    {
        const std::int64_t now = sys::monotonic_now();
        const idle_word::view idle = sched.idle.read();
        const std::int64_t timer = earliest_timer();
        shared_work_ = sched.global.size() != 0 || timer <= now;
        hurry_ = false;
        bool helped = false;
        stale_ = 0;
        all_lively_ = true;
        const std::uint32_t made = sched.made.load(base::memory_order_acquire);
        for (std::uint32_t i = 0; i < made; ++i) {
            p& proc = sched.at(i);
            if (proc.state.load(base::memory_order_relaxed) == p_state::running)
                helped |= look_at(proc, seen_[i], idle, now);
            else
                seen_[i] = {};
        }
        last_look_ = now;
        if (stale_ != 0)
            keep_spare_m();
        nap_ = helped ? shortest_nap : std::min(nap_ * 2, longest_nap);
        calm_ = all_lively_ && !helped ? std::min(calm_ + 1, calm_looks) : 0;
        const std::int64_t slice = sched.slice.load(base::memory_order_relaxed);
        std::int64_t nap = idle.idle != 0 ? nap_ : calm_ == calm_looks ? slice : slice / 4;
        if (hurry_)
            nap = short_call;
        else if (keen_ > 0 && --keen_ > 0)
            nap = std::min(nap, keen_nap);
        if (stale_ != 0 && timer > now)  // it must not wait for somebody who does not look
            nap = std::min(nap, std::max(timer - now, keen_nap));
        return nap;
    }
    void poked() noexcept { keen_ = keen_looks; }
    void slept_long() noexcept
    {
        nap_ = shortest_nap;
        last_look_ = sys::monotonic_now();  // no P was busy until now
    }

private:
    /// True: somebody was helped.
    bool look_at(p& proc, seen_p& seen, const idle_word::view& idle, std::int64_t now) noexcept
    {
        const std::uint64_t tick = proc.tick.load(base::memory_order_relaxed);
        const m* const owner = proc.owner.load(base::memory_order_acquire);
        const bool blocks = owner != nullptr && owner->blocking.load(base::memory_order_relaxed) == tick;
        all_lively_ = all_lively_ && seen.tick != p::no_tick && tick - seen.tick >= lively;
        if (tick != seen.tick) {
            seen = {tick, last_look_, 0};
            if (!blocks)
                return false;
        }
        ++stale_;
        const bool own_work = proc.has_work();
        if (own_work && idle.idle != 0) {
            proc.stale_next.store(tick, base::memory_order_relaxed);
            wake_one();
            return true;
        }
        const bool retired = proc.id >= sched.procs.load(base::memory_order_relaxed);
        const bool needed = retired || ((own_work || shared_work_) && idle.idle == 0 && idle.spinning == 0);
        bool due = now - seen.since >= sched.slice.load(base::memory_order_relaxed);
        if (blocks && needed) {
            if (seen.blocking_since == 0)
                seen.blocking_since = began_blocking(*owner, tick, now);
            if (now - seen.blocking_since >= short_call) {
                due = true;
            } else {
                hurry_ = true;
                keen_ = keen_looks;
            }
        }
        if (!needed || !due || !retake(proc, tick))
            return false;
        seen = {};
        hand_off(proc);
        return true;
    }

    /// As far as we know: a poke is as good as a look.
    static std::int64_t began_blocking(const m& owner, std::uint64_t tick, std::int64_t now) noexcept
    {
        const bool poked = owner.poked_tick.load(base::memory_order_acquire) == tick;
        return poked ? owner.poked_at.load(base::memory_order_relaxed) : now;
    }

    std::array<seen_p, max_procs_limit> seen_{};
    std::int64_t last_look_ = sys::monotonic_now();
    std::int64_t nap_ = shortest_nap;
    int keen_ = 0;
    int calm_ = 0;  ///< looks in a row at which all busy Ps were lively
    // -- of one look
    bool all_lively_ = true;
    bool shared_work_ = false;  ///< there is some that any P could run
    bool hurry_ = false;        ///< a second look is due soon
    std::uint32_t stale_ = 0;   ///< Ps that have made no decision since the last look, or are in blocking()
};

/// What leave_spin_to_sysmon() has promised.
void take_spins_back() noexcept
{
    std::uint32_t n = left_spins.exchange(0, base::memory_order_acq_rel);
    if (n == 0)
        return;
    for (; n > 0; --n)
        sched.idle.end_spin();
    sys::heavy_fence();  // as found() in find.cpp
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
        ready_batch(nullptr, nullptr, woken);
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

/// Whether a P's owner is in blocking() and others wait for the P: poke_sysmon() may have come too early to be seen.
bool somebody_blocks() noexcept
{
    const std::uint32_t made = sched.made.load(base::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i) {
        const p& proc = sched.at(i);
        const m* const owner = proc.owner.load(base::memory_order_acquire);
        if (owner != nullptr && owner->blocking.load(base::memory_order_relaxed) != p::no_tick &&
            (proc.has_work() || sched.global.size() != 0))
            return true;
    }
    return false;
}

void sleep_while_idle(monitor& looking) noexcept
{
    sched.sysmon_nap.store(nap_of_sysmon::deep, base::memory_order_seq_cst);
    // Pairs with wake_sysmon(): a P that was taken before this second look is seen by it.
    if (busy() == 0 && left_spins.load(base::memory_order_seq_cst) == 0) {
        // Here, where the visit meets all that has parked: an M that takes a P from now on wakes us.
        hooks.nudge_hibernator(sys::monotonic_now(), true);
        sys::futex_wait(sched.sysmon_nap, nap_of_sysmon::deep);
    }
    sched.sysmon_nap.store(nap_of_sysmon::awake, base::memory_order_relaxed);
    looking.slept_long();
}

/// True: poked.
bool sleep_for_a_while(std::int64_t nap) noexcept
{
    const bool is_long = nap > keen_nap;
    const std::uint32_t kind = is_long ? nap_of_sysmon::long_one : nap_of_sysmon::short_one;
    sched.sysmon_nap.store(kind, base::memory_order_relaxed);
    if (is_long) {
        sys::heavy_fence();  // pairs with poke_sysmon()
        if (somebody_blocks())
            return true;
    }
    sys::futex_wait_until(sched.sysmon_nap, kind, sys::monotonic_now() + nap);
    return sched.sysmon_nap.exchange(nap_of_sysmon::awake, base::memory_order_relaxed) == nap_of_sysmon::awake;
}

void* sysmon_main(void*) noexcept
{
    sys::name_this_thread("weft-sysmon");
    alive.store(true, base::memory_order_seq_cst);
    static monitor looking;
    sys::precise_sleep();
    while (!sched.stopping.load(base::memory_order_relaxed)) {
        take_spins_back();
        if (busy() == 0)
            sleep_while_idle(looking);
        look_after_io(sched.idle.read().idle != 0);
        hooks.nudge_hibernator(sys::monotonic_now(), false);
        if (sleep_for_a_while(looking.look()))
            looking.poked();
    }
    return nullptr;
}

}  // namespace

void start_sysmon() noexcept
{
    if (!running.exchange(true) && sys::start_thread(&sysmon_main, nullptr) != 0)
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
    std::uint32_t seen = nap_of_sysmon::deep;
    if (sched.sysmon_nap.load(base::memory_order_seq_cst) == seen &&
        sched.sysmon_nap.compare_exchange_strong(seen, nap_of_sysmon::awake))
        sys::futex_wake(&sched.sysmon_nap, 1);
}

void poke_sysmon_slow(m* blocked) noexcept
{
    if (blocked != nullptr) {
        blocked->poked_at.store(sys::monotonic_now(), base::memory_order_relaxed);
        blocked->poked_tick.store(blocked->blocking.load(base::memory_order_relaxed), base::memory_order_release);
    }
    std::uint32_t seen = nap_of_sysmon::long_one;
    if (sched.sysmon_nap.compare_exchange_strong(seen, nap_of_sysmon::awake))
        sys::futex_wake(&sched.sysmon_nap, 1);
}

}  // namespace weft::rt
