// The mutex as its slow ways see it, and condition_variable, which puts its waiters into a mutex's queue.
#pragma once

#include "rt/rt.hpp"
#include "weft/mutex.hpp"

namespace weft {

struct mutex_queue {
    /// The word after one waiter has left, or come back, with the bucket's lock held.
    static void set(mutex& mu, rt::sema_bucket& bucket, bool one_waking) noexcept
    {
        const auto parked = bucket.front(&mu) != nullptr ? mutex::waiting : mutex::none;
        mu.queue_.store(one_waking ? mutex::waking : parked, base::memory_order_relaxed);
    }
    static bool one_waking(const mutex& mu) noexcept
    {
        return mu.queue_.load(base::memory_order_relaxed) == mutex::waking;
    }
    /// Queues until the mutex is the caller's: true. False: the limit has come first. `woken`: as one who has just
    /// been taken from the queue, with `me.granted` or to compete.
    static bool contend(mutex& mu, rt::sema_waiter& me, const rt::wait_limit& limit, bool woken) noexcept;

    /// Puts parked waiters, linked by `next`, that their taker has won, at the end of the queue: as if they had called
    /// lock() and parked. Returns the one to make runnable, or null. Each that wakes goes on by resume().
    [[nodiscard]] static rt::g* adopt(mutex& mu, rt::sema_waiter* first) noexcept;
    static void resume(mutex& mu, rt::sema_waiter& me) noexcept { (void)contend(mu, me, {}, true); }

private:
    static bool take_woken(mutex& mu, rt::sema_bucket& bucket, const rt::sema_waiter& me) noexcept;
};

}  // namespace weft
