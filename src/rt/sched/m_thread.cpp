#include "rt/sched/m_thread.hpp"

#include <cerrno>
#include <cstdint>
#include <new>

#include "base/check.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/sched/loop.hpp"
#include "rt/sched/procs.hpp"
#include "rt/sched/scheduler.hpp"
#include "sys/clock.hpp"
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
    self.detour = sched.parks_are_observed ? m::observed : 0;
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

}  // namespace

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
            fresh->section.give_up();
        }
        sched.lock.lock();
        --sched.ms;
        put_away(*fresh);
        sched.lock.unlock();
    }
    return error;
}

void for_each_m(void (*visit)(m&, void*) noexcept, void* argument) noexcept
{
    for (m* each = sched.all_ms.load(base::memory_order_acquire); each != nullptr; each = each->next_made)
        visit(*each, argument);
}

}  // namespace weft::rt
