// Mutual exclusion and joining: mutex, wait_group.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"
#include "weft/detail/explore.hpp"
#include "weft/go.hpp"

namespace weft {

/// Mutual exclusion for goroutines and plain threads in any mix; a waiter parks, its OS thread goes on. Eight bytes,
/// constant-initialised. It is not tied to a goroutine: another one may unlock it. Newcomers may overtake waiters, but
/// one that has waited for over a millisecond is handed the mutex directly. Meets Lockable; use std::lock_guard.
/// As any object it must outlive the calls on it, unlock() included: an unlock() looks at the mutex once more after it
/// has released it, so "the last one to hold it deletes it" needs a count outside of the mutex (std::shared_ptr has
/// one).
class mutex {
public:
    constexpr mutex() noexcept = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;

    void lock()
    {
        detail::explore_point();
        if (held_.exchange(1, base::memory_order_acquire) != 0) [[unlikely]]
            lock_slow();
    }
    [[nodiscard]] bool try_lock() noexcept
    {
        return held_.load(base::memory_order_relaxed) == 0 && held_.exchange(1, base::memory_order_acquire) == 0;
    }
    /// Throws std::logic_error when the mutex is not locked.
    void unlock()
    {
        if (held_.load(base::memory_order_relaxed) == 0) [[unlikely]]
            unlock_of_unlocked();
        held_.store(0, base::memory_order_release);
        // Pairs with the heavy barrier of lock_slow(): it sees held_ == 0 or we see `waiting`.
        if (base::light_barrier_or_unusual()) [[unlikely]]
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
    WEFT_API void lock_slow();
    WEFT_API void unlock_slow();
    [[noreturn]] WEFT_API static void unlock_of_unlocked();

    friend struct mutex_queue;
    base::atomic<std::uint8_t> held_{0};
    base::atomic<std::uint8_t> queue_{none};  ///< written under the sema bucket's lock
    [[maybe_unused]] std::uint8_t reserved_[6]{};
};

/// Waits for a number of things to finish. Eight bytes, constant-initialised. Goroutines and plain threads, in any mix.
class wait_group {
public:
    constexpr wait_group() noexcept = default;
    wait_group(const wait_group&) = delete;
    wait_group& operator=(const wait_group&) = delete;

    /// Adds `n`, which may be negative, to the counter; at zero all waiters wake. Throws std::logic_error, and leaves
    /// the counter as it was, if it would become negative or exceed 2^31-1. A call that makes it positive again must
    /// come after wait() has returned.
    void add(int n = 1)
    {
        const std::uint64_t delta = static_cast<std::uint64_t>(static_cast<std::int64_t>(n)) << 32;
        const std::uint64_t now = state_.fetch_add(delta, base::memory_order_acq_rel) + delta;
        const auto count = static_cast<std::int32_t>(now >> 32);
        // Zero with a waiter, or a sign: an increment never makes zero, a decrement never a larger count.
        if (count < 0 || (count == 0 && now != 0)) [[unlikely]]
            add_slow(n, now);
    }
    /// add(-1).
    void done() { add(-1); }
    /// Parks until the counter is zero.
    void wait()
    {
        if (state_.load(base::memory_order_acquire) >> 32 != 0)
            wait_slow();
    }
    /// add(1), then a goroutine that calls f() and then done().
    template <class F>
        requires std::invocable<std::decay_t<F>>
    void go(F&& f)
    {
        add(1);
        struct undo {
            wait_group* self;
            ~undo()
            {
                if (self != nullptr)
                    self->done();
            }
        } failed{this};
        detail::spawn(
            [this, fn = std::decay_t<F>(std::forward<F>(f))]() mutable
            {
                struct finish {
                    wait_group* self;
                    ~finish() { self->done(); }
                } const at_end{this};
                std::invoke(std::move(fn));
            },
            nullptr);
        failed.self = nullptr;
    }

private:
    static constexpr std::uint64_t has_waiters = 1;
    WEFT_API void add_slow(int n, std::uint64_t now);
    WEFT_API void wait_slow();

    friend struct wait_group_queue;
    base::atomic<std::uint64_t> state_{0};  ///< counter << 32 | has_waiters
};

}  // namespace weft
