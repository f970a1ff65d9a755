// How the waits of sync/ end early: any clock becomes a deadline of weft::clock, and a context what is canceled.
#pragma once

#include <chrono>
#include <system_error>
#include <utility>

#include "weft/clock.hpp"
#include "weft/detail/config.hpp"

namespace weft {

class context;

namespace rt {
class cancel_list;
}

}  // namespace weft

namespace weft::detail {

/// What a wait has to watch; null if the context can't be canceled.
[[nodiscard]] WEFT_API rt::cancel_list* cancel_list_of(const context& ctx) noexcept;
/// ctx.err(), where the context need not be complete.
[[nodiscard]] WEFT_API std::error_code end_of(const context& ctx) noexcept;

/// What ends a wait early; nothing by default.
struct wait_bound {
    std::chrono::nanoseconds deadline = std::chrono::nanoseconds::max();  ///< of weft::clock
    rt::cancel_list* canceler = nullptr;                                  ///< outlives the wait
};

/// `wait(wait_bound)` until it says true, or the deadline has passed: false. A deadline that has passed does not wait.
template <class Clock, class Duration, class Wait>
[[nodiscard]] bool bounded(const std::chrono::time_point<Clock, Duration>& deadline, Wait&& wait)
{
    do {
        const clock::time_point when = deadline_of(deadline);
        if (when <= clock::now())
            return false;
        if (wait(wait_bound{when.time_since_epoch()}))
            return true;
    } while (!has_come(deadline));
    return false;
}

/// No error when `attempt()` or else `wait(wait_bound)` says true; why `ctx` has ended, if it has before that. One that
/// has ended already wins.
template <class Attempt, class Wait>
[[nodiscard]] std::error_code unless_ended(const context& ctx, Attempt&& attempt, Wait&& wait)
{
    if (const std::error_code ended = end_of(ctx))
        return ended;
    if (attempt() || wait(wait_bound{.canceler = cancel_list_of(ctx)}))
        return {};
    return end_of(ctx);
}

}  // namespace weft::detail
