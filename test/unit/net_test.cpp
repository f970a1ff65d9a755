#include "weft/net.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "allocations.hpp"
#include "fixture.hpp"
#include "net/socket.hpp"

namespace {

using namespace std::chrono_literals;
using weft::net::address;
using weft::test::eventually;

class net_test : public weft::test::fixture {};

std::span<std::byte> bytes(std::string& s)
{
    return std::as_writable_bytes(std::span(s));
}

std::string read_n(weft::io::stream& from, std::size_t n)
{
    std::string all;
    std::string part(n, '\0');
    while (all.size() < n) {
        const std::size_t got = from.read(bytes(part).first(n - all.size()));
        if (got == 0)
            break;
        all.append(part, 0, got);
    }
    return all;
}

struct both_ends {
    weft::net::tcp_listener listener = weft::net::listen("127.0.0.1:0");
    weft::net::tcp_conn client = weft::net::dial(listener.local_address().to_string());
    weft::net::tcp_conn server = listener.accept();
};

int option(const weft::io::handle& h, int level, int name)
{
    int value = -1;
    socklen_t n = sizeof value;
    EXPECT_EQ(::getsockopt(h.native_handle(), level, name, &value, &n), 0);
    return value;
}

TEST_F(net_test, addresses_as_text)
{
    for (const char* text :
         {"1.2.3.4:80", "[::1]:8080", "[fe80::1%lo]:1", "0.0.0.0:0", "unix:/run/x", "unix:@abstract"})
        EXPECT_EQ(address::parse(text).to_string(), text);
    EXPECT_EQ(address::parse(":80").to_string(), "[::]:80");
    EXPECT_EQ(address::parse("[::ffff:1.2.3.4]:80"), address::parse("1.2.3.4:80"));
    for (const char* text : {"", ":", "1.2.3.4", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:65536", "1.2.3.4:-1", "::1:80",
                             "[::1]80", "[::1:80", "[]:80", "1.2.3:80", "name:80", "1.2.3.4:80 ",
                             "unix:", "[fe80::1%nosuch]:1", "01.2.3.4:80", "[::ffff:01.2.3.4]:80"}) {
        std::error_code ec;
        EXPECT_FALSE(address::parse(text, ec)) << text;
        EXPECT_EQ(ec, std::errc::invalid_argument) << text;
    }
    for (const std::string_view text : {std::string_view("1.2.3.4\0:80", 11), std::string_view("1.2.3.4\0.evil:80", 16),
                                        std::string_view("[::1\0]:80", 9), std::string_view("unix:/x\0y", 9)}) {
        std::error_code ec;
        EXPECT_FALSE(address::parse(text, ec));
        EXPECT_EQ(ec, std::errc::invalid_argument);
    }
    EXPECT_THROW((void)address::parse("x"), std::system_error);
    EXPECT_FALSE(address::of_path(std::string(108, 'x')));
    EXPECT_EQ(address::of_path(std::string(107, 'x')).host(), std::string(107, 'x'));
}

TEST_F(net_test, addresses_are_values)
{
    const address a = address::parse("1.2.3.4:80");
    EXPECT_EQ(a.kind(), address::family::ipv4);
    EXPECT_EQ(a.port(), 80);
    EXPECT_EQ(a.with_port(81).to_string(), "1.2.3.4:81");
    EXPECT_EQ(a.with_port(80), a);
    EXPECT_NE(a.with_port(81), a);
    EXPECT_EQ(address(a.data(), a.size()), a);
    EXPECT_FALSE(address());
    EXPECT_EQ(address().kind(), address::family::none);
    EXPECT_EQ(address().to_string(), "");
    EXPECT_FALSE(address(a.data(), 3));
    EXPECT_EQ(address::parse("unix:/x").kind(), address::family::unix_socket);
    EXPECT_EQ(address::parse("unix:/x").port(), 0);
}

WEFT_TEST(net_test, both_ends_know_both_addresses)
{
    both_ends e;
    EXPECT_EQ(e.client.remote_address(), e.listener.local_address());
    EXPECT_EQ(e.server.local_address(), e.listener.local_address());
    EXPECT_EQ(e.client.local_address(), e.server.remote_address());
    e.client.close();
    EXPECT_FALSE(e.client.local_address());
    EXPECT_FALSE(e.client.remote_address());
}

WEFT_TEST(net_test, an_ipv4_peer_of_a_socket_for_both_is_an_ipv4_address)
{
    auto listener = weft::net::listen(":0");
    const address at = address::parse("127.0.0.1:" + std::to_string(listener.local_address().port()));
    auto client = weft::net::dial(at.to_string());
    auto server = listener.accept();
    EXPECT_EQ(server.remote_address(), client.local_address());
    EXPECT_EQ(server.local_address(), at);
    // Datagrams too, and an answer goes there.
    auto both = weft::net::listen_udp(":0");
    auto sender = weft::net::dial_udp("127.0.0.1:" + std::to_string(both.local_address().port()));
    std::string into(10, '\0');
    address from;
    sender.send(std::as_bytes(std::span("ask", 3)));
    EXPECT_EQ(both.receive(bytes(into), &from), 3U);
    EXPECT_EQ(from, sender.local_address());
    both.send_to(std::as_bytes(std::span("answer", 6)), from);
    EXPECT_EQ(sender.receive(bytes(into)), 6U);
    sender.send(std::as_bytes(std::span("ask", 3)));
    weft::net::received one{bytes(into)};
    EXPECT_EQ(both.receive_many({&one, 1}), 1U);
    EXPECT_EQ(one.from, sender.local_address());
}

WEFT_TEST(net_test, bytes_go_both_ways)
{
    both_ends e;
    e.client.write("ping");
    EXPECT_EQ(read_n(e.server, 4), "ping");
    e.server.write("pong");
    EXPECT_EQ(read_n(e.client, 4), "pong");
}

WEFT_TEST(net_test, half_closed)
{
    both_ends e;
    e.client.write("request");
    e.client.shutdown_write();
    EXPECT_EQ(read_n(e.server, 100), "request");
    e.server.write("answer");
    e.server.close();
    EXPECT_EQ(read_n(e.client, 100), "answer");
    std::error_code ec;
    e.client.write("x", ec);
    EXPECT_EQ(ec, std::errc::broken_pipe);
}

WEFT_TEST(net_test, shut_for_reading)
{
    both_ends e;
    auto reader = weft::async(
        [&]
        {
            std::byte b{};
            return e.client.read({&b, 1});
        });
    e.client.shutdown_read();
    EXPECT_EQ(reader.get(), 0U);
    e.server.close();
    std::error_code ec;
    e.server.shutdown_write(ec);
    EXPECT_EQ(ec, std::errc::operation_canceled);
}

WEFT_TEST(net_test, a_reset_is_an_error)
{
    both_ends e;
    auto reader = weft::async(
        [&]
        {
            std::error_code ec;
            std::byte b{};
            e.client.read({&b, 1}, ec);
            return ec;
        });
    e.server.linger(0s);
    e.server.close();
    EXPECT_EQ(reader.get(), std::errc::connection_reset);
}

WEFT_TEST(net_test, a_reset_wakes_the_writer)
{
    both_ends e;
    auto writer = weft::async(
        [&]
        {
            const std::string much(64 << 20, 'x');
            std::error_code ec;
            e.client.write(much, ec);
            return ec;
        });
    ASSERT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 1; }));
    e.server.linger(0s);
    e.server.close();
    const std::error_code ec = writer.get();
    EXPECT_TRUE(ec == std::errc::connection_reset || ec == std::errc::broken_pipe) << ec.message();
}

