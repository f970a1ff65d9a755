// Timers: timer, ticker, after, after_func. The clock and sleeping are in weft/clock.hpp.
//
// In a testing::bubble they follow its clock, and belong to it: there alone they can be stopped and reset, and their
// channels be used.
#pragma once

#include <chrono>
#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "weft/chan.hpp"
#include "weft/clock.hpp"
#include "weft/detail/config.hpp"

namespace weft {

namespace detail {

class timed;

/// What after_func() calls.
struct timed_call {
    timed_call() = default;
    timed_call(const timed_call&) = delete;
    timed_call& operator=(const timed_call&) = delete;
    virtual ~timed_call() = default;
    virtual void run() = 0;
};
template <class F>
struct timed_function final : timed_call {
    F f;
    template <class G>
    explicit timed_function(G&& fn) : f(std::forward<G>(fn))
    {
    }
    void run() override { std::invoke(f); }
};

/// Owns one reference; may be null only when moved from.
class WEFT_API timed_ref {
public:
    explicit timed_ref(timed* t) noexcept : at_(t) {}
    timed_ref(const timed_ref& other) noexcept;
    timed_ref(timed_ref&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
    timed_ref& operator=(timed_ref other) noexcept
    {
        std::swap(at_, other.at_);
        return *this;
    }
    ~timed_ref();
    [[nodiscard]] timed* get() const noexcept { return at_; }

private:
    timed* at_;
};

// Each throws std::bad_alloc and what go() throws for want of a runtime; timed_reset() and timed_stop()
// std::logic_error when the timer belongs to a testing::bubble and the caller does not, or the reverse.
/// Sends to its channel at `deadline`, and from then on every `period` if that is not zero.
[[nodiscard]] WEFT_API timed_ref timed_send(clock::time_point deadline, std::chrono::nanoseconds period);
[[nodiscard]] WEFT_API timed_ref timed_run(clock::time_point deadline, std::unique_ptr<timed_call> call);
WEFT_API bool timed_reset(timed& t, clock::time_point deadline, std::chrono::nanoseconds period);
WEFT_API bool timed_stop(timed& t);
[[nodiscard]] WEFT_API receiver<clock::time_point> timed_channel(const timed& t) noexcept;
/// timed_stop(), by anybody, unless moved from.
WEFT_API void timed_end(timed* t) noexcept;
[[noreturn]] WEFT_API void throw_bad_period(const char* what);

template <class Rep, class Period>
[[nodiscard]] std::chrono::nanoseconds checked_period(std::chrono::duration<Rep, Period> period, const char* what)
{
    if (!(period > period.zero()))
        throw_bad_period(what);
    return saturate(period);
}

}  // namespace detail

/// Sends the time to its channel once, some time after it was made or reset: Go's time.Timer. Its channel holds at most
/// that one value. After stop() or reset() has returned no value of before can be received, whether or not it had been
/// sent. Movable; the destructor stops it. All members may be called from any goroutine or thread at any time.
class timer {
public:
    /// Fires after at least `timeout`; at once for zero or less. From a plain thread it starts the runtime if there is
    /// none. Throws std::bad_alloc, and what go() throws when no runtime can be had.
    template <class Rep, class Period>
    explicit timer(std::chrono::duration<Rep, Period> timeout)
        : core_(detail::timed_send(detail::deadline_after(timeout), {}))
    {
    }
    timer(timer&&) noexcept = default;
    timer& operator=(timer&& other) noexcept
    {
        detail::timed_end(core_.get());
        core_ = std::move(other.core_);
        return *this;
    }
    ~timer() { detail::timed_end(core_.get()); }

