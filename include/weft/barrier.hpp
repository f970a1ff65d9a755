// Phases that several go through together.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <type_traits>
#include <utility>

#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"
#include "weft/detail/deadline.hpp"

namespace weft {

namespace detail {

/// What std::barrier does without a completion function.
struct no_completion {
    void operator()() const noexcept {}
};

/// barrier without its completion function. `state_` has the phase in its high half (it may wrap around) and in the low
/// half how many have not arrived in it yet; at zero the last one runs the completion, and nobody changes the word but
/// it. `expected_` is what the next phase begins with.
class barrier_core {
public:
    constexpr explicit barrier_core(std::ptrdiff_t expected) noexcept
        : state_(static_cast<std::uint64_t>(expected)), expected_(static_cast<std::uint32_t>(expected))
    {
    }
    [[nodiscard]] std::uint32_t phase() const noexcept
    {
        return static_cast<std::uint32_t>(state_.load(base::memory_order_acquire) >> 32);  // pairs with advance()
    }
    struct arrival {
        std::uint32_t phase;
        bool last;  ///< the caller runs the completion and then calls advance()
    };
    /// Throws std::logic_error, and changes nothing, unless 0 < n <= those who are missing.
    WEFT_API arrival arrive(std::ptrdiff_t n);
    /// The same for one that does not come back.
    WEFT_API arrival arrive_and_drop();
    WEFT_API void advance() noexcept;
    /// Parks until `phase` is over. False: `bound` has come first.
    WEFT_API bool wait_slow(std::uint32_t phase, wait_bound bound);

private:
    base::atomic<std::uint64_t> state_;
    base::atomic<std::uint32_t> expected_;
    [[maybe_unused]] std::uint32_t reserved_{0};
};

}  // namespace detail

/// std::barrier for goroutines and plain threads in any mix. Sixteen bytes and the completion function,
/// constant-initialised. The last one to arrive in a phase calls the completion function, then all who wait go on and
/// the next phase has begun.
template <class CompletionFunction = detail::no_completion>
class barrier {
    static_assert(std::is_nothrow_invocable_v<CompletionFunction&>, "the completion function must be noexcept");

public:
    /// The phase in which somebody has arrived.
    class arrival_token {
        friend class barrier;
        explicit arrival_token(std::uint32_t phase) noexcept : phase_(phase) {}
        std::uint32_t phase_;
    };

    /// Throws std::logic_error unless 0 <= expected <= max().
    constexpr explicit barrier(std::ptrdiff_t expected, CompletionFunction f = CompletionFunction())
        : core_(checked(expected)), completion_(std::move(f))
    {
    }
    barrier(const barrier&) = delete;
    barrier& operator=(const barrier&) = delete;

    [[nodiscard]] static constexpr std::ptrdiff_t max() noexcept { return std::numeric_limits<std::int32_t>::max(); }

    /// `n` arrive, and do not wait. Throws std::logic_error if `n` is not positive or more than are missing.
    [[nodiscard]] arrival_token arrive(std::ptrdiff_t n = 1) { return complete(core_.arrive(n)); }
    /// Parks until the phase of `arrival` is over.
    void wait(arrival_token&& arrival) const
    {
        if (core_.phase() == arrival.phase_)
            (void)core_.wait_slow(arrival.phase_, {});
    }
    /// Whether the phase of `arrival` is over.
    [[nodiscard]] bool try_wait(const arrival_token& arrival) const noexcept { return core_.phase() != arrival.phase_; }
    /// wait() for at most `timeout`; false: the phase is not over.
    template <class Rep, class Period>
    [[nodiscard]] bool try_wait_for(const arrival_token& arrival,
                                    const std::chrono::duration<Rep, Period>& timeout) const
    {
        return try_wait(arrival) || try_wait_until(arrival, detail::deadline_after(timeout));
    }
    /// wait() until `deadline` at the latest; false: the phase is not over.
    template <class Clock, class Duration>
    [[nodiscard]] bool try_wait_until(const arrival_token& arrival,
                                      const std::chrono::time_point<Clock, Duration>& deadline) const
    {
        return try_wait(arrival) ||
               detail::bounded(deadline, [&](detail::wait_bound b) { return core_.wait_slow(arrival.phase_, b); });
    }
    /// Parks until the phase of `arrival` is over, unless `ctx` ends before: then returns ctx.err().
    [[nodiscard]] std::error_code wait(const arrival_token& arrival, const context& ctx) const
    {
        return detail::unless_ended(
            ctx, [&] { return try_wait(arrival); },
            [&](detail::wait_bound b) { return core_.wait_slow(arrival.phase_, b); });
    }
    /// arrive(), then wait().
    void arrive_and_wait() { wait(arrive()); }
    /// arrive(), and one less is expected in the phases to come. Throws as arrive() does.
    void arrive_and_drop() { (void)complete(core_.arrive_and_drop()); }

private:
    static constexpr std::ptrdiff_t checked(std::ptrdiff_t expected)
    {
        if (expected < 0 || expected > max())
            throw std::logic_error("weft::barrier: the count is negative or above max()");
        return expected;
    }
    arrival_token complete(detail::barrier_core::arrival a) noexcept
    {
        if (a.last) {
            completion_();
            core_.advance();
        }
        return arrival_token(a.phase);
    }

    mutable detail::barrier_core core_;
    [[no_unique_address]] CompletionFunction completion_;
};

}  // namespace weft
