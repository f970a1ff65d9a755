// epoll(7) and the eventfd that breaks it. All functions return what the system call does, or a negative errno.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <span>

#include "weft/detail/config.hpp"

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

/// What has happened to one descriptor.
class poll_report {
public:
    poll_report() noexcept = default;
    /// That of poller_add().
    [[nodiscard]] std::uint64_t tag() const noexcept { return raw_.data.u64; }
    /// Of poll_event.
    [[nodiscard]] WEFT_ALWAYS_INLINE std::uint8_t what() const noexcept
    {
        constexpr std::uint32_t hangup = EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
        const std::uint32_t e = raw_.events;
        return static_cast<std::uint8_t>(((e & (EPOLLIN | hangup)) != 0 ? poll_event::readable : 0) |
                                         ((e & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0 ? poll_event::writable : 0) |
                                         ((e & hangup) != 0 ? poll_event::hangup : 0));
    }

private:
    epoll_event raw_;
};
static_assert(sizeof(poll_report) == sizeof(epoll_event), "the kernel writes an array of them");

/// Waits until something happens or `until` (nanoseconds of CLOCK_MONOTONIC; 0: does not wait; the largest value: for
/// ever). Returns how many reports there are now in `out`, which need not be all; 0 too after a signal. errno stays as
/// it is.
[[nodiscard]] int poller_wait(int poller, std::int64_t until, std::span<poll_report> out) noexcept;

/// A descriptor that is readable while there have been more event_signal() than event_take(), which waits for one.
[[nodiscard]] int event_open() noexcept;
void event_signal(int event) noexcept;
void event_take(int event) noexcept;

void close_descriptor(int fd) noexcept;

}  // namespace weft::sys
