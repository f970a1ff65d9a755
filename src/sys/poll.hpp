// epoll(7) and the eventfd that breaks it. All functions return what the system call does, or a negative errno.
#pragma once

#include <cstdint>

namespace weft::sys {

/// What becomes true of a descriptor; also what one asks for, of which `hangup` is always asked.
namespace poll_event {
enum : std::uint8_t {
    readable = 1,
    writable = 2,
    hangup = 4,  ///< the other side has closed, or there is an error, or urgent data: there need not be another event
};
}

[[nodiscard]] int poller_open() noexcept;
/// Adds `fd`, or changes what is asked of it; edge-triggered: each change is told once, to one waiter.
[[nodiscard]] int poller_add(int poller, int fd, std::uint8_t what, std::uint64_t tag) noexcept;
[[nodiscard]] int poller_change(int poller, int fd, std::uint8_t what, std::uint64_t tag) noexcept;
/// poller_add(), but told again for as long as it is so.
[[nodiscard]] int poller_add_level(int poller, int fd, std::uint8_t what, std::uint64_t tag) noexcept;
void poller_remove(int poller, int fd) noexcept;

/// Waits until something happens or `until` (nanoseconds of CLOCK_MONOTONIC; 0: does not wait; the largest value: for
/// ever), and calls `told` with each event, up to 128 or, with little use of the stack, up to `few_events`. Returns how
/// many; 0 too after a signal. errno stays as it is.
inline constexpr int few_events = 16;
[[nodiscard]] int poller_wait(int poller, std::int64_t until, bool few,
                              void (*told)(std::uint64_t tag, std::uint8_t what, void*) noexcept, void*) noexcept;

/// A descriptor that is readable while there have been more event_signal() than event_take(), which waits for one.
[[nodiscard]] int event_open() noexcept;
void event_signal(int event) noexcept;
void event_take(int event) noexcept;

void close_descriptor(int fd) noexcept;

}  // namespace weft::sys
