// Giving idle Ps to sleeping Ms, or to new ones.
#include <cerrno>
#include <cstring>
#include <new>

#include "base/check.hpp"
#include "rt/poll/netpoll.hpp"
#include "rt/report/watch.hpp"
#include "rt/sched/sched.hpp"
#include "sys/barrier.hpp"
#include "sys/clock.hpp"
#include "sys/futex.hpp"
#include "sys/sanitizer.hpp"
#include "sys/signal.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

namespace {

/// For new_m(). Precondition: sched.lock is held.
void put_away(m& threadless) noexcept
{
    threadless.next_free = sched.free_ms;
    sched.free_ms = &threadless;
}

/// What is left to do for an M that is off every list, on its thread: afterwards it may run on another one.
void end_m(m& self) noexcept
{
    set_this_m(nullptr);
    sched.lock.lock();
    put_away(self);
    sched.threads_ended.add();
    sched.lock.unlock();
}

void* m_main(void* argument) noexcept
{
    sys::name_this_thread("weft");
    m& self = *static_cast<m*>(argument);
    set_this_m(&self);
    if (sys::address_sanitizer) {  // elsewhere the C library's malloc would make an arena for this thread
        const sys::stack_bounds bounds = sys::this_stack();
        self.g0_low = bounds.low;
        self.g0_size = bounds.size;
    }
    self.g0_fiber = sys::this_fiber();
    self.errno_at = sys::errno_location();
    self.exceptions = sys::thread_exception_globals();
    self.random =
        base::rand(reinterpret_cast<std::uintptr_t>(argument) ^ static_cast<std::uint64_t>(sys::monotonic_now()));
    self.thread_id.store(sys::this_thread_id(), base::memory_order_relaxed);
    self.stole_at = 0;
    self.wasted_steals = 0;
    self.detour = parks_are_watched() ? m::watched : 0;
    sys::precise_sleep();
    const sys::signal_stack for_faults;
    if (!for_faults.good())
        base::report("weft: no memory for a signal stack: a stack overflow on this thread will not be reported\n");
    schedule(self);
    end_m(self);
    return nullptr;
}

/// An M without a thread; counted as one that has one. Null, and an errno: the limit, or no memory.
m* new_m(int& error) noexcept
{
    sched.lock.lock();
    m* fresh = nullptr;
    error = EAGAIN;
    if (sched.ms < sched.max_ms) {
        ++sched.ms;
        error = 0;
        fresh = sched.free_ms;
        if (fresh != nullptr)
            sched.free_ms = fresh->next_free;
    }
    sched.lock.unlock();
    if (error != 0 || fresh != nullptr)
        return fresh;
    fresh = new (std::nothrow) m;
    if (fresh == nullptr) {
        error = ENOMEM;
        sched.lock.lock();
        --sched.ms;
        sched.lock.unlock();
        return nullptr;
    }
    m* last = sched.all_ms.load(base::memory_order_relaxed);
    do {
        fresh->next_made = last;
    } while (!sched.all_ms.compare_exchange_weak(last, fresh, base::memory_order_release, base::memory_order_relaxed));
    return fresh;
}

/// A new M with `proc`, or without one: then it sleeps. Returns an errno.
int start_m(p* proc, bool spinning) noexcept
{
    int error = 0;
    m* const fresh = new_m(error);
    if (fresh == nullptr)
        return error;
    if (proc != nullptr)
        own_p(*fresh, *proc);
    fresh->spinning = spinning;
    error = sys::start_thread(&m_main, fresh);
    if (error != 0) {
        fresh->spinning = false;
        if (proc != nullptr) {
            disown_p(*fresh, *proc);
            fresh->own.give_up();
        }
        sched.lock.lock();
        --sched.ms;
        put_away(*fresh);
        sched.lock.unlock();
    }
    return error;
}

/// Wakes `to`, which has everything it needs.
void wake_m(m& to) noexcept
{
    if (to.note.exchange(m::awake, base::memory_order_acq_rel) == m::polling)
        netpoll::interrupt();
    else
        sys::futex_wake(&to.note, 1);
}

/// `sleeper` is to look at what has changed. Precondition: sched.lock is held.
void poke(m& sleeper) noexcept
{
    std::uint32_t seen = sleeper.note.load(base::memory_order_relaxed);
    while (seen != m::awake) {
        // Also when it has been poked already: what was written before this, it sees when it takes the note back.
        if (!sleeper.note.compare_exchange_weak(seen, m::look, base::memory_order_acq_rel, base::memory_order_relaxed))
            continue;
        if (seen == m::polling)
            netpoll::interrupt();
        else if (seen == m::asleep)
            sys::futex_wake(&sleeper.note, 1);
        return;
    }
}

/// An idle M, off the list; the timekeeper only when there is no other. Precondition: sched.lock is held.
m* take_idle_m() noexcept
{
    m* const first = sched.idle_first;
    if (first != nullptr)
        unlist_idle_m(*first);
    return first;
}

/// `proc`, which belongs to the caller, goes to an M that sleeps or to a new one; if that is to spin, it has been
/// counted in advance. Returns an errno, with the P back on the list, whoever comes first takes it, and the count
/// undone.
int give_p(p& proc, bool spinning) noexcept
{
    sched.lock.lock();
    m* const sleeper = take_idle_m();
    if (sleeper != nullptr)
        sched.wakeups.add();
    sched.lock.unlock();
    if (sleeper != nullptr) {
        own_p(*sleeper, proc);
        sleeper->spinning = spinning;
        wake_m(*sleeper);
        return 0;
    }
    const int error = start_m(&proc, spinning);
    if (error != 0) {
        sched.lock.lock();
        list_idle_p(proc, spinning);
        sched.thread_failures.add();
        sched.lock.unlock();
    }
    return error;
}

/// Once each time that threads become short.
void warn_of_threads(int error) noexcept
{
    sched.lock.lock();
    const bool limit = sched.ms >= sched.max_ms;
    const std::uint32_t ms = sched.ms;
    const bool first = !sched.short_of_ms;
    sched.short_of_ms = true;
    sched.lock.unlock();
    if (!first)
        return;
    if (limit)
        base::report(
            "weft: all %u threads that may be (options::max_threads, ulimit -u, the cgroup's pids.max) are held by "
            "goroutines that block or compute: the others wait until one of them is back. Raise the limit, or let "
            "fewer "
            "goroutines be in blocking() at once (weft::counting_semaphore)\n",
            ms);
    else
        base::report("weft: could not start another thread (%s; %u run): going on with those there are\n",
                     std::strerror(error), ms);
}

[[noreturn]] void out_of_threads(int error) noexcept
{
    sched.lock.lock();
    const std::uint32_t ms = sched.ms;
    sched.lock.unlock();
    if (ms >= sched.max_ms)
        base::fatal(
            "all %u threads that options::max_threads allows are held by goroutines that keep theirs "
            "(lock_thread, pin, attr::pinned), and no other is left to run the rest: raise max_threads",
            ms);
    base::fatal(
        "no thread can be started to run the remaining goroutines: %s (%u run; see ulimit -u, the cgroup's "
        "pids.max, kernel.threads-max)",
        std::strerror(error), ms);
}

}  // namespace

