// weft::dns: names through c-ares, from servers of our own.
//
// c-ares reads which servers to ask from /etc/resolv.conf. This program stands before its ares_init_options(): the
// real one is called, and then the servers are set to the test's.
#include <ares.h>
#include <dlfcn.h>
#include <netdb.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "../unit/fixture.hpp"

namespace {

using namespace std::chrono_literals;
using weft::net::address;
using weft::net::lookup_errc;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;

class dns_test : public weft::test::fixture {};

std::string server_to_ask;  // "127.0.0.1:port"

}  // namespace

extern "C" int ares_init_options(ares_channel* channel, ares_options* options, int mask)
{
    using function = int(ares_channel*, ares_options*, int);
    static auto* const real = reinterpret_cast<function*>(::dlsym(RTLD_NEXT, "ares_init_options"));
    const int status = real(channel, options, mask);
    if (status != ARES_SUCCESS || server_to_ask.empty())
        return status;
    return ares_set_servers_ports_csv(*channel, server_to_ask.c_str());
}

namespace {

/// A message of RFC 1035.
using message = std::vector<std::uint8_t>;

constexpr std::uint16_t type_a = 1;
constexpr std::uint16_t type_aaaa = 28;
constexpr std::uint8_t server_failure = 2;
constexpr std::uint8_t no_such_name = 3;

void put16(message& m, std::size_t v)
{
    m.push_back(static_cast<std::uint8_t>(v >> 8));
    m.push_back(static_cast<std::uint8_t>(v));
}

struct question {
    std::string name;
    std::uint16_t type = 0;
    std::size_t end = 0;  ///< of it in the message
};

question parse(const message& m)
{
    question q;
    std::size_t at = 12;
    while (at < m.size() && m[at] != 0) {
        const std::size_t n = m[at];
        q.name.append(m.begin() + static_cast<std::ptrdiff_t>(at + 1),
                      m.begin() + static_cast<std::ptrdiff_t>(at + 1 + n));
        q.name += '.';
        at += n + 1;
    }
    q.type = static_cast<std::uint16_t>(m.at(at + 1) << 8 | m.at(at + 2));
    q.end = at + 5;
    return q;
}

message answer_to(const message& asked, const question& q, const std::vector<std::string>& hosts, std::uint8_t code,
                  bool cut_off)
{
    message m(asked.begin(), asked.begin() + static_cast<std::ptrdiff_t>(q.end));
    m[2] = static_cast<std::uint8_t>(0x81 | (cut_off ? 2 : 0));
    m[3] = static_cast<std::uint8_t>(0x80 | code);
    std::fill(m.begin() + 6, m.begin() + 12, std::uint8_t{0});
    for (const std::string& host : hosts) {
        const address a = address::parse(host.find(':') == std::string::npos ? host + ":0" : "[" + host + "]:0");
        const bool v4 = a.kind() == address::family::ipv4;
        if (v4 != (q.type == type_a))
            continue;
        ++m[7];
        put16(m, 0xc00c);  // the question's name
        put16(m, q.type);
        put16(m, 1);
        put16(m, 0);
        put16(m, 60);  // seconds to live
        const std::size_t size = v4 ? 4 : 16;
        put16(m, size);
        const auto* const bytes = static_cast<const std::uint8_t*>(a.data()) + (v4 ? 4 : 8);
        m.insert(m.end(), bytes, bytes + size);
    }
    return m;
}

/// A name server, over UDP and TCP.
class name_server {
public:
    name_server() { server_to_ask = where_; }
    name_server(const name_server&) = delete;
    name_server& operator=(const name_server&) = delete;
    ~name_server()
    {
        server_to_ask.clear();
        udp_.close();
        tcp_.close();
        serving_.wait();
    }

    /// After that what it knows stays the same.
    void start()
    {
        serving_.go([this] { serve_datagrams(); });
        serving_.go([this] { serve_streams(); });
    }

    std::map<std::string, std::vector<std::string>> names{};
    std::set<std::string> broken{};   ///< "server failure"
    std::set<std::string> silent{};   ///< no answer
    std::set<std::string> too_big{};  ///< for a datagram
    std::string held_until{};         ///< no answer before one asks for this name

