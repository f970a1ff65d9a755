// The floor under the servers of tools/net_bench.py: a loop on edge-triggered epoll and nothing else, with the fewest
// system calls that do the work. What it needs for a request is the kernel's and its client's part, which no runtime
// can save. Knows nothing of weft.
//
// usage: bare_peer raw|echo      (prints where it listens on 127.0.0.1, serves until killed)
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace {

constexpr std::string_view answer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, World!\n";
constexpr std::string_view request_end = "\r\n\r\n";

[[noreturn]] void fail(const char* what)
{
    throw std::system_error(errno, std::generic_category(), what);
}

int checked(int result, const char* what)
{
    if (result < 0)
        fail(what);
    return result;
}

struct connection {
    int fd = -1;
    std::size_t held = 0;
    std::array<char, 4'096> buffer{};
};

/// What there is to say to what the buffer holds, and takes that out of it.
class responder {
public:
    explicit responder(std::string_view kind) : echo_(kind == "echo")
    {
        if (!echo_ && kind != "raw")
            throw std::invalid_argument("usage: bare_peer raw|echo");
    }
    std::string_view respond(connection& c)
    {
        std::string_view text(c.buffer.data(), c.held);
        if (echo_) {
            c.held = 0;
            return text;
        }
        out_.clear();
        for (std::size_t at = text.find(request_end); at != std::string_view::npos; at = text.find(request_end)) {
            text.remove_prefix(at + request_end.size());
            out_ += answer;
        }
        text.copy(c.buffer.data(), text.size());
        c.held = text.size();
        return out_;
    }

private:
    bool echo_;
    std::string out_;
};

/// One read and one write, which take all that there is and give it all away. False: the connection is at its end, or
/// its client is not as fast as ours.
bool serve(connection& c, responder& how)
{
    const std::span free = std::span(c.buffer).subspan(c.held);
    const ssize_t n = ::recv(c.fd, free.data(), free.size(), 0);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return false;
    c.held += static_cast<std::size_t>(n);
    const std::string_view out = how.respond(c);
    return out.empty() || ::send(c.fd, out.data(), out.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(out.size());
}

void accept_all(int listener, int poller)
{
    for (int fd = 0; (fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        const int on = 1;
        checked(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
        auto c = std::make_unique<connection>();
        c->fd = fd;
        epoll_event wanted{};
        wanted.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
        wanted.data.ptr = c.get();
        checked(::epoll_ctl(poller, EPOLL_CTL_ADD, fd, &wanted), "epoll_ctl");
        (void)c.release();  // its event has it from now on
    }
    if (errno != EAGAIN)
        fail("accept4");
}

void run(std::string_view kind)
{
    responder how(kind);
    const int listener = checked(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* const address = reinterpret_cast<sockaddr*>(&at);
    checked(::bind(listener, address, size), "bind");
    checked(::listen(listener, 4'096), "listen");
    checked(::getsockname(listener, address, &size), "getsockname");
    std::printf("listening on 127.0.0.1:%d\n", ntohs(at.sin_port));
    std::fflush(stdout);

    const int poller = checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    checked(::epoll_ctl(poller, EPOLL_CTL_ADD, listener, &wanted), "epoll_ctl");
    for (std::array<epoll_event, 128> events{};;) {
        const int n = ::epoll_wait(poller, events.data(), static_cast<int>(events.size()), -1);
        if (n < 0 && errno != EINTR)
            fail("epoll_wait");
        for (const epoll_event& e : std::span(events).first(static_cast<std::size_t>(n < 0 ? 0 : n))) {
            if (e.data.ptr == nullptr) {
                accept_all(listener, poller);
            } else if (auto* const c = static_cast<connection*>(e.data.ptr); !serve(*c, how)) {
                ::close(c->fd);
                delete c;
            }
        }
    }
}

}  // namespace

int main(int argc, char** argv)
{
    try {
        run(argc == 2 ? argv[1] : "");
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bare_peer: %s\n", problem.what());
        return 1;
    }
}
