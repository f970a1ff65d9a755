// The client of tools/net_bench.py where wrk can't be used: one thread on epoll, independent of weft. Each connection
// sends a request, waits for the end of its answer, and so on.
//
// usage: load talk|accept|idle PORT CONNECTIONS SECONDS REQUEST END
//
//   talk    all connections talk for SECONDS
//   accept  each connection is closed (reset) after its first answer, and another one made
//   idle    one request each, and then nothing: says "holding N" and keeps them until stdin ends
//
// An answer is over with END (the "\r" and "\n" in REQUEST and END are written as such). Prints
// "RESULT <requests or connections a second> <p50 us> <p99 us> <p999 us> <errors>".
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace {

using steady = std::chrono::steady_clock;

[[noreturn]] void fail(const char* what)
{
    throw std::system_error(errno, std::generic_category(), what);
}

std::string unescape(std::string_view text)
{
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) {
            ++i;
            out += text[i] == 'n' ? '\n' : text[i] == 'r' ? '\r' : text[i];
        } else {
            out += text[i];
        }
    }
    return out;
}

struct plan {
    enum class kind { talk, accept, idle } what = kind::talk;
    std::uint16_t port = 0;
    std::size_t connections = 0;
    std::chrono::seconds time{};
    std::string request{};
    std::string end{};
};

plan parse(int argc, char** argv)
{
    if (argc != 7)
        throw std::invalid_argument("usage: load talk|accept|idle PORT CONNECTIONS SECONDS REQUEST END");
    plan p;
    const std::string_view what = argv[1];
    if (what == "accept")
        p.what = plan::kind::accept;
    else if (what == "idle")
        p.what = plan::kind::idle;
    else if (what != "talk")
        throw std::invalid_argument("load: talk, accept or idle");
    p.port = static_cast<std::uint16_t>(std::stoul(argv[2]));
    p.connections = std::stoul(argv[3]);
    p.time = std::chrono::seconds(std::stoul(argv[4]));
    p.request = unescape(argv[5]);
    p.end = unescape(argv[6]);
    return p;
}

class client {
public:
    explicit client(const plan& p) : plan_(p), conns_(p.connections), epoll_(::epoll_create1(EPOLL_CLOEXEC))
    {
        if (epoll_ < 0)
            fail("epoll_create1");
    }
    client(const client&) = delete;
    client& operator=(const client&) = delete;
    ~client() { ::close(epoll_); }

    void run()
    {
        // Not all at once: the server's queue of connections that it has not accepted yet is finite.
        constexpr std::size_t at_once = 256;
        std::size_t opened = 0;
        answered_ = 0;
        while (answered_ < conns_.size()) {
            while (opened < conns_.size() && opened < answered_ + errors_ + at_once)
                open(opened++);
            if (errors_ > 0)
                throw std::runtime_error("load: a connection has failed");
            step();
        }
        if (plan_.what == plan::kind::idle) {
            std::printf("holding %zu\n", conns_.size());
            std::fflush(stdout);
            char c;
            while (::read(STDIN_FILENO, &c, 1) > 0) {
            }
            return;
        }
        latencies_.clear();
        running_ = true;
        for (std::size_t i = 0; i < conns_.size(); ++i)
            plan_.what == plan::kind::talk ? ask(i) : reopen(i);
        const auto begin = steady::now();
        while (steady::now() < begin + plan_.time)
            step();
        report(std::chrono::duration<double>(steady::now() - begin).count());
    }

private:
    struct conn {
        int fd = -1;
        steady::time_point since{};
        std::string tail{};  ///< the last bytes of the answer so far, no more than END has
    };

    void open(std::size_t i)
    {
        conn& c = conns_[i];
        c.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c.fd < 0)
            fail("socket");
        const int on = 1;
        ::setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ::setsockopt(c.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        // An address has some 28,000 ports.
        constexpr std::size_t an_address = 10'000;
        sockaddr_in from{};
        from.sin_family = AF_INET;
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + static_cast<std::uint32_t>(i / an_address));
        if (::bind(c.fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0)
            fail("bind");
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(plan_.port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        c.since = steady::now();
        if (::connect(c.fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS)
            fail("connect");
        epoll_event e{};
        e.events = EPOLLIN | EPOLLOUT | EPOLLET;
        e.data.u64 = i;
        if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &e) != 0)
            fail("epoll_ctl");
        c.tail.assign(1, '\0');  // not asked yet
    }
    void reopen(std::size_t i)
    {
        conn& c = conns_[i];
        const linger hard{1, 0};  // no port in TIME_WAIT
        ::setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        ::close(c.fd);
        open(i);
    }

    void ask(std::size_t i)
    {
        conn& c = conns_[i];
        c.tail.clear();
        if (plan_.what == plan::kind::talk)
            c.since = steady::now();
        if (::send(c.fd, plan_.request.data(), plan_.request.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(plan_.request.size()))
            ++errors_;  // small requests fit
    }

    void step()
    {
        std::array<epoll_event, 512> events;
        const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 100);
        for (int k = 0; k < n; ++k) {
            const epoll_event& e = events[static_cast<std::size_t>(k)];
            const std::size_t i = e.data.u64;
            if ((e.events & (EPOLLERR | EPOLLHUP)) != 0) {
                ++errors_;
                reopen(i);
                continue;
            }
            if (conns_[i].tail == std::string_view("\0", 1))
                ask(i);
            if ((e.events & EPOLLIN) != 0)
                hear(i);
        }
    }

    void hear(std::size_t i)
    {
        conn& c = conns_[i];
        std::array<char, 16'384> buffer;
        for (;;) {
            const ssize_t n = ::read(c.fd, buffer.data(), buffer.size());
            if (n < 0 && errno == EAGAIN)
                return;
            if (n <= 0) {
                ++errors_;
                reopen(i);
                return;
            }
            c.tail.append(buffer.data(), static_cast<std::size_t>(n));
            if (c.tail.ends_with(plan_.end))
                break;
            if (c.tail.size() > plan_.end.size())
                c.tail.erase(0, c.tail.size() - plan_.end.size());
        }
        ++answered_;
        latencies_.push_back(static_cast<std::uint32_t>(
            std::min<std::int64_t>((steady::now() - c.since) / std::chrono::nanoseconds(1), UINT32_MAX)));
        if (!running_)
            return;
        plan_.what == plan::kind::talk ? ask(i) : reopen(i);
    }

    void report(double seconds)
    {
        if (latencies_.empty())
            throw std::runtime_error("load: no answers");
        std::sort(latencies_.begin(), latencies_.end());
        const auto at = [&](double q)
        { return latencies_[static_cast<std::size_t>(q * static_cast<double>(latencies_.size() - 1))] / 1'000; };
        std::printf("RESULT %.1f %u %u %u %zu\n", static_cast<double>(latencies_.size()) / seconds, at(0.5), at(0.99),
                    at(0.999), errors_);
    }

    const plan& plan_;
    std::vector<conn> conns_;
    int epoll_;
    bool running_ = false;
    std::size_t answered_ = 0;
    std::size_t errors_ = 0;
    std::vector<std::uint32_t> latencies_{};  ///< ns
};

}  // namespace

int main(int argc, char** argv)
{
    try {
        const plan p = parse(argc, argv);
        client(p).run();
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
