// What a public wait_bound is for the runtime.
#pragma once

#include "rt/rt.hpp"
#include "weft/detail/deadline.hpp"

namespace weft {

static_assert(std::chrono::nanoseconds::max().count() == rt::never);

[[nodiscard]] inline rt::wait_limit limit_of(const detail::wait_bound& bound) noexcept
{
    return {.deadline = bound.deadline.count(), .canceler = bound.canceler};
}

/// Takes all waiters of `key` out of the locked bucket; those that were still there to wake are appended to `woken`.
inline void grant_all(rt::sema_bucket& bucket, const void* key, rt::g_list& woken) noexcept
{
    while (rt::sema_waiter* const w = bucket.pop_front(key)) {
        rt::g* const who = w->who;
        if (w->grant() == rt::wait_word::won::parked)
            woken.push_back(who);
    }
}

}  // namespace weft
