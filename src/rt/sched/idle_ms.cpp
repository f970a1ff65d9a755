#include "rt/sched/idle_ms.hpp"

#include "rt/poll/netpoll.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/timekeeper.hpp"
#include "sys/futex.hpp"

namespace weft::rt {

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

}  // namespace weft::rt
