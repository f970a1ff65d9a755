// Networking: TCP, UDP and Unix sockets, and host names. Streams, deadlines, closing and errors are those of
// weft/io.hpp.
//
// Addresses are written "host:port", "1.2.3.4:80", "[::1]:80", ":8080" (all of this machine's, IPv6 and IPv4), or
// "unix:/path"; a port of 0 lets the system choose one.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "weft/context.hpp"
#include "weft/detail/config.hpp"
#include "weft/io.hpp"

namespace weft::net {

/// The address of one end of a connection: an IP address with a port, or a path. A value.
class address {
public:
    enum class family : std::uint8_t { none, ipv4, ipv6, unix_socket };

    /// None: not an address.
    address() noexcept = default;
    /// From a sockaddr and its size in bytes; none if it is of another family or too long. An IPv4 address that is
    /// mapped into IPv6 (::ffff:1.2.3.4), as a socket for both tells of an IPv4 peer, becomes that of IPv4.
    WEFT_API address(const void* sockaddr, std::size_t size) noexcept;
    /// From text as above, with a numeric host ("" is the IPv6 wildcard) and port. Throws std::system_error
    /// (std::errc::invalid_argument).
    [[nodiscard]] static address parse(std::string_view text)
    {
        return io::detail::or_throw("weft::net: address", [&](std::error_code& ec) { return parse(text, ec); });
    }
    [[nodiscard]] WEFT_API static address parse(std::string_view text, std::error_code& ec) noexcept;
    /// The address of a Unix socket; "@name" is an abstract one. None if `path` is too long (107 bytes).
    [[nodiscard]] WEFT_API static address of_path(std::string_view path) noexcept;

    [[nodiscard]] WEFT_API family kind() const noexcept;
    [[nodiscard]] explicit operator bool() const noexcept { return size_ != 0; }
    /// 0 for other families.
    [[nodiscard]] WEFT_API std::uint16_t port() const noexcept;
    /// The same host with another port.
    [[nodiscard]] WEFT_API address with_port(std::uint16_t port) const noexcept;
    /// The host alone, without brackets; the path of a Unix socket.
    [[nodiscard]] WEFT_API std::string host() const;
    /// As parse() reads it: "1.2.3.4:80", "[::1]:80", "unix:/path"; empty for none.
    [[nodiscard]] WEFT_API std::string to_string() const;

    /// The sockaddr and its size in bytes.
    [[nodiscard]] const void* data() const noexcept { return bytes_.data(); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    [[nodiscard]] friend bool operator==(const address& a, const address& b) noexcept { return equal(a, b); }

private:
    [[nodiscard]] WEFT_API static bool equal(const address& a, const address& b) noexcept;

    alignas(8) std::array<std::byte, 112> bytes_{};
    std::uint32_t size_ = 0;
};

/// A connected stream socket.
class conn : public io::stream {
public:
    conn() noexcept = default;
    explicit conn(io::detail::fd_ptr f) noexcept : io::stream(std::move(f)) {}
    conn(conn&&) noexcept = default;
    conn& operator=(conn&&) noexcept = default;

    /// Says that nothing more will be written; the other side reads to the end. Reading goes on.
    void shutdown_write()
    {
        io::detail::or_throw("weft::net: shutdown", [&](std::error_code& ec) { shutdown_write(ec); });
    }
    WEFT_API void shutdown_write(std::error_code& ec) noexcept;
    /// Nothing more will be read: reads say 0.
    void shutdown_read()
    {
        io::detail::or_throw("weft::net: shutdown", [&](std::error_code& ec) { shutdown_read(ec); });
    }
    WEFT_API void shutdown_read(std::error_code& ec) noexcept;

    /// None when it is closed.
    [[nodiscard]] WEFT_API address local_address() const noexcept;
    [[nodiscard]] WEFT_API address remote_address() const noexcept;
};

/// When to ask an idle connection's other side whether it is there.
struct keep_alive {
    std::chrono::seconds idle{15};      ///< without traffic before the first probe; 0 or less: never ask
    std::chrono::seconds interval{15};  ///< between probes
    int probes = 9;                     ///< unanswered ones, after which the connection fails
};

/// A TCP connection; over a Unix socket where the address was "unix:...", the options of TCP then do nothing. Small
/// writes are sent at once (no_delay) and keep-alive is on, unless it is said otherwise.
class tcp_conn : public conn {
public:
    using conn::conn;

