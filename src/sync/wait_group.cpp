// wait_group: the slow ways. The counter and the has_waiters bit are one word; the bit is set and cleared under the
// sema bucket's lock, so that whoever brings the counter to zero with the bit set finds all waiters queued.
#include <stdexcept>

#include "rt/rt.hpp"
#include "weft/sync.hpp"

namespace weft {

struct wait_group_queue {
    static constexpr std::uint64_t count_of(std::uint64_t word) noexcept { return word >> 32; }

    /// Sets the bit, unless the counter is zero.
    static bool announce(wait_group& wg) noexcept
    {
        std::uint64_t seen = wg.state_.load(base::memory_order_acquire);
        do {
            if (count_of(seen) == 0)
                return false;
        } while (!wg.state_.compare_exchange_weak(seen, seen | wait_group::has_waiters, base::memory_order_acq_rel,
                                                  base::memory_order_acquire));
        return true;
    }
};

void wait_group::add_slow(int n, std::uint64_t now)
{
    if (static_cast<std::int32_t>(now >> 32) < 0) {
        state_.fetch_sub(static_cast<std::uint64_t>(static_cast<std::int64_t>(n)) << 32, base::memory_order_relaxed);
        throw std::logic_error(n < 0 ? "weft::wait_group: the counter would become negative: more done() than add()"
                                     : "weft::wait_group: the counter would exceed 2147483647");
    }
    rt::g_list woken;
    rt::sema_bucket& bucket = rt::sema_bucket::of(this);
    bucket.lock();
    while (rt::sema_waiter* const w = bucket.pop_front(this))
        woken.push_back(w->who);
    state_.fetch_and(~has_waiters, base::memory_order_relaxed);
    bucket.unlock();
    // The group may be gone as soon as one of them runs.
    rt::ready(woken);
}

void wait_group::wait_slow()
{
    rt::sema_bucket& bucket = rt::sema_bucket::of(this);
    rt::sema_waiter me;
    me.who = rt::current();
    me.key = this;
    bucket.lock();
    if (!wait_group_queue::announce(*this)) {
        bucket.unlock();
        return;
    }
    bucket.push_back(me);
    rt::park(me.who, &rt::sema_bucket::unlock_commit, &bucket, rt::wait_reason::wait_group);
}

}  // namespace weft
