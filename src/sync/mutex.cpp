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
// Vyukov 2016). In a bubble it is one that has lost once.
//
// A waiter whose deadline has come leaves the queue by itself. An unlock that meets it there before that drops it, and
// goes on to the next; if that was the last, nobody is woken and nobody needs to be.
#include <stdexcept>

#include "base/cpu.hpp"
#include "rt/rt.hpp"
#include "sync/limit.hpp"
#include "sync/mutex_queue.hpp"
#include "sys/membarrier.hpp"

namespace weft {

namespace {

constexpr std::int64_t starving_after = 1'000'000;  // ns
/// A bubble's clock stands while anybody runs, and an exploration may not depend on another one: there, a waiter that
/// has been woken and has lost is starving. A point in time longer ago than starving_after.
constexpr std::int64_t in_bubble_lost_once = 1;
constexpr int spin_rounds = 4;
constexpr int spin_pauses = 30;

}  // namespace

bool mutex::lock_slow(detail::wait_bound bound)
{
    if (rt::worth_spinning()) {
        for (int round = 0; round < spin_rounds; ++round) {
            for (int i = 0; i < spin_pauses; ++i)
                base::pause();
            if (try_lock())
                return true;
        }
    }
    rt::sema_waiter me;
    me.who = rt::current();
    me.key = this;
    return mutex_queue::contend(*this, me, limit_of(bound), false);
}

/// What a woken one does first.
bool mutex_queue::take_woken(mutex& mu, rt::sema_bucket& bucket, const rt::sema_waiter& me) noexcept
{
    if (me.granted)
        return true;  // the one who granted it has left the word in order
    if (mu.held_.exchange(1, base::memory_order_acquire) != 0)
        return false;
    bucket.lock();
    set(mu, bucket, false);
    bucket.unlock();
    return true;
}

bool mutex_queue::contend(mutex& mu, rt::sema_waiter& me, const rt::wait_limit& limit, bool woken) noexcept
{
    rt::sema_bucket& bucket = rt::sema_bucket::of(&mu);
    for (;;) {
        if (woken && take_woken(mu, bucket, me))
            return true;
        bucket.lock();
        const bool others_waking = !woken && one_waking(mu);
        const bool announced = mu.queue_.load(base::memory_order_relaxed) == mutex::waiting;
        if (woken)
            bucket.push_front(me);
        else
            bucket.push_back(me);
        set(mu, bucket, others_waking);
        // Nothing to announce when unlocks have seen `waiting` all along, nor when a woken one is on its way: it takes
        // the mutex and finds us queued when it unlocks, or comes back here and announces itself.
        if (!announced && !others_waking)
            sys::heavy_fence();  // pairs with the light one of unlock()
        if (!others_waking && mu.held_.exchange(1, base::memory_order_acquire) == 0) {
            (void)bucket.remove(me);
            set(mu, bucket, false);
            bucket.unlock();
            return true;
        }
        if (me.since == 0)
            me.since = rt::now();
        else if (rt::callers_bubble() != nullptr)
            me.since = in_bubble_lost_once;
        me.granted = false;
        if (rt::sema_wait(bucket, me, limit, rt::wait_reason::mutex) != rt::wait_state::granted) {
            (void)bucket.remove(me);
            set(mu, bucket, one_waking(mu));
            bucket.unlock();
            return false;
        }
        woken = true;
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
    bool ours = false;  // the mutex, to be handed over
    rt::g* woken = nullptr;
    while (rt::sema_waiter* const first = bucket.front(this)) {
        if (!ours && rt::now() - first->since > starving_after) {
            // A newcomer may have taken the mutex since we released it: then its unlock will see to the starving one.
            if (held_.exchange(1, base::memory_order_acquire) != 0) {
                bucket.unlock();
                return;
            }
            ours = true;
        }
        (void)bucket.pop_front(this);
        rt::g* const who = first->who;
        first->granted = ours;
        if (first->grant() != rt::wait_word::won::no) {
            woken = who;
            break;
        }
    }
    if (ours && woken == nullptr)
        held_.store(0, base::memory_order_release);  // who has found it held since waits for the bucket
    mutex_queue::set(*this, bucket, woken != nullptr && !ours);
    bucket.unlock();
    // The waiter is gone as soon as its goroutine runs, and with a granted mutex this object may be as well.
    if (woken != nullptr)
        rt::ready(woken);
}

rt::g* mutex_queue::adopt(mutex& mu, rt::sema_waiter* first) noexcept
{
    rt::sema_bucket& bucket = rt::sema_bucket::of(&mu);
    const std::int64_t now = rt::now();
    rt::g* woken = nullptr;
    bucket.lock();
    // Without waiters unlocks look at nothing, and to announce some takes a heavy fence. So the first one is sent on
    // its way: it takes the mutex and finds the others queued when it unlocks, or comes back and announces itself.
    const bool wake_first = mu.queue_.load(base::memory_order_relaxed) == mutex::none;
    if (wake_first) {
        woken = first->who;
        first->key = &mu;
        first->since = now;
        first->granted = false;
        first = first->next;
        mu.queue_.store(mutex::waking, base::memory_order_relaxed);
    }
    while (first != nullptr) {
        rt::sema_waiter* const w = first;
        first = first->next;
        w->key = &mu;
        w->since = now;
        w->granted = false;
        w->word.requeue();
        bucket.push_back(*w);
    }
    bucket.unlock();
    return woken;
}

void mutex::unlock_of_unlocked()
{
    throw std::logic_error("weft::mutex::unlock: the mutex is not locked");
}

}  // namespace weft
