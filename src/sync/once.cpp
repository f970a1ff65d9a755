// once: the slow ways. The word is in weft/once.hpp.
//
// Who waits sets the waiting bit and queues under the bucket's lock, and finish() takes the word back by an exchange:
// with the bit set it finds them all queued, and wakes all: they are done, or the first of them tries again.
#include "weft/once.hpp"

#include <stdexcept>

#include "rt/rt.hpp"
#include "sync/limit.hpp"

namespace weft {

bool once::begin()
{
    const auto me = reinterpret_cast<std::uintptr_t>(rt::caller());
    rt::sema_bucket& bucket = rt::sema_bucket::of(this);
    std::uintptr_t seen = word_.load(base::memory_order_acquire);
    for (;;) {
        if (seen == done)
            return false;
        if (seen == open) {
            // Acquire: what an attempt that has failed has left behind. Pairs with finish().
            if (word_.compare_exchange_weak(seen, me, base::memory_order_acquire, base::memory_order_acquire))
                return true;
            continue;
        }
        if ((seen & ~std::uintptr_t{waiting}) == me)
            throw std::logic_error("weft::once::call: called inside its own function");
        rt::sema_waiter waiter;
        waiter.who = rt::current();
        waiter.key = this;
        bucket.lock();
        if (!word_.compare_exchange_strong(seen, seen | waiting, base::memory_order_acquire,
                                           base::memory_order_acquire)) {
            bucket.unlock();
            continue;
        }
        bucket.push_back(waiter);
        (void)rt::sema_wait(bucket, waiter, {}, rt::wait_reason::once);
        seen = word_.load(base::memory_order_acquire);
    }
}

void once::finish(bool succeeded) noexcept
{
    if ((word_.exchange(succeeded ? done : open, base::memory_order_acq_rel) & waiting) == 0)
        return;
    rt::g_list woken;
    rt::sema_bucket& bucket = rt::sema_bucket::of(this);
    bucket.lock();
    grant_all(bucket, this, woken);
    bucket.unlock();
    rt::ready(woken);
}

}  // namespace weft