void list_idle_m(m& self) noexcept
{
    // The first one to sleep keeps time, from the end of the list, so that it is the last one to be woken for work.
    const bool keeper = sched.timekeeper.load(base::memory_order_relaxed) == nullptr;
    if (keeper)
        sched.timekeeper.store(&self, base::memory_order_relaxed);
    if (keeper || sched.idle_first == nullptr) {
        self.previous_idle = sched.idle_last;
        self.next_idle = nullptr;
        (sched.idle_last != nullptr ? sched.idle_last->next_idle : sched.idle_first) = &self;
        sched.idle_last = &self;
    } else {
        self.previous_idle = nullptr;
        self.next_idle = sched.idle_first;
        sched.idle_first->previous_idle = &self;
        sched.idle_first = &self;
    }
    self.listed = true;
    sched.idle_ms.store(sched.idle_ms.load(base::memory_order_relaxed) + 1, base::memory_order_relaxed);
    sched.short_of_ms = false;
}

bool too_many_idle_ms() noexcept
{
    return sched.idle_ms.load(base::memory_order_relaxed) > sched.idle.read().idle + 1;
}

void review_idle_ms() noexcept
{
    for (m* sleeper = sched.idle_first; sleeper != nullptr; sleeper = sleeper->next_idle)
        poke(*sleeper);
}