WEFT_TEST(net_test, options_of_connections)
{
    both_ends e;
    for (weft::net::tcp_conn* c : {&e.client, &e.server}) {
        EXPECT_NE(option(*c, IPPROTO_TCP, TCP_NODELAY), 0);
        EXPECT_NE(option(*c, SOL_SOCKET, SO_KEEPALIVE), 0);
        EXPECT_EQ(option(*c, IPPROTO_TCP, TCP_KEEPIDLE), 15);
        c->no_delay(false);
        EXPECT_EQ(option(*c, IPPROTO_TCP, TCP_NODELAY), 0);
        c->set_keep_alive({.idle = 7s, .interval = 3s, .probes = 2});
        EXPECT_EQ(option(*c, IPPROTO_TCP, TCP_KEEPIDLE), 7);
        EXPECT_EQ(option(*c, IPPROTO_TCP, TCP_KEEPINTVL), 3);
        EXPECT_EQ(option(*c, IPPROTO_TCP, TCP_KEEPCNT), 2);
        c->set_keep_alive({.idle = 0s});
        EXPECT_EQ(option(*c, SOL_SOCKET, SO_KEEPALIVE), 0);
    }
    e.client.close();
    EXPECT_THROW(e.client.no_delay(true), std::system_error);
}

WEFT_TEST(net_test, options_of_listeners)
{
    auto plain = weft::net::listen("127.0.0.1:0", {.no_delay = false, .keep_alive = {.idle = 0s}});
    auto client = weft::net::dial(plain.local_address().to_string());
    auto server = plain.accept();
    EXPECT_EQ(option(server, IPPROTO_TCP, TCP_NODELAY), 0);
    EXPECT_EQ(option(server, SOL_SOCKET, SO_KEEPALIVE), 0);

    auto first = weft::net::listen("127.0.0.1:0", {.reuse_port = true});
    auto second = weft::net::listen(first.local_address().to_string(), {.reuse_port = true});
    EXPECT_EQ(first.local_address(), second.local_address());
    std::error_code ec;
    EXPECT_FALSE(weft::net::listen(plain.local_address().to_string(), ec));
    EXPECT_EQ(ec, std::errc::address_in_use);
}

