#include "sys/socket.hpp"

#include <cerrno>

#include "sys/retry.hpp"

namespace weft::sys {

int open_socket(int family, int type, int protocol) noexcept
{
    return uninterrupted([&] { return ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol); });
}

int open_socket_pair(int family, int type, int (&ends)[2]) noexcept
{
    return uninterrupted([&] { return ::socketpair(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends); });
}

int bind_socket(int fd, const sockaddr* to, socklen_t n) noexcept
{
    return uninterrupted([&] { return ::bind(fd, to, n); });
}

int listen_on(int fd, int backlog) noexcept
{
    return uninterrupted([&] { return ::listen(fd, backlog); });
}

int connect_socket(int fd, const sockaddr* to, socklen_t n) noexcept
{
    if (::connect(fd, to, n) == 0)
        return 0;
    return errno == EINTR ? -EINPROGRESS : -errno;  // interrupted, it goes on
}

int accept_from(int fd, sockaddr* peer, socklen_t* n) noexcept
{
    return uninterrupted([&] { return ::accept4(fd, peer, n, SOCK_NONBLOCK | SOCK_CLOEXEC); });
}

int local_name(int fd, sockaddr* name, socklen_t* n) noexcept
{
    return uninterrupted([&] { return ::getsockname(fd, name, n); });
}

int remote_name(int fd, sockaddr* name, socklen_t* n) noexcept
{
    return uninterrupted([&] { return ::getpeername(fd, name, n); });
}

int shut_down(int fd, int how) noexcept
{
    return uninterrupted([&] { return ::shutdown(fd, how); });
}

int get_option(int fd, int level, int name, void* value, socklen_t* n) noexcept
{
    return uninterrupted([&] { return ::getsockopt(fd, level, name, value, n); });
}

int set_option(int fd, int level, int name, const void* value, socklen_t n) noexcept
{
    return uninterrupted([&] { return ::setsockopt(fd, level, name, value, n); });
}

int take_error(int fd) noexcept
{
    int error = 0;
    socklen_t n = sizeof error;
    const int failed = get_option(fd, SOL_SOCKET, SO_ERROR, &error, &n);
    return failed != 0 ? -failed : error;
}

ssize_t detail::send_by_libc(int fd, const void* data, std::size_t n) noexcept
{
    return or_errno(::send(fd, data, n, MSG_NOSIGNAL));
}

ssize_t detail::recv_by_libc(int fd, void* data, std::size_t n) noexcept
{
    return or_errno(::recv(fd, data, n, 0));
}

ssize_t recv_datagram(int fd, void* data, std::size_t n, sockaddr* from, socklen_t* from_size) noexcept
{
    return uninterrupted([&] { return ::recvfrom(fd, data, n, MSG_TRUNC, from, from_size); });
}

ssize_t send_message(int fd, const msghdr* message) noexcept
{
    return uninterrupted([&] { return ::sendmsg(fd, message, MSG_NOSIGNAL); });
}

ssize_t recv_message(int fd, msghdr* message) noexcept
{
    return uninterrupted([&] { return ::recvmsg(fd, message, MSG_CMSG_CLOEXEC); });
}

int send_messages(int fd, mmsghdr* messages, unsigned n) noexcept
{
    return uninterrupted([&] { return ::sendmmsg(fd, messages, n, MSG_NOSIGNAL); });
}

int recv_messages(int fd, mmsghdr* messages, unsigned n) noexcept
{
    return uninterrupted([&] { return ::recvmmsg(fd, messages, n, MSG_DONTWAIT | MSG_TRUNC, nullptr); });
}

}  // namespace weft::sys
