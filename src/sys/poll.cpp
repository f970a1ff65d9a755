#include "sys/poll.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <limits>

#include "base/atomic.hpp"
#include "sys/clock.hpp"
#include "sys/keep_errno.hpp"

namespace weft::sys {

namespace {

constexpr std::int64_t for_ever = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t second = 1'000'000'000;  // ns
constexpr std::int64_t milli = 1'000'000;       // ns

epoll_event wish(std::uint8_t what, std::uint64_t tag) noexcept
{
    epoll_event e{};
    e.events = EPOLLET;
    if ((what & poll_event::readable) != 0)
        e.events |= EPOLLIN | EPOLLPRI | EPOLLRDHUP;
    if ((what & poll_event::writable) != 0)
        e.events |= EPOLLOUT;
    e.data.u64 = tag;
    return e;
}

int ctl(int poller, int what, int fd, epoll_event* e) noexcept
{
    return ::epoll_ctl(poller, what, fd, e) == 0 ? 0 : -errno;
}

int wait_until(int poller, epoll_event* events, int n, std::int64_t until) noexcept
{
    if (until == 0)
        return ::epoll_wait(poller, events, n, 0);
    if (until == for_ever)
        return ::epoll_wait(poller, events, n, -1);
    const std::int64_t left = std::max<std::int64_t>(until - monotonic_now(), 0);
    static base::atomic<bool> coarse{false};  // Linux before 5.11
    if (!coarse.load(base::memory_order_relaxed)) {
        const timespec timeout{static_cast<time_t>(left / second), static_cast<long>(left % second)};
        const int found = ::epoll_pwait2(poller, events, n, &timeout, nullptr);
        if (found >= 0 || errno != ENOSYS)
            return found;
        coarse.store(true, base::memory_order_relaxed);
    }
    const std::int64_t rounded = std::min<std::int64_t>((left + milli - 1) / milli, std::numeric_limits<int>::max());
    return ::epoll_wait(poller, events, n, static_cast<int>(rounded));
}

}  // namespace

int poller_open() noexcept
{
    const int fd = ::epoll_create1(EPOLL_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

int poller_add(int poller, int fd, std::uint8_t what, std::uint64_t tag) noexcept
{
    epoll_event e = wish(what, tag);
    return ctl(poller, EPOLL_CTL_ADD, fd, &e);
}

int poller_change(int poller, int fd, std::uint8_t what, std::uint64_t tag) noexcept
{
    epoll_event e = wish(what, tag);
    return ctl(poller, EPOLL_CTL_MOD, fd, &e);
}

int poller_add_level(int poller, int fd, std::uint8_t what, std::uint64_t tag) noexcept
{
    epoll_event e = wish(what, tag);
    e.events &= ~std::uint32_t{EPOLLET};
    return ctl(poller, EPOLL_CTL_ADD, fd, &e);
}

void poller_remove(int poller, int fd) noexcept
{
    epoll_event ignored{};
    (void)ctl(poller, EPOLL_CTL_DEL, fd, &ignored);
}

int poller_wait(int poller, std::int64_t until, std::span<poll_report> out) noexcept
{
    const keep_errno kept;
    const int n = wait_until(poller, reinterpret_cast<epoll_event*>(out.data()), static_cast<int>(out.size()), until);
    return n >= 0 ? n : errno == EINTR ? 0 : -errno;
}

int event_open() noexcept
{
    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    return fd >= 0 ? fd : -errno;
}

void event_signal(int event) noexcept
{
    const keep_errno kept;
    const std::uint64_t one = 1;
    while (::write(event, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void event_take(int event) noexcept
{
    const keep_errno kept;
    std::uint64_t one;
    while (::read(event, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void close_descriptor(int fd) noexcept
{
    (void)::close(fd);  // Linux frees the number even when it says EINTR
}

}  // namespace weft::sys