    std::atomic<std::size_t> asked{0};
    std::atomic<std::size_t> asked_by_stream{0};

private:
    message answer(const message& m, bool by_stream)
    {
        const question q = parse(m);
        if (!by_stream && too_big.contains(q.name))
            return answer_to(m, q, {}, 0, true);
        if (broken.contains(q.name))
            return answer_to(m, q, {}, server_failure, false);
        const auto found = names.find(q.name);
        return found == names.end() ? answer_to(m, q, {}, no_such_name, false)
                                    : answer_to(m, q, found->second, 0, false);
    }
    void serve_datagrams()
    {
        struct held {
            message what;
            address to;
        };
        std::vector<held> held_back;
        bool holds_back = !held_until.empty();
        for (;;) {
            message m(512);
            address from;
            std::error_code ec;
            const std::size_t n = udp_.receive(std::as_writable_bytes(std::span(m)), &from, ec);
            if (ec == std::errc::operation_canceled)
                return;
            m.resize(n);
            ++asked;
            const std::string name = parse(m).name;
            if (silent.contains(name))
                continue;
            held_back.push_back({answer(m, false), from});
            holds_back = holds_back && name != held_until;
            if (holds_back)
                continue;
            for (const held& h : held_back)
                udp_.send_to(std::as_bytes(std::span(h.what)), h.to, ec);
            held_back.clear();
        }
    }
    void serve_streams()
    {
        for (;;) {
            std::error_code ec;
            weft::net::tcp_conn c = tcp_.accept(ec);
            if (ec)
                return;
            std::array<std::uint8_t, 2> size{};
            while (read_all(c, size)) {
                message m(static_cast<std::size_t>(size[0] << 8 | size[1]));
                if (!read_all(c, m))
                    break;
                ++asked_by_stream;
                message out;
                const message a = answer(m, true);
                put16(out, a.size());
                out.insert(out.end(), a.begin(), a.end());
                c.write(std::as_bytes(std::span(out)), ec);
            }
        }
    }
    template <class Buffer>
    static bool read_all(weft::net::tcp_conn& c, Buffer& into)
    {
        std::span<std::byte> left = std::as_writable_bytes(std::span(into));
        std::error_code ec;
        while (!left.empty()) {
            const std::size_t n = c.read(left, ec);
            if (n == 0)
                return false;
            left = left.subspan(n);
        }
        return true;
    }

