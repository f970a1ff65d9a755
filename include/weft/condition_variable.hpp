// Waiting for a condition under a mutex.
#pragma once

#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <system_error>
#include <utility>

#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"
#include "weft/detail/deadline.hpp"
#include "weft/mutex.hpp"

namespace weft {

/// std::condition_variable for weft::mutex, goroutines and plain threads in any mix, with the std::stop_token overloads
/// of std::condition_variable_any. Eight bytes, constant-initialised. Waiters wake in the order in which they began to
/// wait, and never without a cause: a wait() ends by a notification, its deadline or its stop_token. (Somebody may
/// still have changed the condition between the notification and the lock: use the forms with a predicate.)
/// It may be destroyed when all waiters have been notified. Each wait throws std::logic_error when `lock` does not own
/// its mutex, and returns with the mutex locked.
class condition_variable {
public:
    constexpr condition_variable() noexcept = default;
    condition_variable(const condition_variable&) = delete;
    condition_variable& operator=(const condition_variable&) = delete;

    /// Wakes the one that has waited longest.
    void notify_one() noexcept
    {
        if (waiters_.load(base::memory_order_relaxed) != 0)
            notify_slow(false);
    }
    /// Wakes all. They do not run for the mutex all at once: each finds it free when its turn has come.
    void notify_all() noexcept
    {
        if (waiters_.load(base::memory_order_relaxed) != 0)
            notify_slow(true);
    }

    /// Unlocks, parks until notified, locks.
    void wait(std::unique_lock<mutex>& lock) { (void)wait_slow(lock, {}, nullptr); }
    /// Until `holds()`, which is called with the mutex locked.
    template <class Predicate>
        requires std::predicate<Predicate&>
    void wait(std::unique_lock<mutex>& lock, Predicate holds)
    {
        while (!holds())
            wait(lock);
    }

    /// Until notified (no_timeout) or the deadline (timeout).
    template <class Clock, class Duration>
    std::cv_status wait_until(std::unique_lock<mutex>& lock, const std::chrono::time_point<Clock, Duration>& deadline)
    {
        return notified_by(lock, deadline, nullptr) ? std::cv_status::no_timeout : std::cv_status::timeout;
    }
    /// Until `holds()` or the deadline; `holds()` at the end.
    template <class Clock, class Duration, class Predicate>
    bool wait_until(std::unique_lock<mutex>& lock, const std::chrono::time_point<Clock, Duration>& deadline,
                    Predicate holds)
    {
        while (!holds()) {
            if (wait_until(lock, deadline) == std::cv_status::timeout)
                return holds();
        }
        return true;
    }
    /// wait_until() now + `timeout`.
    template <class Rep, class Period>
    std::cv_status wait_for(std::unique_lock<mutex>& lock, const std::chrono::duration<Rep, Period>& timeout)
    {
        return wait_until(lock, detail::deadline_after(timeout));
    }
    /// wait_until() now + `timeout`.
    template <class Rep, class Period, class Predicate>
    bool wait_for(std::unique_lock<mutex>& lock, const std::chrono::duration<Rep, Period>& timeout, Predicate holds)
    {
        return wait_until(lock, detail::deadline_after(timeout), std::move(holds));
    }

    /// Until `holds()` or a stop is requested; `holds()` at the end.
    template <class Predicate>
    bool wait(std::unique_lock<mutex>& lock, std::stop_token stop, Predicate holds)
    {
        while (!holds()) {
            if (stop.stop_requested())
                return false;
            (void)wait_slow(lock, {}, &stop);
        }
        return true;
    }
    /// Until `holds()`, a stop is requested or the deadline; `holds()` at the end.
    template <class Clock, class Duration, class Predicate>
    bool wait_until(std::unique_lock<mutex>& lock, std::stop_token stop,
                    const std::chrono::time_point<Clock, Duration>& deadline, Predicate holds)
    {
        while (!holds()) {
            if (stop.stop_requested())
                return false;
            if (!notified_by(lock, deadline, &stop))
                return holds();
        }
        return true;
    }
    /// wait_until() now + `timeout`.
    template <class Rep, class Period, class Predicate>
    bool wait_for(std::unique_lock<mutex>& lock, std::stop_token stop,
                  const std::chrono::duration<Rep, Period>& timeout, Predicate holds)
    {
        return wait_until(lock, std::move(stop), detail::deadline_after(timeout), std::move(holds));
    }
    /// Until notified, unless `ctx` ends before: then returns ctx.err().
    [[nodiscard]] std::error_code wait(std::unique_lock<mutex>& lock, const context& ctx)
    {
        return detail::unless_ended(
            ctx, [] { return false; }, [&](detail::wait_bound b) { return wait_slow(lock, b, nullptr); });
    }
    /// Until `holds()`, which wins, or `ctx` ends: then returns ctx.err().
    template <class Predicate>
        requires std::predicate<Predicate&>
    [[nodiscard]] std::error_code wait(std::unique_lock<mutex>& lock, Predicate holds, const context& ctx)
    {
        while (!holds()) {
            if (const std::error_code ended = wait(lock, ctx))
                return holds() ? std::error_code() : ended;
        }
        return {};
    }

private:
    /// False: timed out.
    template <class Clock, class Duration>
    bool notified_by(std::unique_lock<mutex>& lock, const std::chrono::time_point<Clock, Duration>& deadline,
                     const std::stop_token* stop)
    {
        // Unlike a lock, a wait whose deadline has passed lets the others have the mutex for a moment.
        return wait_slow(lock, {detail::deadline_of(deadline).time_since_epoch()}, stop) || !detail::has_come(deadline);
    }
    /// False: `bound` has come first.
    WEFT_API bool wait_slow(std::unique_lock<mutex>& lock, detail::wait_bound bound, const std::stop_token* stop);
    WEFT_API void notify_slow(bool all) noexcept;

    base::atomic<std::uint32_t> waiters_{0};  ///< queued; written under the sema bucket's lock
    [[maybe_unused]] std::uint32_t reserved_{0};
};

}  // namespace weft
