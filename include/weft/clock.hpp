// The clock, and sleeping.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <ratio>

#include "weft/detail/config.hpp"

namespace weft {

/// Steady clock of all of weft's deadlines: CLOCK_MONOTONIC in nanoseconds.
struct clock {
    using rep = std::int64_t;
    using period = std::nano;
    using duration = std::chrono::nanoseconds;
    using time_point = std::chrono::time_point<clock>;
    static constexpr bool is_steady = true;
    [[nodiscard]] WEFT_API static time_point now() noexcept;
};

namespace detail {

/// `timeout` as nanoseconds, rounded up (never early), saturated: a timeout beyond what fits waits for ever.
template <class Rep, class Period>
[[nodiscard]] constexpr std::chrono::nanoseconds saturate(std::chrono::duration<Rep, Period> timeout) noexcept
{
    using std::chrono::nanoseconds;
    using wide = std::chrono::duration<long double, std::nano>;
    const wide ns = timeout;
    if (!(ns > wide(0)))
        return nanoseconds(0);
    if (ns >= wide(nanoseconds::max()))
        return nanoseconds::max();
    return std::chrono::ceil<nanoseconds>(timeout);
}

template <class Rep, class Period>
[[nodiscard]] clock::time_point deadline_after(std::chrono::duration<Rep, Period> timeout) noexcept
{
    const std::chrono::nanoseconds d = saturate(timeout);
    const clock::time_point now = clock::now();
    return d > clock::time_point::max() - now ? clock::time_point::max() : now + d;
}

WEFT_API void sleep_until(std::chrono::nanoseconds deadline);

}  // namespace detail

/// Parks the goroutine (or blocks the plain thread) until `deadline`; returns at once when it has passed.
inline void sleep_until(clock::time_point deadline)
{
    detail::sleep_until(deadline.time_since_epoch());
}

/// sleep_until on any other clock; a clock that is set meanwhile is looked at again.
template <class Clock, class Duration>
    requires(!std::same_as<Clock, clock>)
void sleep_until(std::chrono::time_point<Clock, Duration> deadline)
{
    for (auto now = Clock::now(); now < deadline; now = Clock::now())
        sleep_until(detail::deadline_after(deadline - now));
}

/// Parks the goroutine (or blocks the plain thread) for at least `timeout`. Zero or less returns at once.
template <class Rep, class Period>
void sleep_for(std::chrono::duration<Rep, Period> timeout)
{
    if (timeout > timeout.zero())
        sleep_until(detail::deadline_after(timeout));
}

}  // namespace weft
