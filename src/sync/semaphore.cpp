// semaphore: first come, first served, and a permit goes to its waiter directly; test/model/semaphore_test.cpp explores
// it.
//
// With the waiting bit set, permits change under the bucket's lock only. A release gives to the waiters in order, for
// as long as there is enough for the first, and so does a waiter that leaves early: it may have held up one behind it
// that wants less.
#include "weft/detail/semaphore.hpp"

#include <stdexcept>

#include "rt/rt.hpp"
#include "sync/limit.hpp"

namespace weft::detail {

struct semaphore_queue {
    semaphore& s;
    rt::sema_bucket& bucket = rt::sema_bucket::of(&s);

    /// Takes `n` permits, or sets the waiting bit: false. Under the lock.
    bool take_or_announce(std::uint64_t n) noexcept
    {
        std::uint64_t seen = s.word_.load(base::memory_order_relaxed);
        while ((seen & semaphore::waiting) == 0) {
            const bool enough = seen >> 1 >= n;
            // Acquire pairs with a release of permits.
            if (s.word_.compare_exchange_weak(seen, enough ? seen - (n << 1) : seen | semaphore::waiting,
                                              base::memory_order_acquire, base::memory_order_relaxed))
                return enough;
        }
        return false;
    }
    /// Gives the permits out, with `more` of them, and unlocks. With the waiting bit set. Acquire and release: a permit
    /// that lay there may have been given back by somebody else.
    void distribute(std::uint64_t more) noexcept
    {
        std::uint64_t permits = (s.word_.load(base::memory_order_acquire) >> 1) + more;
        rt::g_list woken;
        rt::sema_waiter* first;
        while ((first = bucket.front(&s)) != nullptr && first->amount <= permits) {
            (void)bucket.pop_front(&s);
            const std::uint64_t n = first->amount;
            rt::g* const who = first->who;
            if (first->grant() != rt::wait_word::won::no) {
                permits -= n;
                woken.push_back(who);
            }
        }
        s.word_.store(permits << 1 | (first != nullptr ? semaphore::waiting : 0), base::memory_order_release);
        bucket.unlock();
        // The semaphore may be gone as soon as one of them runs.
        rt::ready(woken);
    }
};

bool semaphore::acquire_slow(std::ptrdiff_t n, std::ptrdiff_t max, wait_bound bound)
{
    if (n < 0 || n > max)
        throw std::logic_error("weft::counting_semaphore: a wait for a number of permits below zero or above max()");
    semaphore_queue q{*this};
    rt::sema_waiter me;
    me.who = rt::current();
    me.key = this;
    me.amount = static_cast<std::uint64_t>(n);
    q.bucket.lock();
    if (q.take_or_announce(me.amount)) {
        q.bucket.unlock();
        return true;
    }
    q.bucket.push_back(me);
    if (rt::sema_wait(q.bucket, me, limit_of(bound), rt::wait_reason::semaphore) == rt::wait_state::granted)
        return true;
    // An owner of the queue that has met us has seen to those behind us.
    if (q.bucket.remove(me))
        q.distribute(0);
    else
        q.bucket.unlock();
    return false;
}

void semaphore::release_slow(std::ptrdiff_t n, std::ptrdiff_t max)
{
    if (n < 0)
        throw std::logic_error("weft::counting_semaphore::release: a negative number of permits");
    const auto more = static_cast<std::uint64_t>(n);
    const auto most = static_cast<std::uint64_t>(max);
    semaphore_queue q{*this};
    q.bucket.lock();
    for (;;) {
        if (try_release(more, most)) {
            q.bucket.unlock();
            return;
        }
        const std::uint64_t seen = word_.load(base::memory_order_relaxed);
        if (more > most || seen >> 1 > most - more) {
            q.bucket.unlock();
            throw std::logic_error("weft::counting_semaphore::release: more permits than max()");
        }
        if ((seen & waiting) != 0) {
            q.distribute(more);
            return;
        }
    }
}

}  // namespace weft::detail
