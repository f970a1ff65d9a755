// mutex: the slow ways. docs/design/mutex.md has the protocol; test/model/mutex_test.cpp explores it.
//
// held_   1: locked. Taken by exchange, released by a plain store.
// queue_  what an unlock must know of the waiters, see mutex::queue values; changed under the bucket's lock only.
//
// The store-load order between "held_ = 0, look at queue_" (unlock) and "queue_ = waiting, look at held_" (lock) is an
// asymmetric fence: the unlock has a compiler barrier, a waiter that is about to park a heavy one. So an uncontended
// lock and unlock cost one locked instruction together.
//
// An unlock wakes at most one waiter at a time; while that one is on its way (waking), further unlocks wake nobody. It
// competes with newcomers, and if it loses, goes back to the front of the queue. One that has waited for over
// starving_after is not woken to compete: it is handed the mutex (held_ stays 1). The two modes are Go's (sync.Mutex,
// Vyukov 2016).
#include <stdexcept>

#include "base/cpu.hpp"
#include "rt/rt.hpp"
#include "sys/barrier.hpp"
#include "weft/sync.hpp"

namespace weft {

namespace {

constexpr std::int64_t starving_after = 1'000'000;  // ns
constexpr int spin_rounds = 4;
constexpr int spin_pauses = 30;

}  // namespace

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
};

void mutex::lock_slow()
{
    if (rt::worth_spinning()) {
        for (int round = 0; round < spin_rounds; ++round) {
            for (int i = 0; i < spin_pauses; ++i)
                base::pause();
            if (try_lock())
                return;
        }
    }
    rt::sema_bucket& bucket = rt::sema_bucket::of(this);
    rt::sema_waiter me;
    me.who = rt::current();
    me.key = this;
    bool woken = false;
    for (;;) {
        bucket.lock();
        const bool others_waking = !woken && mutex_queue::one_waking(*this);
        const bool announced = queue_.load(base::memory_order_relaxed) == waiting;
        if (woken)
            bucket.push_front(me);
        else
            bucket.push_back(me);
        mutex_queue::set(*this, bucket, others_waking);
        // Nothing to announce when unlocks have seen `waiting` all along, nor when a woken one is on its way: it takes
        // the mutex and finds us queued when it unlocks, or comes back here and announces itself.
        if (!announced && !others_waking)
            sys::heavy_barrier();  // pairs with the light one of unlock()
        if (!others_waking && held_.exchange(1, base::memory_order_acquire) == 0) {
            (void)bucket.remove(me);
            mutex_queue::set(*this, bucket, false);
            bucket.unlock();
            return;
        }
        if (me.since == 0)
            me.since = rt::now();
        me.granted = false;
        rt::park(me.who, &rt::sema_bucket::unlock_commit, &bucket, rt::wait_reason::mutex);
        woken = true;
        const bool got = me.granted || held_.exchange(1, base::memory_order_acquire) == 0;
        if (got) {
            if (me.granted)
                return;  // the one who granted it has left the word in order
            bucket.lock();
            mutex_queue::set(*this, bucket, false);
            bucket.unlock();
            return;
        }
    }
}

void mutex::unlock_slow()
{
    rt::sema_bucket& bucket = rt::sema_bucket::of(this);
    bucket.lock();
    if (queue_.load(base::memory_order_relaxed) != waiting) {
        bucket.unlock();
        return;
    }
    rt::sema_waiter* const first = bucket.front(this);
    const bool starving = rt::now() - first->since > starving_after;
    // A newcomer may have taken the mutex since we released it: then its unlock will see to the starving one.
    if (starving && held_.exchange(1, base::memory_order_acquire) != 0) {
        bucket.unlock();
        return;
    }
    (void)bucket.pop_front(this);
    first->granted = starving;
    mutex_queue::set(*this, bucket, !starving);
    rt::g* const who = first->who;
    bucket.unlock();
    // `first` is gone as soon as its goroutine runs, and with a granted mutex this object may be as well.
    rt::ready(who);
}

void mutex::unlock_of_unlocked()
{
    throw std::logic_error("weft::mutex::unlock: the mutex is not locked");
}

}  // namespace weft
