// sema_wait: a wait in a sema queue that a deadline or a cancellation may end early.
//
// All three race for the waiter's wait_word; who wins wakes it. The deadline and the cancellation know nothing of the
// queue (they fire where no lock may be taken): a waiter that one of them has taken leaves the queue itself, and an
// owner of the queue who meets it there before that drops it.
#pragma once

#include <cstdint>

#include "rt/core/timer.hpp"
#include "rt/wait/cancel.hpp"
#include "rt/wait/sema.hpp"

namespace weft::rt {

/// What may end a wait beside what it waits for.
struct wait_limit {
    std::int64_t deadline = never;    ///< nanoseconds of the monotonic clock
    cancel_list* canceler = nullptr;  ///< may be null; outlives the wait

    [[nodiscard]] bool none() const noexcept { return deadline == never && canceler == nullptr; }
};

/// Parks the caller, who is `me.who`, has queued `me` in `bucket` and holds its lock; the lock is dropped after the
/// switch. Returns `granted` without the lock. Else (timed_out, canceled) the bucket is locked again, and the caller
/// takes `me` out by remove() before it drops the lock; remove() says whether an owner of the queue has met it.
[[nodiscard]] wait_state sema_wait(sema_bucket& bucket, sema_waiter& me, const wait_limit& limit,
                                   wait_reason why) noexcept;

/// The same for a waiter that was queued in state `preparing` and without the lock since: it may have been taken
/// already, and then does not park. Returns without the lock; unless `granted`, the caller locks and removes.
[[nodiscard]] wait_state sema_wait_unlocked(sema_waiter& me, const wait_limit& limit, wait_reason why) noexcept;

/// Ends the wait of `me` as a cancellation does. For the time between its begin() as `preparing` and the return of its
/// wait.
void sema_cancel(sema_waiter& me) noexcept;

}  // namespace weft::rt
