// System calls on sockets. All return what the call does, or a negative errno; all go on after EINTR. Sockets are
// non-blocking and not inherited; sending never raises SIGPIPE.
#pragma once

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include <cstddef>

#include "sys/syscall.hpp"

namespace weft::sys {

[[nodiscard]] int open_socket(int family, int type, int protocol) noexcept;
[[nodiscard]] int open_socket_pair(int family, int type, int (&ends)[2]) noexcept;
[[nodiscard]] int bind_socket(int fd, const sockaddr* to, socklen_t n) noexcept;
[[nodiscard]] int listen_on(int fd, int backlog) noexcept;
/// -EINPROGRESS (also when a signal came): becomes writable when it is settled.
[[nodiscard]] int connect_socket(int fd, const sockaddr* to, socklen_t n) noexcept;
[[nodiscard]] int accept_from(int fd, sockaddr* peer, socklen_t* n) noexcept;
[[nodiscard]] int local_name(int fd, sockaddr* name, socklen_t* n) noexcept;
[[nodiscard]] int remote_name(int fd, sockaddr* name, socklen_t* n) noexcept;
[[nodiscard]] int shut_down(int fd, int how) noexcept;
[[nodiscard]] int get_option(int fd, int level, int name, void* value, socklen_t* n) noexcept;
[[nodiscard]] int set_option(int fd, int level, int name, const void* value, socklen_t n) noexcept;
[[nodiscard]] inline int set_option(int fd, int level, int name, int value) noexcept
{
    return set_option(fd, level, name, &value, sizeof value);
}
/// The error that the socket has kept, which is forgotten; 0: none.
[[nodiscard]] int take_error(int fd) noexcept;

namespace detail {
[[nodiscard]] ssize_t send_by_libc(int fd, const void* data, std::size_t n) noexcept;
[[nodiscard]] ssize_t recv_by_libc(int fd, void* data, std::size_t n) noexcept;
}  // namespace detail

// These two may be interrupted: EINTR.
[[nodiscard]] inline ssize_t send_some(int fd, const void* data, std::size_t n) noexcept
{
    return direct_calls ? direct_call(SYS_sendto, fd, data, n, MSG_NOSIGNAL, nullptr, 0)
                        : detail::send_by_libc(fd, data, n);
}
[[nodiscard]] inline ssize_t recv_some(int fd, void* data, std::size_t n) noexcept
{
    return direct_calls ? direct_call(SYS_recvfrom, fd, data, n, 0, nullptr, nullptr)
                        : detail::recv_by_libc(fd, data, n);
}
/// Returns the datagram's size, which may be more than `n`.
[[nodiscard]] ssize_t recv_datagram(int fd, void* data, std::size_t n, sockaddr* from, socklen_t* from_size) noexcept;
[[nodiscard]] ssize_t send_message(int fd, const msghdr* message) noexcept;
[[nodiscard]] ssize_t recv_message(int fd, msghdr* message) noexcept;
/// sendmmsg and recvmmsg: how many messages.
[[nodiscard]] int send_messages(int fd, mmsghdr* messages, unsigned n) noexcept;
[[nodiscard]] int recv_messages(int fd, mmsghdr* messages, unsigned n) noexcept;

}  // namespace weft::sys
