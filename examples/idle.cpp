// Holds idle connections, and says how much memory of this process each takes, before and after their goroutines are
// hibernated: both ends of each are here, the server's with a goroutine that waits for what never comes.
//
// usage: idle [CONNECTIONS]      (default: 10000; each needs two descriptors)
#include <sys/resource.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "weft/testing.hpp"
#include "weft/weft.hpp"

namespace {

namespace net = weft::net;

/// Resident memory of this process and its page tables, bytes.
std::size_t user_memory()
{
    std::ifstream status("/proc/self/status");
    std::size_t sum = 0;
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmRSS:") || line.starts_with("VmPTE:"))
            sum += std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 10) * 1024;
    return sum;
}

/// What the runtime does by itself when they have been parked for options::hibernate_after.
void hibernate_and_weigh(std::size_t connections, std::size_t before)
{
    weft::testing::hibernate_parked();
    const weft::runtime_stats now = weft::stats();
    if (now.hibernation_off != nullptr)
        std::printf("not hibernated: %s\n", now.hibernation_off);
    else
        std::printf("hibernated: %zu bytes each\n", (user_memory() - before) / connections);
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
    const std::size_t before = user_memory();
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
    std::printf("%zu idle connections, %zu bytes each\n", answers, (user_memory() - before) / count);
    hibernate_and_weigh(count, before);
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
