// What the kinds of sockets have in common.
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "io/fd.hpp"
#include "sys/socket.hpp"
#include "weft/net.hpp"

namespace weft::net {

[[nodiscard]] inline const sockaddr* sockaddr_of(const address& a) noexcept
{
    return static_cast<const sockaddr*>(a.data());
}
[[nodiscard]] inline int domain_of(const address& a) noexcept
{
    return sockaddr_of(a)->sa_family;
}

/// Where a system call writes an address.
struct address_slot {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;

    [[nodiscard]] sockaddr* at() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
    [[nodiscard]] address get() const noexcept { return {&storage, size}; }
};

[[nodiscard]] address local_address_of(io::fd* f) noexcept;
[[nodiscard]] address remote_address_of(io::fd* f) noexcept;

/// `number`, a fresh socket, as an object; null: no memory, and it is closed.
[[nodiscard]] inline io::detail::fd_ptr own(int number, io::fd::kind what) noexcept
{
    return io::detail::fd_ptr(io::fd::take(number, what).release());
}

/// The options that a new TCP connection gets; errors are ignored, none of them is worth the connection.
void prepare(int number, bool no_delay, const keep_alive& alive) noexcept;
[[nodiscard]] int set_keep_alive(int number, const keep_alive& how) noexcept;

/// Listens on a stream socket at `where`: a descriptor or a negative errno.
[[nodiscard]] int open_listener(const address& where, const listen_options& options) noexcept;
/// A listener at a Unix socket's path takes the file away when it is closed, if it is still the one that it made.
void remove_path_at_close(io::fd& f, const address& where);
/// Connects, waiting: an errno. ECONNREFUSED: also when it would be to itself.
[[nodiscard]] int connect_stream(io::fd& f, const address& to) noexcept;
/// Whether both ends of a connected IP socket are this one. A port of this machine that is free, and is one of those
/// that the kernel chooses from, can be chosen for the very socket that connects to it.
[[nodiscard]] bool is_connected_to_itself(int number) noexcept;
/// The next connection of a listener, as tcp_listener::accept(): a descriptor, or a negative errno.
[[nodiscard]] int accept_next(io::fd& f) noexcept;

}  // namespace weft::net