WEFT_TEST(net_test, both_families_at_once)
{
    auto l = weft::net::listen(":0");
    const std::string port = std::to_string(l.local_address().port());
    for (const std::string host : {"127.0.0.1:", "[::1]:", ":", "localhost:"}) {
        std::error_code ec;
        auto c = weft::net::dial(host + port, ec);
        if (ec && host == "[::1]:")
            continue;  // no IPv6 here
        ASSERT_FALSE(ec) << host << ec.message();
        auto s = l.accept();
        c.write("x");
        EXPECT_EQ(read_n(s, 1), "x");
    }
}

WEFT_TEST(net_test, nobody_listens)
{
    std::string where;
    {
        auto l = weft::net::listen("127.0.0.1:0");
        where = l.local_address().to_string();
    }
    std::error_code ec;
    EXPECT_FALSE(weft::net::dial(where, ec));
    EXPECT_EQ(ec, std::errc::connection_refused);
    try {
        (void)weft::net::dial(where);
        ADD_FAILURE();
    } catch (const std::system_error& e) {
        EXPECT_NE(std::string(e.what()).find(where), std::string::npos) << e.what();
    }
}

// What the kernel does for dial() with a port that it was free to choose is done here with one that is chosen already.
// With the kernel's choice: limits_test.
WEFT_TEST(net_test, a_connection_to_itself_is_refused)
{
    for (const char* anywhere : {"127.0.0.1:0", "[::1]:0"}) {
        const address a = address::parse(anywhere);
        const int number = ::socket(a.kind() == address::family::ipv4 ? AF_INET : AF_INET6,
                                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (number < 0 ||
            ::bind(number, static_cast<const sockaddr*>(a.data()), static_cast<socklen_t>(a.size())) != 0) {
            ASSERT_EQ(a.kind(), address::family::ipv6) << "there may be none, but of the others";
            continue;
        }
        const auto f = weft::net::own(number, weft::io::fd::kind::tcp);
        const address at = weft::net::local_address_of(f.get());
        EXPECT_EQ(weft::net::connect_stream(*f, at), ECONNREFUSED);
        ASSERT_TRUE(f->close());
        EXPECT_TRUE(weft::net::listen(at.to_string(), {.reuse_address = false})) << "nothing lingers at the port";
    }
}

WEFT_TEST(net_test, addresses_that_make_no_sense)
{
    std::error_code ec;
    for (const char* where : {"", "x", "1.2.3.4", "1.2.3.4:http!", "unix:"}) {
        EXPECT_FALSE(weft::net::dial(where, ec));
        EXPECT_EQ(ec, std::errc::invalid_argument) << where;
        EXPECT_FALSE(weft::net::listen(where, ec));
        EXPECT_EQ(ec, std::errc::invalid_argument) << where;
        EXPECT_FALSE(weft::net::dial_udp(where, {}, ec));
        EXPECT_EQ(ec, std::errc::invalid_argument) << where;
    }
}

WEFT_TEST(net_test, an_ended_context_ends_dial)
{
    auto ctx = weft::with_cancel(weft::background());
    ctx.cancel();
    std::error_code ec;
    EXPECT_FALSE(weft::net::dial("127.0.0.1:1", ctx, ec));
    EXPECT_EQ(ec, weft::context_errc::canceled);
    EXPECT_FALSE(weft::net::dial_unix("/nonexistent", ctx, ec));
    EXPECT_EQ(ec, weft::context_errc::canceled);
}

/// A listener whose queue is full, so that connecting to it takes for ever.
struct full_listener {
    weft::net::tcp_listener listener = weft::net::listen("127.0.0.1:0", {.backlog = 0});
    std::vector<weft::net::tcp_conn> fill{};

    full_listener()
    {
        for (int i = 0; i < 10; ++i) {
            const auto ctx = weft::with_timeout(weft::background(), 20ms);
            std::error_code ec;
            auto c = weft::net::dial(where(), ctx, ec);
            if (ec)
                return;
            fill.push_back(std::move(c));
        }
        ADD_FAILURE() << "the queue never fills";
    }
    [[nodiscard]] std::string where() const { return listener.local_address().to_string(); }
};

WEFT_TEST(net_test, a_context_ends_dial_while_it_waits)
{
    const full_listener full;
    auto ctx = weft::with_cancel(weft::background());
    auto dialed = weft::async(
        [&]
        {
            std::error_code ec;
            EXPECT_FALSE(weft::net::dial(full.where(), ctx, ec));
            return ec;
        });
    ASSERT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 1; }));
    ctx.cancel();
    EXPECT_EQ(dialed.get(), weft::context_errc::canceled);
    const auto soon = weft::with_timeout(weft::background(), 5ms);
    std::error_code ec;
    EXPECT_FALSE(weft::net::dial(full.where(), soon, ec));
    EXPECT_EQ(ec, weft::context_errc::deadline_exceeded);
}

