// A gate that opens once.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <system_error>

#include "weft/detail/countdown.hpp"

namespace weft {

/// std::latch for goroutines and plain threads in any mix: a counter that only falls, and opens the gate at zero, for
/// good. Eight bytes, constant-initialised. It may be destroyed as soon as every wait() and count_down() has returned.
class latch {
public:
    /// Throws std::logic_error unless 0 <= expected <= max().
    constexpr explicit latch(std::ptrdiff_t expected) : left_(checked(expected)) {}
    latch(const latch&) = delete;
    latch& operator=(const latch&) = delete;

    [[nodiscard]] static constexpr std::ptrdiff_t max() noexcept { return std::numeric_limits<int>::max(); }

    /// Takes `n` off. Throws std::logic_error, and leaves the counter as it was, if `n` is negative or larger than it.
    void count_down(std::ptrdiff_t n = 1)
    {
        if (n < 0 || n > max()) [[unlikely]]
            throw std::logic_error("weft::latch::count_down: the number is negative or above max()");
        left_.add(-static_cast<int>(n), owner);
    }
    /// Whether the gate is open.
    [[nodiscard]] bool try_wait() const noexcept { return left_.zero(); }
    /// Parks until the gate is open.
    void wait() const
    {
        if (!left_.zero())
            (void)left_.wait_slow({}, owner);
    }
    /// wait() for at most `timeout`; false: the gate is not open yet.
    template <class Rep, class Period>
    [[nodiscard]] bool try_wait_for(const std::chrono::duration<Rep, Period>& timeout) const
    {
        return left_.zero() || try_wait_until(detail::deadline_after(timeout));
    }
    /// wait() until `deadline` at the latest; false: the gate is not open yet.
    template <class Clock, class Duration>
    [[nodiscard]] bool try_wait_until(const std::chrono::time_point<Clock, Duration>& deadline) const
    {
        return left_.zero() ||
               detail::bounded(deadline, [this](detail::wait_bound b) { return left_.wait_slow(b, owner); });
    }
    /// wait(), unless `ctx` ends before: then returns ctx.err(), and the gate may not be open.
    [[nodiscard]] std::error_code wait(const context& ctx) const
    {
        return detail::unless_ended(
            ctx, [this] { return left_.zero(); }, [this](detail::wait_bound b) { return left_.wait_slow(b, owner); });
    }
    /// count_down(n), then wait().
    void arrive_and_wait(std::ptrdiff_t n = 1)
    {
        count_down(n);
        wait();
    }

private:
    static constexpr auto owner = detail::countdown_owner::latch;
    static constexpr std::uint32_t checked(std::ptrdiff_t expected)
    {
        if (expected < 0 || expected > max())
            throw std::logic_error("weft::latch: the count is negative or above max()");
        return static_cast<std::uint32_t>(expected);
    }
    mutable detail::countdown left_;
};

}  // namespace weft
