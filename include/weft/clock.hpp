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
    return std::chrono::ceil<nanoseconds>(ns);  // in `timeout`'s own type the product may overflow
}

template <class Rep, class Period>
[[nodiscard]] clock::time_point deadline_after(std::chrono::duration<Rep, Period> timeout) noexcept
{
    const std::chrono::nanoseconds d = saturate(timeout);
    const clock::time_point now = clock::now();
    return d > clock::time_point::max() - now ? clock::time_point::max() : now + d;
}

/// How long it is until `point`, by its own clock: rounded up, saturated; zero when it has passed. No difference of
/// points and no comparison overflows, whatever the clock counts in.
template <class Clock, class Duration>
[[nodiscard]] std::chrono::nanoseconds time_left(const std::chrono::time_point<Clock, Duration>& point)
{
    using wide = std::chrono::duration<long double, std::nano>;
    return saturate(wide(point.time_since_epoch()) - wide(Clock::now().time_since_epoch()));
}

/// `point` as one of weft::clock, not before the clock's start. That of another clock is converted by what the two
/// clocks say now.
template <class Clock, class Duration>
[[nodiscard]] clock::time_point deadline_of(const std::chrono::time_point<Clock, Duration>& point)
{
    if constexpr (std::same_as<std::chrono::time_point<Clock, Duration>, clock::time_point>)
        return point > clock::time_point() ? point : clock::time_point();
    else if constexpr (std::same_as<Clock, clock>)
        return clock::time_point(saturate(point.time_since_epoch()));
    else
        return deadline_after(time_left(point));
}

/// Whether the caller is in a bubble (weft/testing.hpp), where weft::clock does not go with the other clocks.
[[nodiscard]] WEFT_API bool in_bubble() noexcept;

/// After a wait until deadline_of(`point`): whether `point` has come. Another clock than weft::clock may have been set
/// meanwhile. In a bubble it has hardly moved, and what counts is that the wait has taken its time.
template <class Clock, class Duration>
[[nodiscard]] bool has_come(const std::chrono::time_point<Clock, Duration>& point)
{
    if constexpr (std::same_as<Clock, clock>)
        return true;
    else
        return time_left(point) == std::chrono::nanoseconds::zero() || in_bubble();
}

WEFT_API void sleep_until(std::chrono::nanoseconds deadline);

}  // namespace detail

/// Parks the goroutine (or blocks the plain thread) until `deadline`; returns at once when it has passed.
inline void sleep_until(clock::time_point deadline)
{
    detail::sleep_until(deadline.time_since_epoch());
}

/// sleep_until on any other clock or in any other unit. A clock that is set meanwhile is looked at again; in a bubble,
/// where it has nothing to do with weft::clock, the sleep takes what was left when it began.
template <class Clock, class Duration>
    requires(!std::same_as<std::chrono::time_point<Clock, Duration>, clock::time_point>)
void sleep_until(std::chrono::time_point<Clock, Duration> deadline)
{
    do
        sleep_until(detail::deadline_of(deadline));
    while (!detail::has_come(deadline));
}

/// Parks the goroutine (or blocks the plain thread) for at least `timeout`. Zero or less returns at once.
template <class Rep, class Period>
void sleep_for(std::chrono::duration<Rep, Period> timeout)
{
    if (timeout > timeout.zero())
        sleep_until(detail::deadline_after(timeout));
}

}  // namespace weft