WEFT_TEST(net_test, a_deadline_of_accept)
{
    auto l = weft::net::listen("127.0.0.1:0");
    l.set_read_deadline(2ms);
    std::error_code ec;
    EXPECT_FALSE(l.accept(ec));
    EXPECT_EQ(ec, std::errc::timed_out);
    l.set_deadline(weft::clock::time_point::max());
    auto c = weft::net::dial(l.local_address().to_string());
    EXPECT_TRUE(l.accept());
}

WEFT_TEST(net_test, accept_goes_on_when_descriptors_run_out)
{
    auto l = weft::net::listen("127.0.0.1:0");
    auto c = weft::net::dial(l.local_address().to_string());
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit none = before;
    none.rlim_cur = 3;  // what is open stays
    testing::internal::CaptureStderr();
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    auto accepted = weft::async([&] { return l.accept(); });
    weft::sleep_for(20ms);
    EXPECT_FALSE(accepted.ready());
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_TRUE(accepted.get());
    // Once in a process: a test that is repeated sees nothing.
    const std::string report = testing::internal::GetCapturedStderr();
    EXPECT_TRUE(report.empty() || report.find("accept") != std::string::npos) << report;
}

WEFT_TEST(net_test, closing_ends_accept)
{
    auto l = weft::net::listen("127.0.0.1:0");
    auto accepted = weft::async(
        [&]
        {
            std::error_code ec;
            EXPECT_FALSE(l.accept(ec));
            return ec;
        });
    l.close();
    EXPECT_EQ(accepted.get(), std::errc::operation_canceled);
}

