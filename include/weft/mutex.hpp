// Mutual exclusion.
#pragma once

#include <chrono>
#include <cstdint>
#include <system_error>

#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"
#include "weft/detail/deadline.hpp"
#include "weft/detail/explore.hpp"

namespace weft {

/// Mutual exclusion for goroutines and plain threads in any mix; a waiter parks, its OS thread goes on. Eight bytes,
/// constant-initialised. It is not tied to a goroutine: another one may unlock it. Newcomers may overtake waiters, but
/// one that has waited for over a millisecond is handed the mutex directly. Meets TimedLockable; use std::lock_guard.
/// As any object it must outlive the calls on it, unlock() included: an unlock() looks at the mutex once more after it
/// has released it, so "the last one to hold it deletes it" needs a count outside of the mutex (std::shared_ptr has
/// one).
class mutex {
public:
    constexpr mutex() noexcept = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;

    /// Parks until the mutex is the caller's.
    void lock()
    {
        detail::explore_point();
        if (held_.exchange(1, base::memory_order_acquire) != 0) [[unlikely]]
            (void)lock_slow({});
    }
    [[nodiscard]] bool try_lock() noexcept
    {
        return held_.load(base::memory_order_relaxed) == 0 && held_.exchange(1, base::memory_order_acquire) == 0;
    }
    /// lock() for at most `timeout`; false: not locked.
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& timeout)
    {
        return try_lock() || try_lock_until(detail::deadline_after(timeout));
    }
    /// lock() until `deadline` at the latest; false: not locked.
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& deadline)
    {
        return try_lock() || detail::bounded(deadline, [this](detail::wait_bound b) { return lock_slow(b); });
    }
    /// lock(), unless `ctx` ends before: then returns ctx.err(), and it is not locked.
    [[nodiscard]] std::error_code lock(const context& ctx)
    {
        return detail::unless_ended(
            ctx, [this] { return try_lock(); }, [this](detail::wait_bound b) { return lock_slow(b); });
    }
    /// Throws std::logic_error when the mutex is not locked.
    void unlock()
    {
        if (held_.load(base::memory_order_relaxed) == 0) [[unlikely]]
            unlock_of_unlocked();
        held_.store(0, base::memory_order_release);
        // Pairs with the heavy fence of contend(): it sees held_ == 0 or we see `waiting`.
        if (base::light_fence_or_unusual()) [[unlikely]]
            detail::explore_point_slow();
        if (queue_.load(base::memory_order_relaxed) == waiting) [[unlikely]]
            unlock_slow();
    }

private:
    enum : std::uint8_t {
        none = 0,     ///< nobody parked
        waiting = 1,  ///< somebody parked, and nobody on the way to try again: an unlock must wake one
        waking = 2,   ///< a woken one is on its way; others may be parked
    };
    WEFT_API bool lock_slow(detail::wait_bound bound);
    WEFT_API void unlock_slow();
    [[noreturn]] WEFT_API static void unlock_of_unlocked();

    friend struct mutex_queue;
    friend class shared_mutex;
    base::atomic<std::uint8_t> held_{0};
    base::atomic<std::uint8_t> queue_{none};  ///< written under the sema bucket's lock
    [[maybe_unused]] std::uint8_t reserved_[6]{};
};

}  // namespace weft