    /// On: what is written is sent at once. Off: small pieces wait for each other (Nagle's algorithm).
    void no_delay(bool on)
    {
        io::detail::or_throw("weft::net: no_delay", [&](std::error_code& ec) { no_delay(on, ec); });
    }
    WEFT_API void no_delay(bool on, std::error_code& ec) noexcept;
    void set_keep_alive(const keep_alive& how)
    {
        io::detail::or_throw("weft::net: set_keep_alive", [&](std::error_code& ec) { set_keep_alive(how, ec); });
    }
    WEFT_API void set_keep_alive(const keep_alive& how, std::error_code& ec) noexcept;
    /// What close() does with what is not sent yet: negative (the default): it is sent in the background. 0: it is
    /// dropped, and the other side sees the connection reset. Otherwise: sent for so long at most.
    void linger(std::chrono::seconds time)
    {
        io::detail::or_throw("weft::net: linger", [&](std::error_code& ec) { linger(time, ec); });
    }
    WEFT_API void linger(std::chrono::seconds time, std::error_code& ec) noexcept;
};

/// How to listen.
struct listen_options {
    int backlog = 4'096;        ///< connections that wait to be accepted; the system's limit (somaxconn) goes before it
    bool reuse_address = true;  ///< SO_REUSEADDR: a port of which old connections linger can be taken again
    bool reuse_port = false;    ///< SO_REUSEPORT: several sockets share the port, and the kernel spreads connections
    bool ipv6_only = false;     ///< ":port" and "[::]:port" take IPv6 alone
    bool remove_path = true;    ///< of a Unix socket: close() unlinks the file that listening has made
    bool no_delay = true;       ///< for what is accepted
    net::keep_alive keep_alive{};  ///< for what is accepted
};

/// Accepts connections.
class tcp_listener : public io::handle {
public:
    /// Empty.
    tcp_listener() noexcept = default;
    WEFT_API tcp_listener(io::detail::fd_ptr f, const listen_options& options) noexcept;
    tcp_listener(tcp_listener&&) noexcept = default;
    tcp_listener& operator=(tcp_listener&&) noexcept = default;

    /// The next connection; waits for one. Goes on over what is the other side's fault (a connection that is gone
    /// before it was accepted). When descriptors or memory have run out it reports so once on stderr and tries again,
    /// 5 ms to 1 s later, until it succeeds, the deadline passes or close() is called.
    [[nodiscard]] tcp_conn accept()
    {
        return io::detail::or_throw("weft::net: accept", [&](std::error_code& ec) { return accept(ec); });
    }
    [[nodiscard]] WEFT_API tcp_conn accept(std::error_code& ec) noexcept;

    /// Where it listens; with the port that the system has chosen.
    [[nodiscard]] WEFT_API address local_address() const noexcept;

private:
    listen_options options_{};
};

/// Listens at `where`. A name is looked up, and its first address taken.
[[nodiscard]] WEFT_API tcp_listener listen(std::string_view where, const listen_options& options = {});
[[nodiscard]] WEFT_API tcp_listener listen(std::string_view where, const listen_options& options, std::error_code& ec);
[[nodiscard]] inline tcp_listener listen(std::string_view where, std::error_code& ec)
{
    return listen(where, {}, ec);
}

/// Connects to `where`, never to itself. A name is looked up, and its addresses are tried by RFC 8305 ("happy
/// eyeballs"): IPv6 and IPv4 in turns, another one each 250 ms, until one answers. Without any answer the system gives
/// up after some minutes; with `ctx`, when it ends: with ctx.err().
[[nodiscard]] WEFT_API tcp_conn dial(std::string_view where, const context& ctx = {});
[[nodiscard]] WEFT_API tcp_conn dial(std::string_view where, const context& ctx, std::error_code& ec);
[[nodiscard]] inline tcp_conn dial(std::string_view where, std::error_code& ec)
{
    return dial(where, {}, ec);
}

/// Takes over a descriptor, see weft::io::adopt().
using io::adopt;

// --- Unix sockets

/// Who is at the other end of a Unix socket: of the process that connected, or listened.
struct peer_credentials {
    int pid = 0;
    unsigned uid = 0;
    unsigned gid = 0;
};

/// A connection between processes of this machine.
class unix_conn : public conn {
public:
    using conn::conn;