std::string some_path()
{
    return "/tmp/weft_net_test." + std::to_string(::getpid()) + ".sock";
}

WEFT_TEST(net_test, unix_sockets)
{
    const std::string path = some_path();
    {
        auto l = weft::net::listen_unix(path);
        EXPECT_EQ(l.local_address().to_string(), "unix:" + path);
        auto c = weft::net::dial_unix(path);
        auto s = l.accept();
        EXPECT_EQ(c.remote_address().host(), path);
        c.write("x");
        EXPECT_EQ(read_n(s, 1), "x");
        EXPECT_EQ(s.peer().pid, ::getpid());
        EXPECT_EQ(s.peer().uid, ::getuid());
        std::error_code ec;
        EXPECT_FALSE(weft::net::listen_unix(path, 1, ec));
        EXPECT_EQ(ec, std::errc::address_in_use);
    }
    EXPECT_NE(::access(path.c_str(), F_OK), 0) << "the file is removed";
    std::error_code ec;
    EXPECT_FALSE(weft::net::dial_unix(path, {}, ec));
    EXPECT_EQ(ec, std::errc::no_such_file_or_directory);
}

/// `listen(options)` makes a listener at `path`.
template <class Listen>
void expect_to_remove_its_own_file_only(const std::string& path, Listen&& listen)
{
    const auto is_there = [&] { return ::access(path.c_str(), F_OK) == 0; };
    auto first = listen({});
    ASSERT_EQ(::unlink(path.c_str()), 0);
    auto second = listen({});
    first.close();
    EXPECT_TRUE(is_there()) << "it is the second one's";
    second.close();
    EXPECT_FALSE(is_there());
    auto third = listen({});
    ASSERT_EQ(::unlink(path.c_str()), 0);
    std::ofstream(path) << "a file";
    third.close();
    EXPECT_TRUE(is_there()) << "it is another program's";
    ASSERT_EQ(::unlink(path.c_str()), 0);
    auto fourth = listen({.remove_path = false});
    fourth.close();
    EXPECT_TRUE(is_there());
    ASSERT_EQ(::unlink(path.c_str()), 0);
}

WEFT_TEST(net_test, a_unix_listener_removes_its_own_file_only)
{
    const std::string path = some_path();
    using options = weft::net::listen_options;
    expect_to_remove_its_own_file_only(path, [&](const options& o) { return weft::net::listen_unix(path, o); });
    expect_to_remove_its_own_file_only(path, [&](const options& o) { return weft::net::listen("unix:" + path, o); });
}

WEFT_TEST(net_test, a_unix_listener_finds_its_file_from_another_folder)
{
    const std::filesystem::path before = std::filesystem::current_path();
    const std::filesystem::path here = some_path() + ".d";
    const std::filesystem::path there = some_path() + ".e";
    for (const auto& folder : {here, there})
        std::filesystem::create_directory(folder);
    std::filesystem::current_path(here);
    auto mine = weft::net::listen_unix("s");
    std::filesystem::current_path(there);
    auto other = weft::net::listen_unix("s");
    mine.close();
    EXPECT_FALSE(std::filesystem::exists(here / "s"));
    EXPECT_TRUE(std::filesystem::exists(there / "s"));
    other.close();
    EXPECT_FALSE(std::filesystem::exists(there / "s"));
    std::filesystem::current_path(before);
    for (const auto& folder : {here, there})
        std::filesystem::remove_all(folder);
}

