// Many readers or one writer.
#pragma once

#include <chrono>
#include <system_error>

#include "weft/detail/config.hpp"
#include "weft/detail/deadline.hpp"
#include "weft/detail/shared_word.hpp"
#include "weft/mutex.hpp"

namespace weft {

/// std::shared_timed_mutex for goroutines and plain threads in any mix: many readers at a time, or one writer. Sixteen
/// bytes, constant-initialised. Nobody starves: a writer that waits holds new readers back, and when a writer leaves
/// all readers who wait by then go before the next one. Hence a reader must not lock it again for reading: a writer in
/// between would wait for the first lock, and the second lock for the writer. Not tied to a goroutine: another one may
/// unlock it. It must outlive the calls on it, the unlocks included. Use std::unique_lock and std::shared_lock.
class shared_mutex {
public:
    constexpr shared_mutex() noexcept = default;
    shared_mutex(const shared_mutex&) = delete;
    shared_mutex& operator=(const shared_mutex&) = delete;

    /// Parks until the caller is the only one inside.
    void lock()
    {
        writers_.lock();
        if (!word_.try_begin_writer()) [[unlikely]]
            (void)drain({});
    }
    [[nodiscard]] bool try_lock()
    {
        if (!writers_.try_lock())
            return false;
        if (word_.try_begin_writer())
            return true;
        writers_.unlock();
        return false;
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
    /// Throws std::logic_error when no writer is inside.
    void unlock()
    {
        const auto now = word_.look();
        if (!now.writer() || !word_.try_end_writer(now)) [[unlikely]]
            unlock_slow();
        writers_.unlock();
    }

    /// Parks until the caller may read beside other readers.
    void lock_shared()
    {
        if (const auto before = word_.add_reader(); before.writer()) [[unlikely]]
            (void)lock_shared_slow(before, {});
    }
    [[nodiscard]] bool try_lock_shared() noexcept { return word_.try_add_reader(); }
    /// lock_shared() for at most `timeout`; false: not locked.
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_shared_for(const std::chrono::duration<Rep, Period>& timeout)
    {
        return try_lock_shared() || try_lock_shared_until(detail::deadline_after(timeout));
    }
    /// lock_shared() until `deadline` at the latest; false: not locked.
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration>& deadline)
    {
        return try_lock_shared() || detail::bounded(deadline,
                                                    [this](detail::wait_bound b)
                                                    {
                                                        const auto before = word_.add_reader();
                                                        return !before.writer() || lock_shared_slow(before, b);
                                                    });
    }
    /// lock_shared(), unless `ctx` ends before: then returns ctx.err(), and it is not locked.
    [[nodiscard]] std::error_code lock_shared(const context& ctx)
    {
        return detail::unless_ended(
            ctx, [this] { return try_lock_shared(); },
            [this](detail::wait_bound b)
            {
                const auto before = word_.add_reader();
                return !before.writer() || lock_shared_slow(before, b);
            });
    }
    /// Throws std::logic_error when no reader is inside.
    void unlock_shared()
    {
        if (const auto before = word_.remove_reader(); before.writer() || before.readers() == 0) [[unlikely]]
            unlock_shared_slow(before);
    }

private:
    WEFT_API bool lock_slow(detail::wait_bound bound);
    WEFT_API bool drain(detail::wait_bound bound);
    WEFT_API void unlock_slow();
    WEFT_API bool lock_shared_slow(detail::shared_word::view before, detail::wait_bound bound);
    WEFT_API void unlock_shared_slow(detail::shared_word::view before);

    friend struct shared_mutex_queue;
    mutex writers_;  ///< held by the writer that is inside, or waits for readers to leave
    detail::shared_word word_;
};

}  // namespace weft
