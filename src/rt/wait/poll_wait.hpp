// Waiting for descriptors (poll/netpoll.hpp): the caller parks. docs/design/netpoll.md; steps named as there.
#pragma once

#include <cstdint>

#include "rt/core/timer.hpp"
#include "rt/poll/netpoll.hpp"
#include "rt/sched/facts.hpp"

namespace weft::rt {

/// Parks the caller until it should look again, which proves nothing: 0. Else ETIMEDOUT (the deadline has passed),
/// ECANCELED (evict()), or an errno of the kernel's, which does not take the descriptor (EPERM: a regular file), or has
/// no memory. One caller a side at a time.
[[nodiscard]] int poll_wait(poll_desc& desc, poll_side s) noexcept;

/// poll_wait() for `time` ns at most: 0 too when they are over.
[[nodiscard]] int poll_wait_for(poll_desc& desc, poll_side s, std::int64_t time) noexcept;
/// Parks the caller for `time` ns: 0; or until poll_wait() would say ETIMEDOUT or ECANCELED.
[[nodiscard]] int poll_pause(poll_desc& desc, poll_side s, std::int64_t time) noexcept;

/// When waits of the side end with ETIMEDOUT, in ns of rt::now(). A present waiter goes by it at once.
void set_poll_deadline(poll_desc& desc, poll_side s, std::int64_t when) noexcept;
/// Whether the deadline has passed.
[[nodiscard]] inline bool poll_deadline_passed(const poll_desc& desc, poll_side s) noexcept
{
    const std::int64_t when = desc.deadline(s);
    return when != never && when <= now();
}

/// From now on no goroutine waits: present waiters are woken, and get ECANCELED.
void evict_waiters(poll_desc& desc) noexcept;

}  // namespace weft::rt