// A read from a Unix socket ends where a descriptor comes along, and there may be more behind it.
WEFT_TEST(net_test, a_short_read_of_a_unix_socket_is_not_the_end_of_what_is_there)
{
    const std::string where = "unix:" + some_path();
    auto l = weft::net::listen(where);
    auto c = weft::net::dial(where);
    auto s = l.accept();
    const auto send_with_descriptor = [&](std::string text)
    {
        iovec part{text.data(), text.size()};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* const head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        const int passed = STDERR_FILENO;
        std::memcpy(CMSG_DATA(head), &passed, sizeof passed);
        EXPECT_EQ(::sendmsg(c.native_handle(), &message, 0), static_cast<ssize_t>(text.size()));
    };
    auto first = weft::async([&] { return read_n(s, 1); });  // waits: the kernel tells of it from now on
    weft::yield();
    c.write("x");
    EXPECT_EQ(first.get(), "x");
    send_with_descriptor("abc");
    c.write("def");
    EXPECT_EQ(read_n(s, 6), "abcdef");
}

WEFT_TEST(net_test, unix_sockets_by_the_general_address)
{
    const std::string where = "unix:" + some_path();
    {
        auto l = weft::net::listen(where);
        auto c = weft::net::dial(where);
        auto s = l.accept();
        c.no_delay(true);
        c.set_keep_alive({});
        c.write("x");
        EXPECT_EQ(read_n(s, 1), "x");
    }
    EXPECT_NE(::access(some_path().c_str(), F_OK), 0);
    auto abstract = weft::net::listen("unix:@weft_net_test");
    auto c = weft::net::dial("unix:@weft_net_test");
    EXPECT_TRUE(abstract.accept());
}

WEFT_TEST(net_test, pairs)
{
    auto p = weft::net::unix_pair();
    p.first.write("x");
    EXPECT_EQ(read_n(p.second, 1), "x");
    p.first.close();
    EXPECT_EQ(read_n(p.second, 1), "");
}

WEFT_TEST(net_test, datagrams)
{
    auto server = weft::net::listen_udp("127.0.0.1:0");
    auto client = weft::net::dial_udp(server.local_address().to_string());
    EXPECT_EQ(client.remote_address(), server.local_address());
    const std::string text = "datagram";
    auto received = weft::async(
        [&]
        {
            std::string into(100, '\0');
            address from;
            const std::size_t n = server.receive(bytes(into), &from);
            EXPECT_EQ(from, client.local_address());
            server.send_to(bytes(into).first(n), from);
            return into.substr(0, n);
        });
    client.send(std::as_bytes(std::span(text)));
    EXPECT_EQ(received.get(), text);
    std::string small(4, '\0');
    EXPECT_EQ(client.receive(bytes(small)), text.size()) << "what did not fit is counted";
    EXPECT_EQ(small, "data");
    client.send({});
    EXPECT_EQ(server.receive(bytes(small)), 0U);
}

