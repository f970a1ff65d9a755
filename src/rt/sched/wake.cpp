#include "rt/sched/wake.hpp"

#include <cerrno>
#include <cstring>

#include "base/check.hpp"
#include "rt/sched/idle_ms.hpp"
#include "rt/sched/m_thread.hpp"
#include "rt/sched/procs.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/sleep.hpp"
#include "sys/membarrier.hpp"

namespace weft::rt {

namespace {

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
        sys::heavy_fence();
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
    if (self.section.outside()) {  // has none
        sched.lock.lock();
        ++sched.home_ms;
        const bool watches = must_look_for_deadlock();
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
    const bool watches = must_look_for_deadlock();
    sched.lock.unlock();
    if (taken == nullptr) {
        sys::heavy_fence();  // as in find.cpp, S2
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
        sys::heavy_fence();
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

}  // namespace weft::rt
