// group: the limit, and the first failure.
//
// The wait group counts who has been started, for wait(); `inside_` counts places, for the limit. Without a limit a
// place is one atomic addition. With one, who finds no place left queues in the sema bucket, and a goroutine that ends
// hands its place to the first of that queue: `inside_` stays, so no newcomer overtakes.
#include "weft/group.hpp"

#include <stdexcept>
#include <string>

#include "rt/rt.hpp"

namespace weft {

void group::limit(int n)
{
    if (n < 0)
        throw std::invalid_argument("weft::group::limit is " + std::to_string(n) +
                                    "; it must be 0 or more (without a call of limit() there is none)");
    rt::sema_bucket& bucket = rt::sema_bucket::of(this);
    bucket.lock();
    const bool quiet = inside_.load(base::memory_order_relaxed) == 0;
    if (quiet)
        limit_.store(n, base::memory_order_relaxed);
    bucket.unlock();
    if (!quiet)
        throw std::logic_error("weft::group::limit: goroutines of the group run; set the limit before they start");
}

bool group::try_enter()
{
    if (limit_.load(base::memory_order_relaxed) == unlimited) {
        inside_.fetch_add(1, base::memory_order_relaxed);
    } else {
        rt::sema_bucket& bucket = rt::sema_bucket::of(this);
        bucket.lock();
        const int inside = inside_.load(base::memory_order_relaxed);
        const bool room = inside < limit_.load(base::memory_order_relaxed);
        if (room)
            inside_.store(inside + 1, base::memory_order_relaxed);
        bucket.unlock();
        if (!room)
            return false;
    }
    running_.add(1);
    return true;
}

void group::enter()
{
    if (try_enter())
        return;
    rt::sema_bucket& bucket = rt::sema_bucket::of(this);
    rt::sema_waiter me;
    me.who = rt::current();
    me.key = this;
    bucket.lock();
    const int inside = inside_.load(base::memory_order_relaxed);
    if (inside < limit_.load(base::memory_order_relaxed)) {
        inside_.store(inside + 1, base::memory_order_relaxed);
        bucket.unlock();
    } else {
        bucket.push_back(me);
        rt::park(me.who, &rt::sema_bucket::unlock_commit, &bucket, rt::wait_reason::group);
    }
    running_.add(1);
}

void group::leave() noexcept
{
    rt::g* next = nullptr;
    if (limit_.load(base::memory_order_relaxed) == unlimited) {
        inside_.fetch_sub(1, base::memory_order_relaxed);
    } else {
        rt::sema_bucket& bucket = rt::sema_bucket::of(this);
        bucket.lock();
        if (const rt::sema_waiter* const first = bucket.pop_front(this))
            next = first->who;
        else
            inside_.store(inside_.load(base::memory_order_relaxed) - 1, base::memory_order_relaxed);
        bucket.unlock();
    }
    if (next != nullptr)
        rt::ready(next);
    running_.done();  // the group may be gone
}

void group::fail(std::exception_ptr e) noexcept
{
    int seen = none;
    if (!failed_.compare_exchange_strong(seen, failing, base::memory_order_relaxed))
        return;
    first_ = std::move(e);
    failed_.store(reported, base::memory_order_release);  // pairs with wait()
    context_.cancel(first_);
}

}  // namespace weft