    /// Who was there when the connection was made.
    [[nodiscard]] peer_credentials peer() const
    {
        return io::detail::or_throw("weft::net: peer", [&](std::error_code& ec) { return peer(ec); });
    }
    [[nodiscard]] WEFT_API peer_credentials peer(std::error_code& ec) const noexcept;
};

/// Accepts connections at a path. close() and the destructor remove the file that listening has made there, not
/// another one that has its name by then, nor with listen_options::remove_path off.
class unix_listener : public io::handle {
public:
    /// Empty.
    unix_listener() noexcept = default;
    explicit unix_listener(io::detail::fd_ptr f) noexcept : io::handle(std::move(f)) {}
    unix_listener(unix_listener&&) noexcept = default;
    unix_listener& operator=(unix_listener&&) noexcept = default;

    /// As tcp_listener::accept().
    [[nodiscard]] unix_conn accept()
    {
        return io::detail::or_throw("weft::net: accept", [&](std::error_code& ec) { return accept(ec); });
    }
    [[nodiscard]] WEFT_API unix_conn accept(std::error_code& ec) noexcept;
    [[nodiscard]] WEFT_API address local_address() const noexcept;
};

/// Listens at `path` ("@name": an abstract one, without a file). A file that is there already is an error
/// (std::errc::address_in_use).
[[nodiscard]] WEFT_API unix_listener listen_unix(std::string_view path, const listen_options& options = {});
[[nodiscard]] WEFT_API unix_listener listen_unix(std::string_view path, const listen_options& options,
                                                 std::error_code& ec);
[[nodiscard]] inline unix_listener listen_unix(std::string_view path, int backlog)
{
    return listen_unix(path, listen_options{.backlog = backlog});
}
[[nodiscard]] inline unix_listener listen_unix(std::string_view path, int backlog, std::error_code& ec)
{
    return listen_unix(path, listen_options{.backlog = backlog}, ec);
}
/// Connects to who listens at `path`.
[[nodiscard]] WEFT_API unix_conn dial_unix(std::string_view path, const context& ctx = {});
[[nodiscard]] WEFT_API unix_conn dial_unix(std::string_view path, const context& ctx, std::error_code& ec);

/// Two connected ends without an address.
struct unix_ends {
    unix_conn first;
    unix_conn second;
};
[[nodiscard]] WEFT_API unix_ends unix_pair();

// --- UDP

/// A datagram to be received: where to put it, and what has come.
struct received {
    std::span<std::byte> buffer{};  ///< set by the caller
    std::size_t size = 0;           ///< of the datagram; more than buffer.size() when its end did not fit and is lost
    address from{};
};
/// A datagram to be sent.
struct to_send {
    std::span<const std::byte> bytes{};
    address to{};  ///< none: to the address that the socket is connected with
};

/// A UDP socket. Datagrams are received and sent whole; each wait is that of one reader or one writer.
class udp_conn : public io::handle {
public:
    /// Empty.
    udp_conn() noexcept = default;
    explicit udp_conn(io::detail::fd_ptr f) noexcept : io::handle(std::move(f)) {}
    udp_conn(udp_conn&&) noexcept = default;
    udp_conn& operator=(udp_conn&&) noexcept = default;

