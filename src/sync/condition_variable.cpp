// condition_variable: docs/design/sync.md; test/model/condition_variable_test.cpp explores it.
//
//   wait                                          notify (all: for each waiter)
//   W1 word = preparing; queue; waiters_ + 1      N1 waiters_ == 0? nobody
//   W2 unlock the mutex                           N2 take the first waiter out; waiters_ - 1; take its word
//   W3 park; commit: preparing -> waiting         N3 it was waiting: make it runnable, or pass it on to the mutex
//      fails: do not park                            it was preparing: its W3 fails
//   W4 lock the mutex, or go on as one of its waiters
//
// N1 may miss only one whose W1 is not ordered before the notification, and whoever changes the condition under the
// mutex after W2 is. W2 may wake others and take the bucket of the mutex, which may be the same: hence without W1's.
//
// Several who are woken at once would run only to meet at the mutex. Instead they are put into its queue, parked as
// they are (wait morphing, in the kernel FUTEX_REQUEUE), and each unlock wakes the next one.
#include "weft/condition_variable.hpp"

#include <optional>
#include <stdexcept>

#include "rt/rt.hpp"
#include "sync/limit.hpp"
#include "sync/mutex_queue.hpp"

namespace weft {

namespace {

/// Parked waiters that have been won, in order, linked by `next`.
struct won_waiters {
    rt::sema_waiter* first = nullptr;
    rt::sema_waiter* last = nullptr;

    void push_back(rt::sema_waiter& w) noexcept
    {
        w.next = nullptr;
        (first == nullptr ? first : last->next) = &w;
        last = &w;
    }
    /// Takes those off the front that wait with the same mutex.
    won_waiters split() noexcept
    {
        won_waiters same{first, first};
        while (same.last->next != nullptr && same.last->next->object == first->object)
            same.last = same.last->next;
        first = same.last->next;
        same.last->next = nullptr;
        return same;
    }
    void wake() const noexcept
    {
        // Who wakes may be gone before we look at the next one: the waiters are read first.
        rt::g* const woken =
            first == last ? first->who : mutex_queue::adopt(*static_cast<mutex*>(first->object), first);
        if (woken != nullptr)
            rt::ready(woken);
    }
};

}  // namespace

bool condition_variable::wait_slow(std::unique_lock<mutex>& lock, detail::wait_bound bound, const std::stop_token* stop)
{
    if (!lock.owns_lock())
        throw std::logic_error("weft::condition_variable: a wait without the lock");
    mutex& mu = *lock.mutex();
    rt::sema_bucket& bucket = rt::sema_bucket::of(this);
    rt::sema_waiter me;
    me.who = rt::current();
    me.key = this;
    me.object = &mu;
    me.word.begin(rt::wait_state::preparing);
    const auto on_stop = [&me]() noexcept
    {
        const rt::no_explore_points keep_turn;  // the end of a stop_callback waits for the thread that calls it
        rt::sema_cancel(me);
    };
    bucket.lock();
    bucket.push_back(me);
    waiters_.store(waiters_.load(base::memory_order_relaxed) + 1, base::memory_order_relaxed);
    bucket.unlock();
    mu.unlock();
    rt::wait_state how;
    {
        std::optional<std::stop_callback<decltype(on_stop)>> until_stop;
        if (stop != nullptr)
            until_stop.emplace(*stop, on_stop);
        how = rt::sema_wait_unlocked(me, limit_of(bound), rt::wait_reason::condition_variable);
    }
    if (how == rt::wait_state::granted) {
        // Not a look at *this any more: it may be gone.
        if (me.key == &mu)
            mutex_queue::resume(mu, me);
        else
            mu.lock();
        return true;
    }
    bucket.lock();
    if (bucket.remove(me))
        waiters_.store(waiters_.load(base::memory_order_relaxed) - 1, base::memory_order_relaxed);
    bucket.unlock();
    mu.lock();
    return false;
}

void condition_variable::notify_slow(bool all) noexcept
{
    won_waiters won;
    rt::sema_bucket& bucket = rt::sema_bucket::of(this);
    bucket.lock();
    std::uint32_t left = waiters_.load(base::memory_order_relaxed);
    while (rt::sema_waiter* const w = bucket.pop_front(this)) {
        --left;
        const auto how = w->grant();
        if (how == rt::wait_word::won::parked)
            won.push_back(*w);
        if (how != rt::wait_word::won::no && !all)
            break;
    }
    waiters_.store(left, base::memory_order_relaxed);
    bucket.unlock();
    while (won.first != nullptr)
        won.split().wake();
}

}  // namespace weft
