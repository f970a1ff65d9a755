// A number of permits.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <system_error>

#include "weft/detail/deadline.hpp"
#include "weft/detail/semaphore.hpp"

namespace weft {

namespace detail {
inline constexpr std::ptrdiff_t most_permits = std::numeric_limits<std::ptrdiff_t>::max() / 2;
}  // namespace detail

/// std::counting_semaphore for goroutines and plain threads in any mix, and each call takes a number of permits (a
/// weighted semaphore). Eight bytes, constant-initialised. Strictly first come, first served: a released permit belongs
/// to the one that has waited longest, newcomers queue behind it, so nobody starves; one that waits for many holds
/// those behind it up. Not tied to a goroutine: another one may release. It may be destroyed as soon as every acquire
/// has returned.
template <std::ptrdiff_t LeastMaxValue = detail::most_permits>
class counting_semaphore {
    static_assert(LeastMaxValue >= 0 && LeastMaxValue <= detail::most_permits);

public:
    /// Throws std::logic_error unless 0 <= desired <= max().
    constexpr explicit counting_semaphore(std::ptrdiff_t desired) : core_(checked(desired)) {}
    counting_semaphore(const counting_semaphore&) = delete;
    counting_semaphore& operator=(const counting_semaphore&) = delete;

    [[nodiscard]] static constexpr std::ptrdiff_t max() noexcept { return LeastMaxValue; }

    /// Gives `n` permits back. Throws std::logic_error, and gives none, if `n` is negative or there would be more than
    /// max().
    void release(std::ptrdiff_t n = 1)
    {
        if (n < 0 || !core_.try_release(static_cast<std::uint64_t>(n), static_cast<std::uint64_t>(max()))) [[unlikely]]
            core_.release_slow(n, max());
    }
    /// Parks until it has `n` permits. Throws std::logic_error if `n` is negative or above max().
    void acquire(std::ptrdiff_t n = 1)
    {
        if (!try_acquire(n)) [[unlikely]]
            (void)core_.acquire_slow(n, max(), {});
    }
    /// All `n` permits at once, or none: false. False too when others wait.
    [[nodiscard]] bool try_acquire(std::ptrdiff_t n = 1) noexcept
    {
        return n >= 0 && core_.try_acquire(static_cast<std::uint64_t>(n));
    }
    /// acquire() for at most `timeout`; false: no permit taken.
    template <class Rep, class Period>
    [[nodiscard]] bool try_acquire_for(const std::chrono::duration<Rep, Period>& timeout, std::ptrdiff_t n = 1)
    {
        return try_acquire(n) || try_acquire_until(detail::deadline_after(timeout), n);
    }
    /// acquire() until `deadline` at the latest; false: no permit taken.
    template <class Clock, class Duration>
    [[nodiscard]] bool try_acquire_until(const std::chrono::time_point<Clock, Duration>& deadline, std::ptrdiff_t n = 1)
    {
        return try_acquire(n) ||
               detail::bounded(deadline, [this, n](detail::wait_bound b) { return core_.acquire_slow(n, max(), b); });
    }
    /// acquire(n), unless `ctx` ends before: then returns ctx.err(), and no permit is taken.
    [[nodiscard]] std::error_code acquire(std::ptrdiff_t n, const context& ctx)
    {
        return detail::unless_ended(
            ctx, [this, n] { return try_acquire(n); },
            [this, n](detail::wait_bound b) { return core_.acquire_slow(n, max(), b); });
    }
    /// acquire(1, ctx).
    [[nodiscard]] std::error_code acquire(const context& ctx) { return acquire(1, ctx); }

private:
    static constexpr std::ptrdiff_t checked(std::ptrdiff_t desired)
    {
        if (desired < 0 || desired > max())
            throw std::logic_error("weft::counting_semaphore: the number of permits is negative or above max()");
        return desired;
    }
    detail::semaphore core_;
};

using binary_semaphore = counting_semaphore<1>;

}  // namespace weft