WEFT_TEST(net_test, many_datagrams)
{
    auto server = weft::net::listen_udp("127.0.0.1:0");
    auto client = weft::net::listen_udp("127.0.0.1:0");
    constexpr std::size_t n = 70;
    std::vector<std::string> texts;
    std::vector<weft::net::to_send> out;
    for (std::size_t i = 0; i < n; ++i)
        texts.push_back(std::string(i + 1, static_cast<char>(i)));
    for (const std::string& t : texts)
        out.push_back({std::as_bytes(std::span(t)), server.local_address()});
    EXPECT_EQ(client.send_many(out), n);
    std::vector<std::string> buffers(n, std::string(50, '\0'));
    std::vector<weft::net::received> in(n);
    for (std::size_t i = 0; i < n; ++i)
        in[i].buffer = bytes(buffers[i]);
    std::size_t got = 0;
    while (got < n)
        got += server.receive_many(std::span(in).subspan(got));
    for (std::size_t i = 0; i < n; ++i) {
        EXPECT_EQ(in[i].size, i + 1);
        EXPECT_EQ(in[i].from, client.local_address());
        EXPECT_EQ(buffers[i].substr(0, std::min<std::size_t>(i + 1, 50)), texts[i].substr(0, 50));
    }
    server.set_read_deadline(1ms);
    std::error_code ec;
    EXPECT_EQ(server.receive_many(in, ec), 0U);
    EXPECT_EQ(ec, std::errc::timed_out);
    EXPECT_EQ(server.receive_many({}, ec), 0U);
}

WEFT_TEST(net_test, a_refused_datagram)
{
    std::string where;
    {
        auto gone = weft::net::listen_udp("127.0.0.1:0");
        where = gone.local_address().to_string();
    }
    auto c = weft::net::dial_udp(where);
    const std::byte b{1};
    c.send({&b, 1});
    std::byte into{};
    std::error_code ec;
    (void)c.receive({&into, 1}, nullptr, ec);
    EXPECT_EQ(ec, std::errc::connection_refused);
}

// A batch of the system call, and then an error: the datagrams are returned, and the error comes next.
WEFT_TEST(net_test, an_error_behind_datagrams_is_not_lost)
{
    auto receiver = weft::net::listen_udp("127.0.0.1:0");
    auto sender = weft::net::dial_udp(receiver.local_address().to_string());
    constexpr std::size_t n = 32;
    const std::byte b{1};
    for (std::size_t i = 0; i <= n; ++i)
        sender.send({&b, 1});
    const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* const nothing = ::mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(nothing, MAP_FAILED);
    std::array<std::byte, n> into{};
    std::array<weft::net::received, n + 1> in{};
    for (std::size_t i = 0; i < n; ++i)
        in[i].buffer = {&into[i], 1};
    in[n].buffer = {static_cast<std::byte*>(nothing), 1};
    std::error_code ec;
    EXPECT_EQ(receiver.receive_many(in, ec), n);
    EXPECT_FALSE(ec) << ec.message();
    EXPECT_EQ(receiver.receive_many(in, ec), 0U);
    EXPECT_EQ(ec, std::errc::bad_address) << ec.message();
    sender.send({&b, 1});
    // It is told once. Whether the datagram that failed is there still is the kernel's business.
    EXPECT_GE(receiver.receive_many(std::span(in).first(n), ec), 1U);
    EXPECT_FALSE(ec) << ec.message();
    ::munmap(nothing, page);
}

WEFT_TEST(net_test, closing_ends_receive)
{
    auto u = weft::net::listen_udp("127.0.0.1:0");
    auto received = weft::async(
        [&]
        {
            std::byte b{};
            std::error_code ec;
            (void)u.receive({&b, 1}, nullptr, ec);
            return ec;
        });
    u.close();
    EXPECT_EQ(received.get(), std::errc::operation_canceled);
}

