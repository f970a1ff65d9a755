// Descriptors from elsewhere, pipes, events and processes.
#include <netinet/in.h>
#include <sys/socket.h>

#include "io/canceler.hpp"
#include "io/fd.hpp"
#include "io/result.hpp"
#include "sys/io.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"
#include "weft/io.hpp"

namespace weft::io {

namespace {

detail::fd_ptr own(int number, fd::kind what, std::error_code& ec) noexcept
{
    detail::fd_ptr f(fd::take(number, what).release());
    set_error(ec, f != nullptr ? 0 : ENOMEM);
    return f;
}

/// A socket that is TCP's has a property that others have not.
fd::kind kind_of_socket(int number) noexcept
{
    int protocol = 0;
    socklen_t n = sizeof protocol;
    const bool tcp = sys::get_option(number, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) == 0 && protocol == IPPROTO_TCP;
    return tcp ? fd::kind::tcp : fd::kind::socket;
}

}  // namespace

stream adopt(int number, std::error_code& ec) noexcept
{
    const int kind = sys::kind_of(number);
    int error = kind < 0 ? -kind : 0;
    if (error == 0 && kind == static_cast<int>(sys::file_kind::regular))
        error = EPERM;
    if (error == 0)
        error = -sys::make_nonblocking(number);
    set_error(ec, error);
    if (error != 0)
        return {};
    const bool socket = kind == static_cast<int>(sys::file_kind::socket);
    return stream(own(number, socket ? kind_of_socket(number) : fd::kind::file, ec));
}

pipe_ends pipe(std::error_code& ec) noexcept
{
    int ends[2];
    if (const int error = sys::open_pipe(ends); error != 0) {
        set_error(ec, -error);
        return {};
    }
    std::error_code other;
    pipe_ends made{stream(own(ends[0], fd::kind::file, ec)), stream(own(ends[1], fd::kind::file, other))};
    if (!ec)
        ec = other;
    return ec ? pipe_ends() : std::move(made);
}

event::event(unsigned initial)
{
    std::error_code ec;
    const int number = sys::open_event(initial);
    set_error(ec, number < 0 ? -number : 0);
    if (number >= 0)
        fd_ = own(number, fd::kind::file, ec);
    if (ec)
        detail::throw_error(ec, "weft::io: event");
}

void event::set(std::uint64_t n, std::error_code& ec) noexcept
{
    const auto bytes = std::as_bytes(std::span(&n, 1));
    const ssize_t put = fd_ == nullptr ? -EBADF : fd_->write_at_once(bytes);
    set_error(ec, put < 0 ? static_cast<int>(-put) : 0);
}

std::uint64_t event::wait(std::error_code& ec) noexcept
{
    std::uint64_t n = 0;
    const auto to = std::as_writable_bytes(std::span(&n, 1));
    if (fd_ == nullptr)
        set_error(ec, EBADF);
    else
        (void)finish(ec, fd_->read(to));
    return n;
}

process_end wait_process(int pid, const context& ctx, std::error_code& ec) noexcept
{
    process_end end;
    const int number = sys::open_process(pid);
    if (number < 0) {
        set_error(ec, -number);
        return end;
    }
    const detail::fd_ptr f = own(number, fd::kind::file, ec);
    if (ec)
        return end;
    int status = 0;
    const canceler watch(ctx, *f, poll_side::read);
    const fd::side_guard mine(*f, poll_side::read);
    const ssize_t got = mine.error() != 0 ? -mine.error()
                                          : mine.until_done(
                                                [&](int process) -> ssize_t
                                                {
                                                    const int collected = sys::collect_process(process, status);
                                                    return collected == 0 ? -EAGAIN : collected;
                                                });
    if (got < 0) {
        set_error(ec, static_cast<int>(-got));
        if (const std::error_code ended = ctx.err())
            ec = ended;
        return end;
    }
    constexpr int signal_bits = 0x7f;
    end.signal = status & signal_bits;
    if (end.signal == 0)
        end.exit_code = (status >> 8) & 0xff;
    return end;
}

}  // namespace weft::io
