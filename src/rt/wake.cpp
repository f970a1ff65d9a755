// Giving idle Ps to sleeping Ms, or to new ones.
#include <cerrno>
#include <cstring>
#include <new>

#include "base/check.hpp"
#include "rt/netpoll.hpp"
#include "rt/sched.hpp"
#include "sys/barrier.hpp"
#include "sys/clock.hpp"
#include "sys/futex.hpp"
#include "sys/sanitizer.hpp"
#include "sys/signal.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

namespace {

void* m_main(void* argument) noexcept
{
    m& self = *static_cast<m*>(argument);
    set_this_m(&self);
    const sys::stack_bounds bounds = sys::this_stack();
    self.g0_low = bounds.low;
    self.g0_size = bounds.size;
    self.g0_fiber = sys::this_fiber();
    self.errno_at = sys::errno_location();
    self.exceptions = sys::thread_exception_globals();
    self.random =
        base::rand(reinterpret_cast<std::uintptr_t>(argument) ^ static_cast<std::uint64_t>(sys::monotonic_now()));
    self.thread_id.store(sys::this_thread_id(), base::memory_order_relaxed);
    sys::precise_sleep();
    if (!sys::install_signal_stack())
        base::report("weft: no memory for a signal stack: a stack overflow on this thread will not be reported\n");
    enter(self);  // g0 is always inside
    schedule(self);
}

/// A new M that has `proc` and looks for work. Returns an errno.
int start_m(p& proc) noexcept
{
    sched.lock.lock();
    const bool allowed = sched.ms < sched.max_ms;
    if (allowed)
        ++sched.ms;
    sched.lock.unlock();
    if (!allowed)
        return EAGAIN;
    auto* const fresh = new (std::nothrow) m;
    int error = fresh == nullptr ? ENOMEM : 0;
    if (error == 0) {
        own_p(*fresh, proc);
        fresh->spinning = true;
        error = sys::start_thread("weft", &m_main, fresh);
    }
    if (error != 0) {
        if (fresh != nullptr)
            disown_p(*fresh, proc);
        delete fresh;
        sched.lock.lock();
        --sched.ms;
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

/// Precondition: sched.lock is held.
void poke(m& keeper) noexcept
{
    std::uint32_t seen = keeper.note.load(base::memory_order_relaxed);
    while (seen == m::asleep || seen == m::polling) {
        if (!keeper.note.compare_exchange_weak(seen, m::look, base::memory_order_acq_rel, base::memory_order_relaxed))
            continue;
        if (seen == m::polling)
            netpoll::interrupt();
        else
            sys::futex_wake(&keeper.note, 1);
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

/// `proc` belongs to the caller, and one spinning M is counted in advance. Returns an errno, with the P back on the
/// list and the count undone.
int run_searcher(p& proc) noexcept
{
    sched.lock.lock();
    m* const sleeper = take_idle_m();
    if (sleeper != nullptr)
        sched.wakeups.add();
    sched.lock.unlock();
    if (sleeper != nullptr) {
        own_p(*sleeper, proc);
        sleeper->spinning = true;
        wake_m(*sleeper);
        return 0;
    }
    const int error = start_m(proc);
    if (error != 0) {
        sched.lock.lock();
        list_idle_p(proc, true);
        sched.thread_failures.add();
        sched.lock.unlock();
    }
    return error;
}

void warn_of_threads(int error) noexcept
{
    static base::atomic<bool> warned{false};
    if (!warned.exchange(true))
        base::report("weft: could not start another thread (%s); going on with those there are\n",
                     sched.ms >= sched.max_ms ? "options::max_threads is reached" : std::strerror(error));
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
    ++sched.idle_ms;
}

void unlist_idle_m(m& self) noexcept
{
    (self.previous_idle != nullptr ? self.previous_idle->next_idle : sched.idle_first) = self.next_idle;
    (self.next_idle != nullptr ? self.next_idle->previous_idle : sched.idle_last) = self.previous_idle;
    self.next_idle = nullptr;
    self.previous_idle = nullptr;
    self.listed = false;
    --sched.idle_ms;
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
            if (const int error = run_searcher(*proc); error != 0)
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

bool give_p_away(m& self) noexcept
{
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
    if (const int error = run_searcher(*taken); error != 0) {
        if (sched.idle.read().idle >= sched.procs.load(base::memory_order_relaxed))
            out_of_threads(error);  // nobody is left to run anything
        warn_of_threads(error);
    }
    return watches;
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
    return run_searcher(proc);
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
