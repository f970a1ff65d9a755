#include "rt/sched/sleep.hpp"

#include <algorithm>

#include "rt/poll/netpoll.hpp"
#include "rt/sched/expire.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/idle_ms.hpp"
#include "rt/sched/procs.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/sysmon.hpp"
#include "rt/sched/timekeeper.hpp"
#include "rt/sched/wake.hpp"
#include "sys/clock.hpp"
#include "sys/futex.hpp"
#include "sys/membarrier.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

namespace {

/// A woken or timed-out sleeper's way back. Precondition: sched.lock is held and `self` is listed.
bool take_p_back(m& self) noexcept
{
    p* const proc = take_idle_p(true);
    if (proc == nullptr)
        return false;
    unlist_idle_m(self);
    self.note.store(m::asleep, base::memory_order_relaxed);  // a poke that came too late; there can't be another one
    own_p(self, *proc);
    self.spinning = true;
    return true;
}

/// The timekeeper's sleep where descriptors are watched: netpoll.md, N. What it finds it runs, if there is a P for it.
void sleep_in_poller(m& self, std::int64_t until) noexcept
{
    std::uint32_t seen = m::asleep;
    if (!self.note.compare_exchange_strong(seen, m::polling, base::memory_order_acq_rel, base::memory_order_relaxed))
        return;
    g_list woken;
    const bool any = netpoll::poll(until, woken);
    seen = m::polling;
    const bool told =
        !self.note.compare_exchange_strong(seen, m::asleep, base::memory_order_acq_rel, base::memory_order_relaxed);
    if (told)
        netpoll::take_interrupt();
    if (woken.empty()) {
        if (any && !told)
            sys::yield_thread();  // another M, the timekeeper before us, is being woken
        return;
    }
    sched.lock.lock();
    const bool back = self.listed && take_p_back(self);
    if (back)
        self.note.store(m::awake, base::memory_order_relaxed);  // by itself
    else if (self.listed)
        resign_timekeeper();
    sched.lock.unlock();
    ready_batch(&self, back ? self.proc : nullptr, woken);
}

/// Sleeps while the M's note says so. False: `until` has passed.
bool doze(m& self, std::int64_t until) noexcept
{
    if (netpoll::in_use() && sched.timekeeper.load(base::memory_order_relaxed) == &self) {
        sleep_in_poller(self, until);
        return until == never || sys::monotonic_now() < until;
    }
    if (until != never)
        return sys::futex_wait_until(self.note, m::asleep, until);
    sys::futex_wait(self.note, m::asleep);
    return true;
}

/// How an M sleeps when nothing says until when: without a limit, or, as the one that watches for a deadlock, looking
/// at times; docs/design/deadlock.md.
class deadlock_nap {
public:
    explicit deadlock_nap(bool on) noexcept : nap_(on ? shortest : 0) {}

