// The loop of an M whose P has run out of its own work: look everywhere, then sleep.
// The idle protocol, docs/design/idle.md; steps named as there.
#include <algorithm>

#include "base/cpu.hpp"
#include "rt/poll/netpoll.hpp"
#include "rt/sched/sched.hpp"
#include "sys/barrier.hpp"
#include "sys/clock.hpp"
#include "sys/futex.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

namespace {

// Whether stealing pays. Where goroutines run for less time than it takes to move them (fine_grained) a thief takes
// only the oldest one. If that was the root of a divided task, it is busy for long and comes back for another. If not,
// it is back within `worthwhile`; after a few times it sleeps although there is work, and sysmon has it tried again
// later.
constexpr std::int64_t worthwhile = 3'000;  // ns: some times the cost of a steal
constexpr std::uint32_t wasted_most = 3;

/// The oldest half of `from`, or only the oldest, goes to `to`, which is empty.
template <std::uint32_t N>
std::uint32_t take_oldest(runq<N>& from, runq<N>& to, bool fine) noexcept
{
    const std::uint32_t n = fine ? std::min<std::uint32_t>(from.size(), 1) : (from.size() + 1) / 2;
    from.move_front(to, n);
    return n;
}

/// Precondition: `victim` is claimed.
g* take_from(p& victim, p& mine) noexcept
{
    const bool fine = victim.fine_grained.load(base::memory_order_relaxed);
    const std::uint32_t n = take_oldest(victim.ready, mine.ready, fine) + take_oldest(victim.fresh, mine.fresh, fine);
    g* item = nullptr;
    if (n > 0) {
        item = mine.ready.empty() ? mine.fresh.pop_front() : mine.ready.pop_front();
    } else if (victim.stale_next.load(base::memory_order_relaxed) == victim.tick.load(base::memory_order_relaxed)) {
        item = victim.take_next();
    }
    if (item != nullptr) {
        mine.steals.add();
        mine.stolen.add(n > 0 ? n : 1);
    }
    return item;
}

g* steal_from(m& self, p& victim) noexcept
{
    constexpr int patience = 200;  // pauses: an owner's section takes far less, unless its thread is descheduled
    if (victim.queued() == 0 && victim.stale_next.load(base::memory_order_relaxed) == p::no_tick)
        return nullptr;
    if (!victim.steal_lock.try_lock())
        return nullptr;  // another thief is at it
    g* item = nullptr;
    if (m* const owner = victim.owner.load(base::memory_order_relaxed); owner != nullptr && owner->own.request()) {
        sys::heavy_barrier();  // pairs with the light one of claim::try_enter()
        if (owner->own.wait_outside(patience)) {
            item = take_from(victim, *self.proc);
            owner->own.release_claim();
        }
    }
    victim.steal_lock.unlock();
    return item;
}

g* steal(m& self) noexcept
{
    constexpr int rounds = 4;
    const std::uint32_t made = sched.made.load(base::memory_order_acquire);
    if (made == 1)
        return nullptr;
    for (int round = 0; round < rounds; ++round) {
        const std::uint32_t first = self.random.below(made);
        for (std::uint32_t i = 0; i < made; ++i) {
            p& victim = sched.at((first + i) % made);
            if (&victim == self.proc)
                continue;
            if (g* const item = steal_from(self, victim))
                return item;
        }
        base::pause();
    }
    return nullptr;
}

/// Fires expired timers of all Ps. True: something became runnable on our P.
bool fire_all_timers(m& self, std::int64_t now) noexcept
{
    bool any = false;
    const std::uint32_t made = sched.made.load(base::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i)
        any |= fire_timers(*self.proc, sched.at(i).timers, now);
    return any;
}

/// Looks at the descriptors, unless somebody waits for them. True: something became runnable.
bool poll_now(m& self, std::int64_t now) noexcept
{
    if (!netpoll::in_use())
        return false;
    g_list woken;
    netpoll::poll_after(now, 0, false, woken);
    if (woken.empty())
        return false;
    hand_in(&self, self.proc, woken);
    return true;
}

/// F: the M has found work and stops looking for it; whoever has skipped a wake-up because of us is made good for.
void found(m& self) noexcept
{
    if (!self.spinning)
        return;
    self.spinning = false;
    sched.idle.end_spin();  // F1
    if (sched.idle.needs_waking()) {
        sys::heavy_barrier();  // F2
        if (any_work())
            wake_one();
    }
}

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
    hand_in(&self, back ? self.proc : nullptr, woken);
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
class watch {
public:
    explicit watch(bool on) noexcept : nap_(on ? shortest : 0) {}

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
        nap_ = look_for_deadlock() == outlook::unknown ? std::min(nap_ * 2, longest) : 0;
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
        self.own.give_up();
    return leaves;
}

/// Sleeps until the M has a P; as the timekeeper it takes one when a timer is due. False: the thread is to end.
/// Precondition: listed. `announced`: K1 and K2 have been done for it.
bool sleep_until_given(m& self, watch& watching, bool announced) noexcept
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
            if (watching.on() || !too_many_idle_ms())
                watching.sleep(self);
            else if (!sys::futex_wait_until(
                         self.note, m::asleep,
                         sys::monotonic_now() + sched.keep_idle_m.load(base::memory_order_relaxed)) &&
                     leave_for_good(self))
                return false;
            continue;
        }
        // K1 announce; K2 heavy barrier; K3 look. A timer armed after K3 sees the announcement (wake_timekeeper).
        if (!announced || note != m::asleep) {
            std::uint32_t poked = m::look;
            (void)self.note.compare_exchange_strong(poked, m::asleep, base::memory_order_acq_rel,
                                                    base::memory_order_acquire);
            sched.keeper_until.store(never, base::memory_order_relaxed);
            sys::heavy_barrier();
        }
        announced = false;
        const std::int64_t until = earliest_timer();
        sched.keeper_until.store(until, base::memory_order_relaxed);
        if (until == never)
            watching.sleep(self);
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

