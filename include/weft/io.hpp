// Byte streams over descriptors, pipes, events, processes.
//
// Every call that waits parks the goroutine, or blocks the plain thread. Every object may be used by several at once:
// one reads and one writes at a time, others queue, first come, first served. close() ends them all.
//
// Errors: a call throws std::system_error; with a last std::error_code& it does not, and the code says what happened.
// std::errc::operation_canceled: closed, now or before; std::errc::timed_out: the deadline has passed.
// std::errc::bad_file_descriptor: the object is empty (default-constructed or moved from).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "weft/clock.hpp"
#include "weft/context.hpp"
#include "weft/detail/config.hpp"

namespace weft::io {

class fd;

namespace detail {

struct fd_closer {
    WEFT_API void operator()(fd* f) const noexcept;
};
using fd_ptr = std::unique_ptr<fd, fd_closer>;

[[noreturn]] WEFT_API void throw_error(std::error_code why, const char* call);

/// What `call(ec)` returns; an error is thrown.
template <class Call>
decltype(auto) or_throw(const char* name, Call&& call)
{
    struct checked {
        const char* name;
        std::error_code ec{};
        void done() const
        {
            if (ec) [[unlikely]]
                throw_error(ec, name);
        }
    } c{name};
    if constexpr (std::is_void_v<decltype(call(c.ec))>) {
        call(c.ec);
        c.done();
    } else {
        decltype(auto) result = call(c.ec);
        c.done();
        return result;
    }
}

}  // namespace detail

/// Something with deadlines that can be closed: the base of all that stands for a descriptor. Movable.
class handle {
public:
    handle(const handle&) = delete;
    handle& operator=(const handle&) = delete;

    /// Whether it is neither empty nor closed.
    [[nodiscard]] WEFT_API bool is_open() const noexcept;
    [[nodiscard]] explicit operator bool() const noexcept { return is_open(); }
    /// The descriptor, which stays this object's; -1: it is empty or closed. The number is good until close().
    [[nodiscard]] WEFT_API int native_handle() const noexcept;

    /// Ends every call that waits on the object, and every later one, with std::errc::operation_canceled; returns when
    /// they have ended and the descriptor is closed. Throws std::system_error when it was empty or closed already. The
    /// destructor closes too.
    void close()
    {
        detail::or_throw("weft::io: close", [&](std::error_code& ec) { close(ec); });
    }
    WEFT_API void close(std::error_code& ec) noexcept;

    /// From `when` on calls that read or write fail with std::errc::timed_out, those that wait already as well, and
    /// whatever is there to be read. Stays until it is set again; clock::time_point::max(): none. Does nothing to a
    /// closed object.
    void set_deadline(clock::time_point when) noexcept
    {
        set_read_deadline(when);
        set_write_deadline(when);
    }
    /// set_deadline() for reading and accepting alone.
    WEFT_API void set_read_deadline(clock::time_point when) noexcept;
    /// set_deadline() for writing and connecting alone.
    WEFT_API void set_write_deadline(clock::time_point when) noexcept;
    /// The same, so long from now.
    template <class Rep, class Period>
    void set_deadline(std::chrono::duration<Rep, Period> timeout) noexcept
    {
        set_deadline(weft::detail::deadline_after(timeout));
    }
    template <class Rep, class Period>
    void set_read_deadline(std::chrono::duration<Rep, Period> timeout) noexcept
    {
        set_read_deadline(weft::detail::deadline_after(timeout));
    }
    template <class Rep, class Period>
    void set_write_deadline(std::chrono::duration<Rep, Period> timeout) noexcept
    {
        set_write_deadline(weft::detail::deadline_after(timeout));
    }

protected:
    handle() noexcept = default;
    explicit handle(detail::fd_ptr f) noexcept : fd_(std::move(f)) {}
    handle(handle&&) noexcept = default;
    handle& operator=(handle&&) noexcept = default;
    ~handle() = default;

    detail::fd_ptr fd_;
};

/// A stream of bytes in one or both directions.
class stream : public handle {
public:
    /// Empty.
    stream() noexcept = default;
    /// Takes the descriptor's object over; for the library.
    explicit stream(detail::fd_ptr f) noexcept : handle(std::move(f)) {}
    stream(stream&&) noexcept = default;
    stream& operator=(stream&&) noexcept = default;

    /// Reads what is there, at least a byte, up to the size of `to`; 0: the end of the stream (or `to` is empty). Waits
    /// until there is something.
    std::size_t read(std::span<std::byte> to)
    {
        return detail::or_throw("weft::io: read", [&](std::error_code& ec) { return read(to, ec); });
    }
    WEFT_API std::size_t read(std::span<std::byte> to, std::error_code& ec) noexcept;

    /// Writes all of `from`; returns its size. With an error: how much the kernel has taken before it.
    std::size_t write(std::span<const std::byte> from)
    {
        return detail::or_throw("weft::io: write", [&](std::error_code& ec) { return write(from, ec); });
    }
    WEFT_API std::size_t write(std::span<const std::byte> from, std::error_code& ec) noexcept;
    std::size_t write(std::string_view from) { return write(std::as_bytes(std::span(from))); }
    std::size_t write(std::string_view from, std::error_code& ec) noexcept
    {
        return write(std::as_bytes(std::span(from)), ec);
    }