    weft::net::tcp_listener tcp_ = weft::net::listen("127.0.0.1:0");
    std::string where_ = tcp_.local_address().to_string();
    weft::net::udp_conn udp_ = weft::net::listen_udp(where_);
    weft::wait_group serving_{};
};

std::set<std::string> hosts_of(const std::vector<address>& all)
{
    std::set<std::string> hosts;
    for (const address& a : all) {
        EXPECT_EQ(a.port(), 0);
        hosts.insert(a.host());
    }
    return hosts;
}

std::error_code error_of(const std::string& name, const weft::context& ctx = {})
{
    std::error_code ec;
    EXPECT_TRUE(weft::net::lookup(name, ctx, ec).empty()) << name;
    return ec;
}

using hosts = std::set<std::string>;

WEFT_TEST(dns_test, addresses_of_both_kinds)
{
    name_server server;
    server.names = {{"two.test.", {"127.0.0.5", "127.0.0.6", "::1"}}, {"six.test.", {"::1"}}, {"none.test.", {}}};
    server.start();
    EXPECT_EQ(hosts_of(weft::net::lookup("two.test.")), (hosts{"127.0.0.5", "127.0.0.6", "::1"}));
    EXPECT_EQ(hosts_of(weft::net::lookup("six.test.")), (hosts{"::1"}));
    EXPECT_EQ(error_of("none.test."), lookup_errc::not_found);
    EXPECT_EQ(error_of("other.test."), lookup_errc::not_found);
    EXPECT_GT(server.asked, 0U);
}

WEFT_TEST(dns_test, servers_that_fail)
{
    name_server server;
    server.broken = {"broken.test."};
    server.start();
    EXPECT_EQ(error_of("broken.test."), lookup_errc::try_again);
    EXPECT_EQ(error_of(std::string(70, 'x') + ".test."), lookup_errc::failed) << "no part of a name is so long";
}

WEFT_TEST(dns_test, an_answer_too_big_for_a_datagram)
{
    name_server server;
    for (int i = 1; i < 100; ++i)
        server.names["big.test."].push_back("127.0.1." + std::to_string(i));
    server.too_big = {"big.test."};
    server.start();
    EXPECT_EQ(weft::net::lookup("big.test.").size(), 99U);
    EXPECT_GT(server.asked_by_stream, 0U);
}

WEFT_TEST(dns_test, a_context_ends_the_wait)
{
    name_server server;
    server.silent = {"silent.test."};
    server.start();
    EXPECT_EQ(error_of("silent.test.", weft::with_timeout(weft::background(), 5ms)),
              weft::context_errc::deadline_exceeded);
    auto ctx = weft::with_cancel(weft::background());
    const std::size_t before = server.asked;
    auto waiting = weft::async([&] { return error_of("silent.test.", ctx); });
    ASSERT_TRUE(eventually([&] { return server.asked > before; }));
    ctx.cancel();
    EXPECT_EQ(waiting.get(), weft::context_errc::canceled);
}

// None is answered before all are asked: they wait on the poller, and none of them holds a thread.
WEFT_TEST(dns_test, many_at_once)
{
    const procs two(2);
    name_server server;
    const std::size_t n = scaled(100);  // all questions fit into the socket, if the server is slow
    const auto name = [](std::size_t i) { return "n" + std::to_string(i) + ".test."; };
    const auto host = [](std::size_t i) { return "127.1." + std::to_string(i / 250) + "." + std::to_string(i % 250); };
    for (std::size_t i = 0; i < n; ++i)
        server.names[name(i)] = {host(i)};
    server.held_until = "last.test.";
    server.start();
    weft::wait_group all;
    for (std::size_t i = 0; i < n; ++i)
        all.go([&, i] { EXPECT_EQ(hosts_of(weft::net::lookup(name(i))), (hosts{host(i)})); });
    EXPECT_TRUE(eventually(
        [&]
        {
            const weft::runtime_stats now = weft::stats();
            // For an IPv4 and an IPv6 address each.
            return server.asked >= 2 * n && now.goroutines_waiting >= n && now.goroutines_without_p == 0;
        }));
    EXPECT_EQ(error_of("last.test."), lookup_errc::not_found);
    all.wait();
}

WEFT_TEST(dns_test, dialing_by_name)
{
    name_server server;
    // The first one is nobody's.
    server.names = {{"here.test.", {"127.0.0.7", "127.0.0.1", "::1"}}};
    server.start();
    auto l = weft::net::listen("127.0.0.1:0");
    const std::string port = std::to_string(l.local_address().port());
    auto c = weft::net::dial("here.test.:" + port);
    EXPECT_EQ(c.remote_address(), l.local_address());
    EXPECT_TRUE(l.accept());
    std::error_code ec;
    EXPECT_FALSE(weft::net::dial("nowhere.test.:" + port, ec));
    EXPECT_EQ(ec, lookup_errc::not_found);
}

TEST_F(dns_test, on_a_plain_thread)
{
    name_server server;
    server.names = {{"one.test.", {"127.0.0.5"}}};
    server.start();
    EXPECT_EQ(hosts_of(weft::net::lookup("one.test.")), (hosts{"127.0.0.5"}));
}

WEFT_TEST(dns_test, the_file_of_hosts_goes_first)
{
    name_server server;
    server.start();
    // A name in /etc/hosts that is not this machine's by definition.
    std::ifstream file("/etc/hosts");
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line.substr(0, line.find('#')));
        std::string host;
        std::string name;
        words >> host;
        std::error_code ec;
        const bool v4 = host.find(':') == std::string::npos;
        if (!(words >> name) || name.find("localhost") != std::string::npos || name.starts_with("ip6-") ||
            !address::parse(v4 ? host + ":0" : "[" + host + "]:0", ec))
            continue;
        EXPECT_TRUE(hosts_of(weft::net::lookup(name)).contains(host)) << name;
        EXPECT_EQ(server.asked, 0U) << name;
        return;
    }
    GTEST_SKIP() << "no name in /etc/hosts but localhost";
}

}  // namespace
