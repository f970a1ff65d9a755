// barrier: the slow ways.
//
// advance() changes the phase under the bucket's lock, and a waiter compares it under that lock before it queues: so
// all who are queued then wait for the phase that ends.
#include "weft/barrier.hpp"

#include <stdexcept>

#include "rt/rt.hpp"
#include "sync/limit.hpp"

namespace weft::detail {

barrier_core::arrival barrier_core::arrive(std::ptrdiff_t n)
{
    std::uint64_t seen = state_.load(base::memory_order_relaxed);
    for (;;) {
        const auto missing = static_cast<std::uint32_t>(seen);
        if (n <= 0 || n > static_cast<std::ptrdiff_t>(missing))
            throw std::logic_error("weft::barrier: more arrive than are expected in this phase, or none");
        const std::uint64_t now = seen - static_cast<std::uint64_t>(n);
        // Whatever anybody has done before it arrived is done for the completion and for all who wait.
        if (state_.compare_exchange_weak(seen, now, base::memory_order_acq_rel, base::memory_order_relaxed))
            return {static_cast<std::uint32_t>(seen >> 32), static_cast<std::uint32_t>(now) == 0};
    }
}

barrier_core::arrival barrier_core::arrive_and_drop()
{
    // First, so that the last one to arrive sees it; taken back if it does not count as an arrival.
    expected_.fetch_sub(1, base::memory_order_relaxed);
    try {
        return arrive(1);
    } catch (...) {
        expected_.fetch_add(1, base::memory_order_relaxed);
        throw;
    }
}

void barrier_core::advance() noexcept
{
    rt::g_list woken;
    rt::sema_bucket& bucket = rt::sema_bucket::of(this);
    bucket.lock();
    grant_all(bucket, this, woken);
    const std::uint64_t next = (state_.load(base::memory_order_relaxed) >> 32) + 1;
    state_.store(next << 32 | expected_.load(base::memory_order_relaxed), base::memory_order_release);
    bucket.unlock();
    // The barrier may be gone as soon as one of them runs.
    rt::ready(woken);
}

bool barrier_core::wait_slow(std::uint32_t waited_for, wait_bound bound)
{
    rt::sema_bucket& bucket = rt::sema_bucket::of(this);
    rt::sema_waiter me;
    me.who = rt::current();
    me.key = this;
    bucket.lock();
    if (phase() != waited_for) {
        bucket.unlock();
        return true;
    }
    bucket.push_back(me);
    if (rt::sema_wait(bucket, me, limit_of(bound), rt::wait_reason::barrier) == rt::wait_state::granted)
        return true;
    (void)bucket.remove(me);
    const bool over = phase() != waited_for;
    bucket.unlock();
    return over;
}

}  // namespace weft::detail