    /// Waits for a datagram. Returns its size, which is more than to.size() when its end did not fit and is lost.
    std::size_t receive(std::span<std::byte> to, address* from = nullptr)
    {
        return io::detail::or_throw("weft::net: receive", [&](std::error_code& ec) { return receive(to, from, ec); });
    }
    WEFT_API std::size_t receive(std::span<std::byte> to, address* from, std::error_code& ec) noexcept;
    /// Sends a datagram to the address that the socket is connected with.
    void send(std::span<const std::byte> bytes) { send_to(bytes, {}); }
    void send(std::span<const std::byte> bytes, std::error_code& ec) noexcept { send_to(bytes, {}, ec); }
    /// Sends a datagram to `to`.
    void send_to(std::span<const std::byte> bytes, const address& to)
    {
        io::detail::or_throw("weft::net: send", [&](std::error_code& ec) { send_to(bytes, to, ec); });
    }
    WEFT_API void send_to(std::span<const std::byte> bytes, const address& to, std::error_code& ec) noexcept;

    /// Waits for a datagram, and takes all that are there then, up to as many as there are in `into`, in one system
    /// call for each 32. Returns how many. An error behind some datagrams is that of the next call.
    std::size_t receive_many(std::span<received> into)
    {
        return io::detail::or_throw("weft::net: receive", [&](std::error_code& ec) { return receive_many(into, ec); });
    }
    WEFT_API std::size_t receive_many(std::span<received> into, std::error_code& ec) noexcept;
    /// Sends all, in one system call for each 32; returns how many. With an error: how many before it.
    std::size_t send_many(std::span<const to_send> datagrams)
    {
        return io::detail::or_throw("weft::net: send", [&](std::error_code& ec) { return send_many(datagrams, ec); });
    }
    WEFT_API std::size_t send_many(std::span<const to_send> datagrams, std::error_code& ec) noexcept;

    /// None when it is closed.
    [[nodiscard]] WEFT_API address local_address() const noexcept;
    /// None unless it was made by dial_udp().
    [[nodiscard]] WEFT_API address remote_address() const noexcept;
};

/// A UDP socket at `where`; of the options those of addresses count.
[[nodiscard]] WEFT_API udp_conn listen_udp(std::string_view where, const listen_options& options = {});
[[nodiscard]] WEFT_API udp_conn listen_udp(std::string_view where, const listen_options& options, std::error_code& ec);
/// A UDP socket that sends to, and receives from, `where` alone, which is never its own address. A refusal of the other
/// side (ICMP) is an error of the next call.
[[nodiscard]] WEFT_API udp_conn dial_udp(std::string_view where, const context& ctx = {});
[[nodiscard]] WEFT_API udp_conn dial_udp(std::string_view where, const context& ctx, std::error_code& ec);

// --- names

/// What can come of a look-up. Converts to std::error_code.
enum class lookup_errc : int {
    not_found = 1,  ///< there is no such name, or it has no address
    try_again,      ///< no server has answered, or only that it can't for now
    failed,         ///< the servers' answer makes no sense, or the name does not
};
/// The category of lookup_errc, named "weft.lookup".
[[nodiscard]] WEFT_API const std::error_category& lookup_category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(lookup_errc e) noexcept
{
    return {static_cast<int>(e), lookup_category()};
}

/// The addresses of `host`, with port 0, the best one first (RFC 6724); numeric ones are returned as they are, and
/// "localhost" and what ends in ".localhost", in any case, is this machine. What ends in a number and is no address of
/// four decimal parts without leading zeros ("0127.0.0.1", "127.1") is refused: lookup_errc::failed. With the
/// target weft::dns linked in, names go through c-ares (/etc/hosts, /etc/resolv.conf), any number of them at once on
/// the poller; without, through getaddrinfo on up to 16 threads. `ctx` ends the wait, with ctx.err().
[[nodiscard]] WEFT_API std::vector<address> lookup(std::string_view host, const context& ctx = {});
[[nodiscard]] WEFT_API std::vector<address> lookup(std::string_view host, const context& ctx, std::error_code& ec);

namespace detail {

/// Looks a name up that is not numeric. For weft::dns.
using resolver = std::error_code (*)(const std::string& host, const context& ctx, std::vector<address>& found);
WEFT_API void set_resolver(resolver r) noexcept;

}  // namespace detail

}  // namespace weft::net

template <>
struct std::is_error_code_enum<weft::net::lookup_errc> : std::true_type {};