/// Called when `self` has run out of work: did what it last got from others keep it busy?
void judge_steal(m& self, std::int64_t now) noexcept
{
    if (self.stole_at == 0)
        return;
    self.wasted_steals = now - self.stole_at < worthwhile ? self.wasted_steals + 1 : 0;
    self.stole_at = 0;
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
    watch watching(must_watch());
    sched.lock.unlock();
    if (unpaid) {
        leave_spin_to_sysmon();
        return sleep_until_given(self, watching, false);
    }
    sys::heavy_barrier();  // S2
    if (any_work()) {      // S3
        sched.lock.lock();
        const bool back = self.listed && take_p_back(self);
        sched.lock.unlock();
        if (back)
            return true;
    }
    return sleep_until_given(self, watching, keeps_time);  // S4
}

/// What is not on the P of `self`.
g* look_elsewhere(m& self, std::int64_t now) noexcept
{
    const std::uint32_t procs = sched.procs.load(base::memory_order_relaxed);
    const bool fine =
        sched.global.fine_grained() && procs > 1 && !self.proc->fine_grained.load(base::memory_order_relaxed);
    if (fine && self.wasted_steals >= wasted_most && self.spinning)
        return nullptr;
    g* item = sched.global.take(fine ? 1 : sched.global.share(procs), self.proc->ready);
    if (item == nullptr) {
        if (!self.spinning)
            self.spinning = sched.idle.begin_spin(procs);
        if (self.spinning && self.wasted_steals < wasted_most)
            item = steal(self);
        if (item == nullptr)
            return nullptr;
    } else if (!fine) {
        return item;
    }
    self.stole_at = now;
    return item;
}

}  // namespace

bool any_work() noexcept
{
    if (sched.global.size() != 0)
        return true;
    const std::uint32_t made = sched.made.load(base::memory_order_acquire);
    for (std::uint32_t i = 0; i < made; ++i)
        if (sched.at(i).queued() != 0)
            return true;
    return false;
}

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

bool sleep_without_p(m& self) noexcept
{
    sched.lock.lock();
    list_idle_m(self);
    watch watching(must_watch());
    const bool awaited = sched.idle.read().idle != 0;
    sched.lock.unlock();
    // A P may be idle, with work queued for all, only because no M could be had for it.
    if (awaited && any_work())
        wake_one();
    return sleep_until_given(self, watching, false);
}

g* wait_locked(m& self) noexcept
{
    watch watching(give_p_away(self));
    while (self.note.load(base::memory_order_acquire) != m::awake)
        watching.sleep(self);
    self.note.store(m::asleep, base::memory_order_relaxed);
    own_p(self, *self.handed_proc);
    return self.handed;
}

g* find_runnable(m& self) noexcept
{
    for (;;) {
        if (sched.stopping.load(base::memory_order_relaxed))
            stop_here();
        if (self.proc->id >= sched.procs.load(base::memory_order_relaxed)) {
            retire_p(self);
            if (!sleep_without_p(self))
                return nullptr;
            continue;
        }
        p& proc = *self.proc;
        g* item = next_local(proc);
        if (item == nullptr) {
            const std::int64_t now = sys::monotonic_now();
            judge_steal(self, now);
            if (fire_all_timers(self, now))
                item = next_local(proc);
            if (item == nullptr && poll_now(self, now))
                item = next_local(proc);
            if (item == nullptr)
                item = look_elsewhere(self, now);
        }
        if (item != nullptr) {
            found(self);
            return item;
        }
        if (!go_idle(self))
            return nullptr;
    }
}

}  // namespace weft::rt
