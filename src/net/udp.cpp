// UDP. A datagram is lost when the kernel finds its buffer missing, so what it is given is kept in memory for each
// attempt. Not while we wait, which may be long.
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>

#include "io/result.hpp"
#include "net/address.hpp"
#include "net/dial.hpp"
#include "net/socket.hpp"
#include "sys/poll.hpp"
#include "weft/detail/kept_stack.hpp"
#include "weft/net.hpp"

namespace weft::net {

namespace {

using io::finish;
using io::set_error;
using weft::detail::kept_stack;

constexpr std::size_t batch = 32;

iovec part_of(std::span<const std::byte> bytes) noexcept
{
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

void set_name(msghdr& message, const address& to) noexcept
{
    if (!to)
        return;
    message.msg_name = const_cast<void*>(to.data());
    message.msg_namelen = static_cast<socklen_t>(to.size());
}

[[noreturn]] void fail(const std::error_code& ec, const char* what, std::string_view where)
{
    throw std::system_error(ec, std::string("weft::net::") + what + "(\"" + std::string(where) + "\")");
}

int open_udp(const address& where, const listen_options& options) noexcept
{
    const int number = sys::open_socket(domain_of(where), SOCK_DGRAM, 0);
    if (number < 0)
        return number;
    int error = 0;
    if (where.kind() == address::family::ipv6)
        error = sys::set_option(number, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only ? 1 : 0);
    // SO_REUSEADDR would let a second one take the port of a first: not for datagrams.
    if (error == 0 && options.reuse_port)
        error = sys::set_option(number, SOL_SOCKET, SO_REUSEPORT, 1);
    if (error == 0)
        error = sys::bind_socket(number, sockaddr_of(where), static_cast<socklen_t>(where.size()));
    if (error == 0)
        return number;
    sys::close_descriptor(number);
    return error;
}

/// A socket that is connected with `to`: a descriptor or a negative errno.
int open_connected(const address& to) noexcept
{
    const int number = sys::open_socket(domain_of(to), SOCK_DGRAM, 0);
    if (number < 0)
        return number;
    int made = sys::connect_socket(number, sockaddr_of(to), static_cast<socklen_t>(to.size()));
    if (made == 0 && !is_connected_to_itself(number))
        return number;
    if (made == 0)
        made = open_connected(to);  // while this one has the port
    sys::close_descriptor(number);
    return made;
}

udp_conn made_of(int number, std::error_code& ec) noexcept
{
    if (number < 0) {
        set_error(ec, -number);
        return {};
    }
    udp_conn made(own(number, io::fd::kind::socket));
    set_error(ec, made ? 0 : ENOMEM);
    return made;
}

}  // namespace

std::size_t udp_conn::receive(std::span<std::byte> to, address* from, std::error_code& ec) noexcept
{
    if (fd_ == nullptr)
        return finish(ec, {0, EBADF});
    const io::fd::side_guard mine(*fd_, io::poll_side::read);
    if (const int error = mine.error() != 0 ? mine.error() : fd_->take_kept_error(); error != 0)
        return finish(ec, {0, error});
    address_slot slot;
    const ssize_t n = mine.until_done(
        [&](int number)
        {
            const kept_stack kept(to.data());
            slot.size = sizeof slot.storage;
            return sys::recv_datagram(number, to.data(), to.size(), slot.at(), &slot.size);
        });
    if (n < 0)
        return finish(ec, {0, static_cast<int>(-n)});
    if (from != nullptr)
        *from = slot.get();
    return finish(ec, {static_cast<std::size_t>(n), 0});
}

void udp_conn::send_to(std::span<const std::byte> bytes, const address& to, std::error_code& ec) noexcept
{
    if (fd_ == nullptr)
        return set_error(ec, EBADF);
    const io::fd::side_guard mine(*fd_, io::poll_side::write);
    if (mine.error() != 0)
        return set_error(ec, mine.error());
    iovec part = part_of(bytes);
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    set_name(message, to);
    const ssize_t n = mine.until_done(
        [&](int number)
        {
            const kept_stack kept(bytes.data());
            const kept_stack kept_name(&to);
            return sys::send_message(number, &message);
        });
    set_error(ec, n < 0 ? static_cast<int>(-n) : 0);
}

std::size_t udp_conn::receive_many(std::span<received> into, std::error_code& ec) noexcept
{
    if (fd_ == nullptr)
        return finish(ec, {0, EBADF});
    const io::fd::side_guard mine(*fd_, io::poll_side::read);
    io::outcome o{0, mine.error() != 0 ? mine.error() : fd_->take_kept_error()};
    bool more = !into.empty();
    while (o.error == 0 && more) {
        mmsghdr messages[batch]{};
        iovec parts[batch];
        sockaddr_storage names[batch];
        const std::size_t n = std::min(batch, into.size() - o.count);
        for (std::size_t i = 0; i < n; ++i) {
            const std::span<std::byte> buffer = into[o.count + i].buffer;
            parts[i] = part_of(buffer);
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
            messages[i].msg_hdr.msg_name = &names[i];
            messages[i].msg_hdr.msg_namelen = sizeof names[i];
        }
        const auto attempt = [&](int number)
        {
            std::array<kept_stack, batch> kept;
            for (std::size_t i = 0; i < n; ++i)
                kept[i].keep(into[o.count + i].buffer.data());
            return static_cast<ssize_t>(sys::recv_messages(number, messages, static_cast<unsigned>(n)));
        };
        // Waits for the first only.
        const ssize_t got = o.count == 0 ? mine.until_done(attempt) : attempt(fd_->number());
        if (got < 0) {
            if (o.count == 0)
                o.error = static_cast<int>(-got);
            else if (got != -EAGAIN)
                fd_->keep_error(static_cast<int>(-got));  // for the next call: this one has something to return
            break;
        }
        for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
            received& r = into[o.count + i];
            r.size = messages[i].msg_len;
            r.from = address(&names[i], messages[i].msg_hdr.msg_namelen);
        }
        o.count += static_cast<std::size_t>(got);
        more = static_cast<std::size_t>(got) == n && o.count < into.size();
    }
    return finish(ec, o);
}

std::size_t udp_conn::send_many(std::span<const to_send> datagrams, std::error_code& ec) noexcept
{
    if (fd_ == nullptr)
        return finish(ec, {0, EBADF});
    const io::fd::side_guard mine(*fd_, io::poll_side::write);
    io::outcome o{0, mine.error()};
    while (o.error == 0 && o.count < datagrams.size()) {
        mmsghdr messages[batch]{};
        iovec parts[batch];
        const std::size_t n = std::min(batch, datagrams.size() - o.count);
        for (std::size_t i = 0; i < n; ++i) {
            const to_send& d = datagrams[o.count + i];
            parts[i] = part_of(d.bytes);
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
            set_name(messages[i].msg_hdr, d.to);
        }
        const ssize_t sent = mine.until_done(
            [&](int number)
            {
                std::array<kept_stack, batch> kept;
                for (std::size_t i = 0; i < n; ++i)
                    kept[i].keep(datagrams[o.count + i].bytes.data());
                const kept_stack kept_names(datagrams.data());
                return static_cast<ssize_t>(sys::send_messages(number, messages, static_cast<unsigned>(n)));
            });
        if (sent < 0)
            o.error = static_cast<int>(-sent);
        else
            o.count += static_cast<std::size_t>(sent);
    }
    return finish(ec, o);
}

address udp_conn::local_address() const noexcept
{
    return local_address_of(fd_.get());
}

address udp_conn::remote_address() const noexcept
{
    return remote_address_of(fd_.get());
}

udp_conn listen_udp(std::string_view where, const listen_options& options, std::error_code& ec)
{
    const std::vector<address> found = resolve(where, {}, true, ec);
    if (ec)
        return {};
    int number = open_udp(found.front(), options);
    if (number == -EAFNOSUPPORT && where.starts_with(':'))
        number = open_udp(numeric_host("0.0.0.0", found.front().port()), options);
    return made_of(number, ec);
}

udp_conn listen_udp(std::string_view where, const listen_options& options)
{
    std::error_code ec;
    udp_conn made = listen_udp(where, options, ec);
    if (ec)
        fail(ec, "listen_udp", where);
    return made;
}

udp_conn dial_udp(std::string_view where, const context& ctx, std::error_code& ec)
{
    for (const address& to : resolve(where, ctx, false, ec)) {
        const int number = open_connected(to);
        if (number >= 0)
            return made_of(number, ec);
        set_error(ec, -number);
    }
    return {};
}

udp_conn dial_udp(std::string_view where, const context& ctx)
{
    std::error_code ec;
    udp_conn made = dial_udp(where, ctx, ec);
    if (ec)
        fail(ec, "dial_udp", where);
    return made;
}

}  // namespace weft::net