WEFT_TEST(net_test, names)
{
    EXPECT_EQ(weft::net::lookup("127.0.0.1").front().host(), "127.0.0.1");
    EXPECT_EQ(weft::net::lookup("::1").front().host(), "::1");
    EXPECT_EQ(weft::net::lookup("localhost").front().host(), "127.0.0.1");
    for (const char* here : {"a.localhost.", "LocalHost", "LOCALHOST.", "x.LocalHosT", "a.b.localhost"})
        EXPECT_EQ(weft::net::lookup(here).front().host(), "127.0.0.1") << here;
    std::error_code ec;
    // What resolvers take for an address, each in its own way, or cut off.
    for (const std::string_view odd :
         {std::string_view("0127.0.0.1"), std::string_view("127.1"), std::string_view("2130706433"),
          std::string_view("0x7f.0.0.0x1"), std::string_view("1.2.3.4."), std::string_view("127.0.0.1\0.evil", 14),
          std::string_view("localhost\0", 10), std::string_view("::ffff:0127.0.0.1"), std::string_view(".")}) {
        EXPECT_TRUE(weft::net::lookup(odd, {}, ec).empty()) << odd;
        EXPECT_EQ(ec, weft::net::lookup_errc::failed) << odd;
        (void)weft::net::dial(std::string(odd) + ":80", ec);
        EXPECT_TRUE(ec) << odd;
    }
    EXPECT_TRUE(weft::net::lookup("", {}, ec).empty());
    EXPECT_EQ(ec, weft::net::lookup_errc::failed);
    auto ctx = weft::with_cancel(weft::background());
    ctx.cancel();
    EXPECT_TRUE(weft::net::lookup("localhost", ctx, ec).empty());
    EXPECT_EQ(ec, weft::context_errc::canceled);
    EXPECT_STREQ(weft::net::lookup_category().name(), "weft.lookup");
    for (const auto e : {weft::net::lookup_errc::not_found, weft::net::lookup_errc::try_again})
        EXPECT_NE(std::error_code(e).message(), "unknown");
}

WEFT_TEST(net_test, resolvers_can_be_set)
{
    static std::vector<address> answers;
    weft::net::detail::set_resolver(
        [](const std::string& host, const weft::context&, std::vector<address>& found) -> std::error_code
        {
            if (host != "test.invalid")
                return weft::net::lookup_errc::not_found;
            found = answers;
            return {};
        });
    auto l = weft::net::listen("127.0.0.1:0");
    const std::uint16_t port = l.local_address().port();
    const std::string where = "test.invalid:" + std::to_string(port);
    std::error_code ec;
    EXPECT_FALSE(weft::net::dial("other.invalid:1", ec));
    EXPECT_EQ(ec, weft::net::lookup_errc::not_found);

    // The second and the third address answer, or the third alone.
    answers = {address::parse("127.0.0.2:0"), address::parse("[::1]:0"), address::parse("127.0.0.1:0")};
    auto c = weft::net::dial(where);
    EXPECT_TRUE(l.accept());
    c.close();

    const full_listener full;
    answers = {address::parse("127.0.0.3:0"), address::parse("127.0.0.4:0")};
    EXPECT_FALSE(weft::net::dial(where, ec));
    EXPECT_EQ(ec, std::errc::connection_refused);
    answers.clear();
}

// Go: TestTCPReadWriteAllocs, TestAllocs
WEFT_TEST(net_test, reading_and_writing_allocate_nothing)
{
    both_ends e;
    weft::wait_group echo;
    echo.go(
        [&]
        {
            std::byte b{};
            while (e.server.read({&b, 1}) == 1)
                e.server.write({&b, 1});
        });
    auto u = weft::net::listen_udp("127.0.0.1:0");
    const address self = u.local_address();
    std::byte b{};
    const auto once = [&]
    {
        e.client.set_deadline(1h);
        e.client.write({&b, 1});
        EXPECT_EQ(e.client.read({&b, 1}), 1U);
        address from;
        u.send_to({&b, 1}, self);
        EXPECT_EQ(u.receive({&b, 1}, &from), 1U);
    };
    once();
    const std::size_t before = weft::test::allocations();
    for (int i = 0; i < 100; ++i)
        once();
    EXPECT_EQ(weft::test::allocations(), before);
    e.client.close();
    echo.wait();
}

TEST_F(net_test, plain_threads)
{
    auto l = weft::net::listen("127.0.0.1:0");
    std::thread server(
        [&]
        {
            auto s = l.accept();
            s.write(read_n(s, 5));
        });
    auto c = weft::net::dial(l.local_address().to_string());
    c.write("hello");
    EXPECT_EQ(read_n(c, 5), "hello");
    server.join();
}

}  // namespace
