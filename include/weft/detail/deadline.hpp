// How the timed forms of sync/ wait: any clock becomes a deadline of weft::clock.
#pragma once

#include <chrono>
#include <concepts>
#include <utility>

#include "weft/clock.hpp"

namespace weft::detail {

/// What ends a wait early; nothing by default.
struct wait_bound {
    std::chrono::nanoseconds deadline = std::chrono::nanoseconds::max();  ///< of weft::clock
};

/// `wait(wait_bound)` until it says true, or the deadline has passed: false. A deadline that has passed does not wait.
template <class Clock, class Duration, class Wait>
[[nodiscard]] bool bounded(const std::chrono::time_point<Clock, Duration>& deadline, Wait&& wait)
{
    if constexpr (std::same_as<Clock, clock>) {
        const std::chrono::nanoseconds when = saturate(deadline.time_since_epoch());
        return when > clock::now().time_since_epoch() && wait(wait_bound{when});
    } else {
        // A clock that is set meanwhile is looked at again.
        for (auto now = Clock::now(); now < deadline; now = Clock::now()) {
            if (wait(wait_bound{deadline_after(deadline - now).time_since_epoch()}))
                return true;
        }
        return false;
    }
}

}  // namespace weft::detail
