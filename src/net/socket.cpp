#include "net/socket.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "base/check.hpp"
#include "sys/io.hpp"
#include "sys/poll.hpp"

namespace weft::net {

namespace {

template <class Name>
address name_of(io::fd* f, Name&& name) noexcept
{
    address_slot slot;
    if (f == nullptr || f->with_number([&](int number) { return name(number, slot.at(), &slot.size); }) != 0)
        return {};
    return slot.get();
}

int seconds_of(std::chrono::seconds s) noexcept
{
    constexpr std::int64_t most = 32'767;  // the kernel's
    return static_cast<int>(std::clamp<std::int64_t>(s.count(), 1, most));
}

/// Descriptors or memory have run out: that may be over soon.
bool is_shortage(int error) noexcept
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/// The fault of a connection that was not accepted yet (accept(2) has the list): the next one may be fine.
bool concerns_one_connection(int error) noexcept
{
    switch (error) {
        case ECONNABORTED:
        case EPROTO:
        case ENOPROTOOPT:
        case ENETDOWN:
        case ENETUNREACH:
        case ENONET:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case EPERM:  // by a firewall's rule
            return true;
        default:
            return false;
    }
}

void report_shortage(int error) noexcept
{
    static base::atomic<bool> reported{false};
    if (!reported.exchange(true))
        base::report("weft: accept: %s; trying again until it works (see ulimit -n, fs.file-max)\n",
                     std::strerror(error));
}

}  // namespace

address local_address_of(io::fd* f) noexcept
{
    return name_of(f, &sys::local_name);
}

address remote_address_of(io::fd* f) noexcept
{
    return name_of(f, &sys::remote_name);
}

int set_keep_alive(int number, const keep_alive& how) noexcept
{
    const bool on = how.idle.count() > 0;
    int error = sys::set_option(number, SOL_SOCKET, SO_KEEPALIVE, on ? 1 : 0);
    if (on && error == 0)
        error = sys::set_option(number, IPPROTO_TCP, TCP_KEEPIDLE, seconds_of(how.idle));
    if (on && error == 0)
        error = sys::set_option(number, IPPROTO_TCP, TCP_KEEPINTVL, seconds_of(how.interval));
    if (on && error == 0)
        error = sys::set_option(number, IPPROTO_TCP, TCP_KEEPCNT, std::clamp(how.probes, 1, 127));
    return error;
}

void prepare(int number, bool no_delay, const keep_alive& alive) noexcept
{
    if (no_delay)
        (void)sys::set_option(number, IPPROTO_TCP, TCP_NODELAY, 1);
    if (alive.idle.count() > 0)
        (void)set_keep_alive(number, alive);
}

int open_listener(const address& where, const listen_options& options) noexcept
{
    const int number = sys::open_socket(domain_of(where), SOCK_STREAM, 0);
    if (number < 0)
        return number;
    int error = 0;
    const auto option = [&](int level, int name, bool on)
    {
        if (error == 0)
            error = sys::set_option(number, level, name, on ? 1 : 0);
    };
    if (where.kind() == address::family::ipv6)
        option(IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only);
    if (where.kind() != address::family::unix_socket) {
        option(SOL_SOCKET, SO_REUSEADDR, options.reuse_address);
        if (options.reuse_port)
            option(SOL_SOCKET, SO_REUSEPORT, true);
        // Accepted sockets inherit these: no system call for each.
        prepare(number, options.no_delay, options.keep_alive);
    }
    if (error == 0)
        error = sys::bind_socket(number, sockaddr_of(where), static_cast<socklen_t>(where.size()));
    if (error == 0)
        error = sys::listen_on(number, options.backlog);
    if (error == 0)
        return number;
    sys::close_descriptor(number);
    return error;
}

void remove_path_at_close(io::fd& f, const address& where)
{
    if (where.kind() != address::family::unix_socket)
        return;
    if (const std::string path = where.host(); !path.starts_with('@'))
        if (std::optional<sys::named_file> file = sys::find_file(path))
            f.remove_at_close(std::move(*file));
}

bool is_connected_to_itself(int number) noexcept
{
    address_slot near;
    address_slot far;
    return sys::local_name(number, near.at(), &near.size) == 0 && sys::remote_name(number, far.at(), &far.size) == 0 &&
           near.get() == far.get();
}

namespace {

/// Until it is connected: 0 or an errno.
int connect_by(const io::fd::side_guard& mine, const io::fd& f, const address& to) noexcept
{
    const auto size = static_cast<socklen_t>(to.size());
    int error = -sys::connect_socket(f.number(), sockaddr_of(to), size);
    // A Unix socket whose listener has no room says EAGAIN, and nothing tells when there is some.
    constexpr std::int64_t longest_pause = 50'000'000;  // ns
    for (std::int64_t pause = 1'000'000; error == EAGAIN; pause = std::min(pause * 2, longest_pause)) {
        if (const int failed = mine.pause(pause); failed != 0)
            return failed;
        error = -sys::connect_socket(f.number(), sockaddr_of(to), size);
    }
    while (error == EINPROGRESS || error == EALREADY) {
        if (const int failed = mine.wait(); failed != 0)
            return failed;
        error = sys::take_error(f.number());
        if (error != 0)
            continue;
        // A wake-up proves nothing. Connected is what has a remote end; one that has gone again has had one.
        address_slot slot;
        const int named = sys::remote_name(f.number(), slot.at(), &slot.size);
        if (named == 0)
            return 0;
        error = named == -ENOTCONN ? EINPROGRESS : -named;
    }
    return error == EISCONN ? 0 : error;
}

}  // namespace

int connect_stream(io::fd& f, const address& to) noexcept
{
    const io::fd::side_guard mine(f, io::poll_side::write);
    if (mine.error() != 0)
        return mine.error();
    const int error = connect_by(mine, f, to);
    if (error != 0 || to.kind() == address::family::unix_socket || !is_connected_to_itself(f.number()))
        return error;
    // Nothing listens at the port, which may be that of a server about to start: a reset leaves nothing there.
    const ::linger at_once{1, 0};
    (void)sys::set_option(f.number(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    return ECONNREFUSED;
}

int accept_next(io::fd& f) noexcept
{
    constexpr std::int64_t first_pause = 5'000'000;        // ns
    constexpr std::int64_t longest_pause = 1'000'000'000;  // ns
    std::int64_t pause = first_pause;
    const io::fd::side_guard mine(f, io::poll_side::read);
    if (mine.error() != 0)
        return -mine.error();
    for (;;) {
        const int got =
            static_cast<int>(mine.until_done([](int number) { return sys::accept_from(number, nullptr, nullptr); }));
        if (got >= 0)
            return got;
        if (concerns_one_connection(-got))
            continue;
        if (!is_shortage(-got))
            return got;
        report_shortage(-got);
        if (const int error = mine.pause(pause); error != 0)
            return -error;
        pause = std::min(pause * 2, longest_pause);
    }
}

}  // namespace weft::net