void unlist_idle_m(m& self) noexcept
{
    (self.previous_idle != nullptr ? self.previous_idle->next_idle : sched.idle_first) = self.next_idle;
    (self.next_idle != nullptr ? self.next_idle->previous_idle : sched.idle_last) = self.previous_idle;
    self.next_idle = nullptr;
    self.previous_idle = nullptr;
    self.listed = false;
    sched.idle_ms.store(sched.idle_ms.load(base::memory_order_relaxed) - 1, base::memory_order_relaxed);
    if (sched.timekeeper.load(base::memory_order_relaxed) == &self)
        resign_timekeeper();
}

void wake_one() noexcept
{
    while (!sched.stopping.load(base::memory_order_relaxed) && sched.idle.begin_wake()) {
        sched.lock.lock();
        p* const proc = take_idle_p(false);
        sched.lock.unlock();
        if (proc != nullptr) {
            if (const int error = give_p(*proc, true); error != 0)
                warn_of_threads(error);
            return;
        }
        // Our count has kept others from waking somebody for what they pushed meanwhile; as found() in find.cpp.
        sched.idle.end_spin();
        if (!sched.idle.needs_waking())
            return;
        sys::heavy_barrier();
        if (!any_work())
            return;
    }
}

void hand_off(p& proc) noexcept
{
    sched.lock.lock();
    if (proc.id >= sched.procs.load(base::memory_order_relaxed)) {
        list_idle_p(proc, false);
        sched.lock.unlock();
        if (any_work())
            wake_one();
        return;
    }
    sched.lock.unlock();
    if (const int error = give_p(proc, false); error != 0)
        warn_of_threads(error);
}

void keep_spare_m() noexcept
{
    if (sched.idle_ms.load(base::memory_order_relaxed) == 0)
        (void)start_m(nullptr, false);  // hand_off() tries again, and says why it fails
}

bool give_p_away(m& self) noexcept
{
    if (self.own.outside()) {  // has none
        sched.lock.lock();
        ++sched.home_ms;
        const bool watches = must_watch();
        sched.lock.unlock();
        return watches;
    }
    p& proc = *self.proc;
    disown_p(self, proc);
    sched.lock.lock();
    list_idle_p(proc, false);
    ++sched.home_ms;
    // Somebody must look after the queues, and after the timers: one may be what the locked goroutine waits for.
    const bool needed = sched.global.size() != 0 || sched.timekeeper.load(base::memory_order_relaxed) == nullptr;
    p* const taken = needed ? take_idle_p(true) : nullptr;
    if (needed)
        sched.handoffs.add();
    const bool watches = must_watch();
    sched.lock.unlock();
    if (taken == nullptr) {
        sys::heavy_barrier();  // as in find.cpp, S2
        if (any_work())
            wake_one();
        return watches;
    }
    if (const int error = give_p(*taken, true); error != 0) {
        if (sched.idle.read().idle >= sched.procs.load(base::memory_order_relaxed))
            out_of_threads(error);  // nobody is left to run anything
        warn_of_threads(error);
    }
    return watches;
}

bool pass_p_on(m& self) noexcept
{
    p& proc = *self.proc;
    disown_p(self, proc);
    sched.lock.lock();
    list_idle_p(proc, false);
    p* const taken = take_idle_p(true);
    sched.lock.unlock();
    if (taken == nullptr) {  // it was beyond max_procs, and its work is in the global queue
        sys::heavy_barrier();
        if (any_work())
            wake_one();
        return true;
    }
    if (give_p(*taken, true) == 0)
        return true;
    sched.lock.lock();
    p* const back = take_idle_p(true);
    sched.lock.unlock();
    if (back == nullptr)
        return true;  // somebody else has it by now
    own_p(self, *back);
    self.spinning = true;
    return false;
}

void for_each_m(void (*visit)(m&, void*) noexcept, void* argument) noexcept
{
    for (m* each = sched.all_ms.load(base::memory_order_acquire); each != nullptr; each = each->next_made)
        visit(*each, argument);
}

void give_to_home(p& proc, g* item) noexcept
{
    m& home = *item->home;
    sched.lock.lock();
    --sched.home_ms;  // perhaps before give_p_away() has counted it
    sched.handoffs.add();
    sched.lock.unlock();
    // The home M may not have given its former P away yet, so it takes this one itself.
    home.handed = item;
    home.handed_proc = &proc;
    wake_m(home);
}

int start_first_m(p& proc) noexcept
{
    return give_p(proc, true);
}

void wake_timekeeper(std::int64_t when) noexcept
{
    base::light_barrier();  // pairs with K2 in find.cpp
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

}  // namespace weft::rt
