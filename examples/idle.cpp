// Holds idle connections, and says how much memory of this process each takes: both ends of each are here, the server's
// with a goroutine that waits for what never comes.
//
// usage: idle [CONNECTIONS]      (default: 10000; each needs two descriptors)
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "weft/weft.hpp"

namespace {

namespace net = weft::net;

/// Resident memory of this process, bytes.
std::size_t resident()
{
    std::ifstream statm("/proc/self/statm");
    std::size_t size = 0;
    std::size_t pages = 0;
    statm >> size >> pages;
    return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/// As many descriptors as the system gives us.
std::size_t raise_descriptor_limit()
{
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

void serve(net::tcp_conn& conn)
{
    std::error_code ec;
    std::array<std::byte, 64> buffer{};
    while (const std::size_t n = conn.read(buffer, ec))
        conn.write(std::span(buffer).first(n), ec);
}

int hold(std::size_t count)
{
    // Linux gives a client's address some 28,000 ports: so several addresses.
    constexpr std::size_t a_listener = 10'000;
    std::vector<net::tcp_listener> listeners;
    weft::wait_group accepting;
    weft::wait_group serving;
    const std::size_t before = resident();
    for (std::size_t i = 0; i * a_listener < count; ++i)
        listeners.push_back(net::listen("127.0.0." + std::to_string(i + 1) + ":0"));
    for (net::tcp_listener& l : listeners)
        accepting.go(
            [&]
            {
                std::error_code ec;
                for (;;) {
                    net::tcp_conn conn = l.accept(ec);
                    if (ec)
                        return;
                    serving.go([conn = std::move(conn)]() mutable { serve(conn); });
                }
            });

    std::vector<net::tcp_conn> clients;
    clients.reserve(count);
    for (std::size_t i = 0; i < count; ++i)
        clients.push_back(net::dial(listeners[i / a_listener].local_address().to_string()));
    // One word through each: all are accepted, and have run.
    std::size_t answers = 0;
    for (net::tcp_conn& c : clients)
        c.write("x");
    for (net::tcp_conn& c : clients) {
        std::array<std::byte, 1> answer{};
        answers += c.read(answer);
    }
    std::printf("%zu idle connections, %zu bytes each\n", answers, (resident() - before) / count);
    for (net::tcp_listener& l : listeners)
        l.close();
    accepting.wait();
    clients.clear();
    serving.wait();
    std::printf("closed\n");
    return answers == count ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv)
{
    const std::size_t count = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10'000;
    if (argc > 2 || count < 1 || count > 1'000'000) {
        std::fprintf(stderr, "usage: idle [CONNECTIONS], from 1 to 1000000\n");
        return 2;
    }
    const std::size_t descriptors = raise_descriptor_limit();
    if (2 * count + 100 > descriptors) {
        std::fprintf(stderr, "idle: %zu connections need %zu descriptors, and ulimit -Hn is %zu\n", count,
                     2 * count + 100, descriptors);
        return 1;
    }
    return weft::run([count] { return hold(count); });
}