    /// Where the time at which it fires is sent. The same for the timer's whole life; copies may outlive it. It is not
    /// closed by stop().
    [[nodiscard]] receiver<clock::time_point> channel() const noexcept { return detail::timed_channel(*core_.get()); }
    /// True: it was running, or its value had not been received yet; nothing will be received. False: it had been
    /// stopped, or its value was received. Throws std::logic_error outside of the testing::bubble in which it was made,
    /// and inside of another one.
    bool stop() { return detail::timed_stop(*core_.get()); }
    /// Fires after at least `timeout` from now, whatever it did before. Returns what stop() would have. Throws as
    /// stop(), and std::bad_alloc; it goes on as before then.
    template <class Rep, class Period>
    bool reset(std::chrono::duration<Rep, Period> timeout)
    {
        return detail::timed_reset(*core_.get(), detail::deadline_after(timeout), {});
    }

private:
    detail::timed_ref core_;
};

/// Sends the time to its channel again and again: Go's time.Ticker. Ticks that nobody receives in time are dropped;
/// those that come do so at multiples of the period after the start, so it does not drift. After stop() or reset() has
/// returned no tick of before can be received. Movable; the destructor stops it. All members may be called from any
/// goroutine or thread at any time. Running out of memory at a tick is a panic.
class ticker {
public:
    /// Throws std::invalid_argument for a period of zero or less, else as timer().
    template <class Rep, class Period>
    explicit ticker(std::chrono::duration<Rep, Period> period)
        : ticker(detail::checked_period(period, "weft::ticker: the period must be positive"), 0)
    {
    }
    ticker(ticker&&) noexcept = default;
    ticker& operator=(ticker&& other) noexcept
    {
        detail::timed_end(core_.get());
        core_ = std::move(other.core_);
        return *this;
    }
    ~ticker() { detail::timed_end(core_.get()); }

    /// Where the ticks are sent. The same for the ticker's whole life; copies may outlive it. It is not closed by
    /// stop(), so that a loop over it is not misled.
    [[nodiscard]] receiver<clock::time_point> channel() const noexcept { return detail::timed_channel(*core_.get()); }
    /// No tick comes any more, until reset(). Throws std::logic_error outside of the testing::bubble in which it was
    /// made, and inside of another one.
    void stop() { (void)detail::timed_stop(*core_.get()); }
    /// The next tick comes after `period` from now. Throws as stop(), std::invalid_argument for a period of zero or
    /// less, std::bad_alloc; it goes on as before then.
    template <class Rep, class Period>
    void reset(std::chrono::duration<Rep, Period> period)
    {
        const auto p = detail::checked_period(period, "weft::ticker::reset: the period must be positive");
        (void)detail::timed_reset(*core_.get(), detail::deadline_after(p), p);
    }

private:
    ticker(std::chrono::nanoseconds period, int) : core_(detail::timed_send(detail::deadline_after(period), period)) {}
    detail::timed_ref core_;
};

/// A channel to which the time is sent once, after at least `timeout`. What it takes is kept until then, whether or not
/// anybody still has the channel: where it is mostly not waited for to the end, use on_timeout of select, or a timer.
template <class Rep, class Period>
[[nodiscard]] receiver<clock::time_point> after(std::chrono::duration<Rep, Period> timeout)
{
    return detail::timed_channel(*detail::timed_send(detail::deadline_after(timeout), {}).get());
}

/// A function that is to be called: what after_func() returns. Copies share it; the last one's end does not stop it.
class func_timer {
public:
    /// True: the function was about to be called, and is not. False: it has been called, perhaps it runs still, or it
    /// had been stopped. Does not wait for the function. Throws std::logic_error outside of the testing::bubble in
    /// which it was made, and inside of another one.
    bool stop() { return detail::timed_stop(*core_.get()); }
    /// Calls the function after at least `timeout` from now, and not when it was due before; a call that has begun goes
    /// on beside it. Returns what stop() would have. Throws as stop(), and std::bad_alloc; nothing has changed then.
    template <class Rep, class Period>
    bool reset(std::chrono::duration<Rep, Period> timeout)
    {
        return detail::timed_reset(*core_.get(), detail::deadline_after(timeout), {});
    }

private:
    explicit func_timer(detail::timed_ref core) noexcept : core_(std::move(core)) {}
    detail::timed_ref core_;

    template <class Rep, class Period, class F>
        requires std::invocable<std::decay_t<F>&>
    friend func_timer after_func(std::chrono::duration<Rep, Period> timeout, F&& f);
};

/// Calls `f()` in a goroutine of its own, after at least `timeout`; zero or less: at once. An exception that leaves `f`
/// is a panic. Throws as go().
template <class Rep, class Period, class F>
    requires std::invocable<std::decay_t<F>&>
func_timer after_func(std::chrono::duration<Rep, Period> timeout, F&& f)
{
    return func_timer(detail::timed_run(detail::deadline_after(timeout),
                                        std::make_unique<detail::timed_function<std::decay_t<F>>>(std::forward<F>(f))));
}

}  // namespace weft
