#include "rt/sched/steal.hpp"

#include <algorithm>
#include <cstdint>

#include "base/cpu.hpp"
#include "rt/core/p.hpp"
#include "rt/sched/scheduler.hpp"
#include "sys/membarrier.hpp"

namespace weft::rt {

namespace {

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
    if (m* const owner = victim.owner.load(base::memory_order_relaxed); owner != nullptr && owner->section.request()) {
        sys::heavy_fence();  // pairs with the light one of section_word::try_enter()
        if (owner->section.wait_outside(patience)) {
            item = take_from(victim, *self.proc);
            owner->section.release();
        }
    }
    victim.steal_lock.unlock();
    return item;
}

}  // namespace

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

}  // namespace weft::rt
