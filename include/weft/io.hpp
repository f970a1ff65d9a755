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
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "weft/clock.hpp"
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
};

}  // namespace weft::io