    [[nodiscard]] bool on() const noexcept { return nap_ != 0; }
    /// Sleeps while the M's note says so, for a while at the most.
    void sleep(m& self) noexcept
    {
        if (nap_ == 0) {
            (void)doze(self, never);
            return;
        }
        if (doze(self, sys::monotonic_now() + nap_))
            return;
        nap_ = hooks.look_for_deadlock() == outlook::unknown ? std::min(nap_ * 2, longest) : 0;
    }

private:
    // ns. Short enough for a person who waits for the report; long against the pauses of a program that goes on.
    static constexpr std::int64_t shortest = 10'000'000;
    static constexpr std::int64_t longest = 5'000'000'000;
    std::int64_t nap_;
};

/// Whether the thread of `self`, which has slept for long, is to end: then it is off the list and not counted any more.
/// Not that of the timekeeper, which it may have become while it woke: nobody would appoint another.
bool leave_for_good(m& self) noexcept
{
    sched.lock.lock();
    const bool leaves = self.listed && too_many_idle_ms() && sched.timekeeper.load(base::memory_order_relaxed) != &self;
    if (leaves) {
        unlist_idle_m(self);
        --sched.ms;
        self.note.store(m::asleep, base::memory_order_relaxed);
    }
    sched.lock.unlock();
    if (leaves)
        self.section.give_up();
    return leaves;
}

/// Sleeps until the M has a P; as the timekeeper it takes one when a timer is due. False: the thread is to end.
/// Precondition: listed. `announced`: K1 and K2 have been done for it.
bool sleep_until_given(m& self, deadlock_nap& nap, bool announced) noexcept
{
    for (;;) {
        const std::uint32_t note = self.note.load(base::memory_order_acquire);
        if (note == m::awake) {
            self.note.store(m::asleep, base::memory_order_relaxed);
            return true;
        }
        if (sched.timekeeper.load(base::memory_order_relaxed) != &self) {
            if (note == m::look) {
                // Fewer Ps are in use now, and perhaps fewer Ms are needed; or it has just become the timekeeper.
                std::uint32_t seen = m::look;
                (void)self.note.compare_exchange_strong(seen, m::asleep, base::memory_order_acq_rel,
                                                        base::memory_order_relaxed);
                continue;
            }
            if (nap.on() || !too_many_idle_ms())
                nap.sleep(self);
            else if (!sys::futex_wait_until(
                         self.note, m::asleep,
                         sys::monotonic_now() + sched.keep_idle_m.load(base::memory_order_relaxed)) &&
                     leave_for_good(self))
                return false;
            continue;
        }
        // K1 announce; K2 heavy fence; K3 look. A timer armed after K3 sees the announcement (wake_timekeeper).
        if (!announced || note != m::asleep) {
            std::uint32_t poked = m::look;
            (void)self.note.compare_exchange_strong(poked, m::asleep, base::memory_order_acq_rel,
                                                    base::memory_order_acquire);
            sched.keeper_until.store(never, base::memory_order_relaxed);
            sys::heavy_fence();
        }
        announced = false;
        const std::int64_t until = earliest_timer();
        sched.keeper_until.store(until, base::memory_order_relaxed);
        if (until == never)
            nap.sleep(self);
        else if (until <= sys::monotonic_now() || !doze(self, until)) {
            sched.lock.lock();
            if (self.listed && take_p_back(self)) {
                sched.lock.unlock();
                return true;
            }
            if (self.listed)
                resign_timekeeper();
            sched.lock.unlock();
            // Every P is busy, and looks after timers itself (next_fair), or sysmon takes one away from whoever
            // doesn't.
            poke_sysmon(nullptr);
        }
    }
}

}  // namespace

bool must_look_for_deadlock() noexcept
{
    return sched.runs.load(base::memory_order_relaxed) != 0 &&
           sched.idle.read().idle == sched.procs.load(base::memory_order_relaxed);
}

/// S: gives the P up, makes sure that nothing was missed, sleeps. Returns with a P; false: the thread is to end.
bool go_idle(m& self) noexcept
{
    p& proc = *self.proc;
    sched.lock.lock();
    const bool unpaid = self.spinning && self.wasted_steals >= wasted_most;
    if ((!unpaid && sched.global.size() != 0) || proc.id >= sched.procs.load(base::memory_order_relaxed)) {
        sched.lock.unlock();
        return true;  // find_runnable() looks again
    }
    disown_p(self, proc);
    list_idle_p(proc, self.spinning && !unpaid);  // S1
    self.spinning = false;
    self.wasted_steals = 0;
    list_idle_m(self);
    const bool keeps_time = sched.timekeeper.load(base::memory_order_relaxed) == &self;
    if (keeps_time)
        sched.keeper_until.store(never, base::memory_order_relaxed);  // K1; S2 is K2 as well
    deadlock_nap nap(must_look_for_deadlock());
    sched.lock.unlock();
    if (unpaid) {
        leave_spin_to_sysmon();
        return sleep_until_given(self, nap, false);
    }
    sys::heavy_fence();  // S2
    if (any_work()) {    // S3
        sched.lock.lock();
        const bool back = self.listed && take_p_back(self);
        sched.lock.unlock();
        if (back)
            return true;
    }
    return sleep_until_given(self, nap, keeps_time);  // S4
}

bool sleep_without_p(m& self) noexcept
{
    sched.lock.lock();
    list_idle_m(self);
    deadlock_nap nap(must_look_for_deadlock());
    const bool awaited = sched.idle.read().idle != 0;
    sched.lock.unlock();
    // A P may be idle, with work queued for all, only because no M could be had for it.
    if (awaited && any_work())
        wake_one();
    return sleep_until_given(self, nap, false);
}

g* wait_locked(m& self) noexcept
{
    deadlock_nap nap(give_p_away(self));
    while (self.note.load(base::memory_order_acquire) != m::awake)
        nap.sleep(self);
    self.note.store(m::asleep, base::memory_order_relaxed);
    own_p(self, *self.handed_proc);
    return self.handed;
}

}  // namespace weft::rt