    /// write() of all parts, one after the other, in as few system calls as may be.
    std::size_t writev(std::span<const std::span<const std::byte>> parts)
    {
        return detail::or_throw("weft::io: writev", [&](std::error_code& ec) { return writev(parts, ec); });
    }
    WEFT_API std::size_t writev(std::span<const std::span<const std::byte>> parts, std::error_code& ec) noexcept;

    /// What stands behind it; for the library.
    [[nodiscard]] fd* descriptor() const noexcept { return fd_.get(); }
};

/// Takes over the descriptor `number`, of anything that can be waited for: a socket, a pipe, a terminal, a device. It
/// is made non-blocking, which goes for all who share it with this process. Throws std::system_error:
/// std::errc::operation_not_permitted for a regular file or a directory, which are always ready (weft::fs reads those);
/// `number` then stays the caller's. Writing to a pipe without a reader raises SIGPIPE, as it does everywhere: programs
/// that write to pipes ignore that signal, and get std::errc::broken_pipe.
[[nodiscard]] inline stream adopt(int number);
[[nodiscard]] WEFT_API stream adopt(int number, std::error_code& ec) noexcept;

/// Two ends of a pipe.
struct pipe_ends {
    stream reader;
    stream writer;
};
/// A new pipe.
[[nodiscard]] inline pipe_ends pipe();
[[nodiscard]] WEFT_API pipe_ends pipe(std::error_code& ec) noexcept;

/// Copies from `from` until it ends to `to`, through the kernel alone (splice) where both allow it; returns how many
/// bytes. With an error: how many before it.
inline std::uint64_t copy(stream& from, stream& to);
WEFT_API std::uint64_t copy(stream& from, stream& to, std::error_code& ec) noexcept;

/// Sends `count` bytes of the file behind the descriptor `file`, from `offset` on, or less if it ends before;
/// returns how many. The thread is blocked while the file's data comes from a disk.
inline std::uint64_t send_file(stream& to, int file, std::uint64_t offset, std::uint64_t count);
WEFT_API std::uint64_t send_file(stream& to, int file, std::uint64_t offset, std::uint64_t count,
                                 std::error_code& ec) noexcept;

/// A counter to wait on that can be set from anywhere, signal handlers and other processes included: an eventfd.
class event : public handle {
public:
    /// A new one, at `initial`.
    WEFT_API explicit event(unsigned initial = 0);
    event(event&&) noexcept = default;
    event& operator=(event&&) noexcept = default;

    /// Adds `n`. Never waits, and has no deadline: a counter that would pass 2^64 - 2 stays as it is, and the error is
    /// std::errc::resource_unavailable_try_again. The overload with `ec` may be called in a signal handler: it takes no
    /// lock, parks nothing, allocates nothing and leaves errno as it is.
    void set(std::uint64_t n = 1)
    {
        detail::or_throw("weft::io: event", [&](std::error_code& ec) { set(n, ec); });
    }
    WEFT_API void set(std::uint64_t n, std::error_code& ec) noexcept;
    /// Waits until the counter is not zero, takes all of it and returns that.
    std::uint64_t wait()
    {
        return detail::or_throw("weft::io: event", [&](std::error_code& ec) { return wait(ec); });
    }
    WEFT_API std::uint64_t wait(std::error_code& ec) noexcept;
};

/// How a process has ended.
struct process_end {
    int exit_code = -1;  ///< -1: it did not exit
    int signal = 0;      ///< that killed it; 0: none
};
/// Waits until the child process `pid` has ended, and collects it (pidfd, not SIGCHLD); with `ctx`, until that ends:
/// ctx.err(), and the process is left alone.
inline process_end wait_process(int pid, const context& ctx = {});
WEFT_API process_end wait_process(int pid, const context& ctx, std::error_code& ec) noexcept;

inline stream adopt(int number)
{
    return detail::or_throw("weft::io: adopt", [&](std::error_code& ec) { return adopt(number, ec); });
}
inline pipe_ends pipe()
{
    return detail::or_throw("weft::io: pipe", [&](std::error_code& ec) { return pipe(ec); });
}
inline std::uint64_t copy(stream& from, stream& to)
{
    return detail::or_throw("weft::io: copy", [&](std::error_code& ec) { return copy(from, to, ec); });
}
inline std::uint64_t send_file(stream& to, int file, std::uint64_t offset, std::uint64_t count)
{
    return detail::or_throw("weft::io: send_file",
                            [&](std::error_code& ec) { return send_file(to, file, offset, count, ec); });
}
inline process_end wait_process(int pid, const context& ctx)
{
    return detail::or_throw("weft::io: wait_process", [&](std::error_code& ec) { return wait_process(pid, ctx, ec); });
}

}  // namespace weft::io
