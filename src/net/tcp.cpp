#include <netinet/in.h>
#include <netinet/tcp.h>

#include <string>

#include "io/result.hpp"
#include "net/address.hpp"
#include "net/dial.hpp"
#include "net/socket.hpp"
#include "weft/net.hpp"

namespace weft::net {

namespace {

using io::set_error;

/// `option(number)` on the socket of `f`.
template <class Option>
void change(io::fd* f, std::error_code& ec, Option&& option) noexcept
{
    set_error(ec, f == nullptr ? EBADF : -f->with_number(option));
}

/// For options of TCP, where the connection may be over a Unix socket.
int unless_unsupported(int error) noexcept
{
    return error == -EOPNOTSUPP || error == -ENOPROTOOPT ? 0 : error;
}

}  // namespace

void conn::shutdown_write(std::error_code& ec) noexcept
{
    change(fd_.get(), ec, [](int number) { return sys::shut_down(number, SHUT_WR); });
}

void conn::shutdown_read(std::error_code& ec) noexcept
{
    change(fd_.get(), ec, [](int number) { return sys::shut_down(number, SHUT_RD); });
}

address conn::local_address() const noexcept
{
    return local_address_of(fd_.get());
}

address conn::remote_address() const noexcept
{
    return remote_address_of(fd_.get());
}

void tcp_conn::no_delay(bool on, std::error_code& ec) noexcept
{
    change(fd_.get(), ec, [on](int number)
           { return unless_unsupported(sys::set_option(number, IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0)); });
}

void tcp_conn::set_keep_alive(const net::keep_alive& how, std::error_code& ec) noexcept
{
    change(fd_.get(), ec, [&how](int number) { return unless_unsupported(net::set_keep_alive(number, how)); });
}

void tcp_conn::linger(std::chrono::seconds time, std::error_code& ec) noexcept
{
    constexpr std::int64_t most = 32'767;
    const ::linger how{time.count() >= 0 ? 1 : 0, static_cast<int>(std::clamp<std::int64_t>(time.count(), 0, most))};
    change(fd_.get(), ec,
           [&how](int number) { return sys::set_option(number, SOL_SOCKET, SO_LINGER, &how, sizeof how); });
}

tcp_listener::tcp_listener(io::detail::fd_ptr f, const listen_options& options) noexcept
    : handle(std::move(f)), options_(options)
{
}

tcp_conn tcp_listener::accept(std::error_code& ec) noexcept
{
    const int got = fd_ == nullptr ? -EBADF : accept_next(*fd_);
    if (got < 0) {
        set_error(ec, -got);
        return {};
    }
    tcp_conn accepted(own(got, fd_->what()));
    set_error(ec, accepted ? 0 : ENOMEM);
    return accepted;
}

address tcp_listener::local_address() const noexcept
{
    return local_address_of(fd_.get());
}

tcp_listener listen(std::string_view where, const listen_options& options, std::error_code& ec)
{
    const std::vector<address> found = resolve(where, {}, true, ec);
    if (ec)
        return {};
    int number = open_listener(found.front(), options);
    // Without IPv6 in the system ":port" is all of IPv4.
    if (number == -EAFNOSUPPORT && where.starts_with(':'))
        number = open_listener(numeric_host("0.0.0.0", found.front().port()), options);
    if (number < 0) {
        set_error(ec, -number);
        return {};
    }
    const bool at_path = found.front().kind() == address::family::unix_socket;
    io::detail::fd_ptr f = own(number, at_path ? io::fd::kind::socket : io::fd::kind::tcp);
    set_error(ec, f != nullptr ? 0 : ENOMEM);
    if (f != nullptr && options.remove_path)
        remove_path_at_close(*f, found.front());
    return {std::move(f), options};
}

tcp_listener listen(std::string_view where, const listen_options& options)
{
    std::error_code ec;
    tcp_listener made = listen(where, options, ec);
    if (ec)
        throw std::system_error(ec, "weft::net::listen(\"" + std::string(where) + "\")");
    return made;
}

}  // namespace weft::net
