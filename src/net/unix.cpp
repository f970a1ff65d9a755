#include <sys/socket.h>

#include <string>

#include "io/canceler.hpp"
#include "io/result.hpp"
#include "net/dial.hpp"
#include "net/socket.hpp"
#include "sys/poll.hpp"
#include "weft/net.hpp"

namespace weft::net {

namespace {

using io::set_error;

[[noreturn]] void fail(const std::error_code& ec, const char* what, std::string_view path)
{
    throw std::system_error(ec, std::string("weft::net::") + what + "(\"" + std::string(path) + "\")");
}

}  // namespace

peer_credentials unix_conn::peer(std::error_code& ec) const noexcept
{
    ucred who{};
    socklen_t n = sizeof who;
    const int error =
        fd_ == nullptr
            ? -EBADF
            : fd_->with_number([&](int number) { return sys::get_option(number, SOL_SOCKET, SO_PEERCRED, &who, &n); });
    set_error(ec, -error);
    return {who.pid, who.uid, who.gid};
}

unix_conn unix_listener::accept(std::error_code& ec) noexcept
{
    const int got = fd_ == nullptr ? -EBADF : accept_next(*fd_);
    if (got < 0) {
        set_error(ec, -got);
        return {};
    }
    unix_conn accepted(own(got, io::fd::kind::socket));
    set_error(ec, accepted ? 0 : ENOMEM);
    return accepted;
}

address unix_listener::local_address() const noexcept
{
    return local_address_of(fd_.get());
}

unix_listener listen_unix(std::string_view path, const listen_options& options, std::error_code& ec)
{
    const address where = address::of_path(path);
    const int number = where ? open_listener(where, options) : -EINVAL;
    if (number < 0) {
        set_error(ec, -number);
        return {};
    }
    io::detail::fd_ptr f = own(number, io::fd::kind::socket);
    set_error(ec, f != nullptr ? 0 : ENOMEM);
    if (f != nullptr && options.remove_path)
        remove_path_at_close(*f, where);
    return unix_listener(std::move(f));
}

unix_listener listen_unix(std::string_view path, const listen_options& options)
{
    std::error_code ec;
    unix_listener made = listen_unix(path, options, ec);
    if (ec)
        fail(ec, "listen_unix", path);
    return made;
}

unix_conn dial_unix(std::string_view path, const context& ctx, std::error_code& ec)
{
    ec = ctx.err();
    if (ec)
        return {};
    const address to = address::of_path(path);
    const int number = to ? sys::open_socket(AF_UNIX, SOCK_STREAM, 0) : -EINVAL;
    if (number < 0) {
        set_error(ec, -number);
        return {};
    }
    io::detail::fd_ptr f = own(number, io::fd::kind::socket);
    int error = ENOMEM;
    if (f != nullptr) {
        const io::canceler watch(ctx, *f, io::poll_side::write);
        error = connect_stream(*f, to);
    }
    set_error(ec, error);
    if (error != 0) {
        if (const std::error_code ended = ctx.err())
            ec = ended;
        return {};
    }
    f->set_deadline(io::poll_side::write, rt::never);  // the context may have ended too late to matter
    return unix_conn(std::move(f));
}

unix_conn dial_unix(std::string_view path, const context& ctx)
{
    std::error_code ec;
    unix_conn made = dial_unix(path, ctx, ec);
    if (ec)
        fail(ec, "dial_unix", path);
    return made;
}

unix_ends unix_pair()
{
    int ends[2];
    if (const int error = sys::open_socket_pair(AF_UNIX, SOCK_STREAM, ends); error != 0)
        throw std::system_error(-error, std::generic_category(), "weft::net::unix_pair");
    unix_ends made{unix_conn(own(ends[0], io::fd::kind::socket)), unix_conn(own(ends[1], io::fd::kind::socket))};
    if (!made.first || !made.second)
        throw std::bad_alloc();
    return made;
}

}  // namespace weft::net
