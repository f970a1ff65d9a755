// What Go's net tests check of dialing, closing, datagrams, and copying, in our own words: docs/conformance/net.md.
// Deadlines are in net_deadline_test.cpp.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "../unit/fixture.hpp"

namespace {

using namespace std::chrono_literals;
using weft::clock;
using weft::net::address;
using weft::test::scaled;

class net_conn_test : public weft::test::fixture {};

struct both_ends {
    weft::net::tcp_listener listener = weft::net::listen("127.0.0.1:0");
    weft::net::tcp_conn client = weft::net::dial(listener.local_address().to_string());
    weft::net::tcp_conn server = listener.accept();
};

std::string read_all(weft::io::stream& s)
{
    std::string all;
    std::string part(65'536, '\0');
    while (const std::size_t n = s.read(std::as_writable_bytes(std::span(part))))
        all.append(part, 0, n);
    return all;
}

std::string pattern(std::size_t n)
{
    std::string text(n, '\0');
    for (std::size_t i = 0; i < n; ++i)
        text[i] = static_cast<char>(i * 7 + i / 251);
    return text;
}

/// Names that resolve to what a test says.
class names {
public:
    explicit names(const std::vector<std::string>& hosts)
    {
        current().clear();
        for (const std::string& h : hosts)
            current().push_back(address::parse(h.find(':') == std::string::npos ? h + ":0" : "[" + h + "]:0"));
        weft::net::detail::set_resolver(
            [](const std::string& host, const weft::context&, std::vector<address>& found) -> std::error_code
            {
                if (host != "name.test")
                    return weft::net::lookup_errc::not_found;
                found = current();
                return {};
            });
    }

private:
    static std::vector<address>& current()
    {
        static std::vector<address> all;
        return all;
    }
};

/// One that nobody accepts from and whose queue is full: connecting to it takes for ever.
struct silent_listener {
    weft::net::tcp_listener listener;
    std::vector<weft::net::tcp_conn> fill{};

    explicit silent_listener(const std::string& where) : listener(weft::net::listen(where, {.backlog = 0}))
    {
        while (!full())
            fill.push_back(weft::net::dial(listener.local_address().to_string()));
    }
    [[nodiscard]] bool full() const
    {
        const std::optional<tcp_info> info = info_of(listener);
        return !info || info->tcpi_unacked > info->tcpi_sacked;  // of a listener: how many wait, and may
    }
    /// Nothing: an emulator hides it, and who needs one is skipped.
    static std::optional<tcp_info> info_of(const weft::net::tcp_listener& l)
    {
        tcp_info info{};
        socklen_t size = sizeof info;
        EXPECT_EQ(::getsockopt(l.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
        return size > sizeof(int) ? std::optional(info) : std::nullopt;
    }
    [[nodiscard]] std::string port() const { return std::to_string(listener.local_address().port()); }
};

// Go: TestDialParallel, TestDialerFallbackDelay, TestDialParallelSpuriousConnection; that nothing is left open, which
// is TestDialerDualStackFDLeak, the fixture sees.
WEFT_TEST(net_conn_test, a_silent_address_holds_dial_up_for_a_quarter_of_a_second)
{
    const silent_listener silent("127.0.0.1:0");
    if (!silent_listener::info_of(silent.listener))
        GTEST_SKIP() << "the emulator does not say whether a listener's queue is full";
    auto answers = weft::net::listen("127.0.0.2:" + silent.port());
    const names both({"127.0.0.1", "127.0.0.2"});
    const auto begin = clock::now();
    auto c = weft::net::dial("name.test:" + silent.port());
    EXPECT_GE(clock::now() - begin, 250ms);
    EXPECT_EQ(c.remote_address(), answers.local_address());
    EXPECT_TRUE(answers.accept());
}

WEFT_TEST(net_conn_test, an_address_that_refuses_does_not_hold_dial_up)
{
    auto l = weft::net::listen("127.0.0.9:0");
    const std::string port = std::to_string(l.local_address().port());
    std::vector<std::string> hosts = {"::1"};
    for (int i = 1; i <= 100; ++i)
        hosts.push_back("127.0.3." + std::to_string(i));
    hosts.emplace_back("127.0.0.9");
    const names many(hosts);
    // A quarter of a second for each would be too long.
    const auto ctx = weft::with_timeout(weft::background(), 20s);
    auto c = weft::net::dial("name.test:" + port, ctx);
    EXPECT_EQ(c.remote_address(), l.local_address());
}

// Go: TestDialerPartialDeadline, TestDialCancel
WEFT_TEST(net_conn_test, a_context_ends_all_attempts)
{
    const silent_listener silent("127.0.0.1:0");
    if (!silent_listener::info_of(silent.listener))
        GTEST_SKIP() << "the emulator does not say whether a listener's queue is full";
    const silent_listener also("127.0.0.2:" + silent.port());
    const names both({"127.0.0.1", "127.0.0.2"});
    const auto ctx = weft::with_timeout(weft::background(), 300ms);
    std::error_code ec;
    EXPECT_FALSE(weft::net::dial("name.test:" + silent.port(), ctx, ec));
    EXPECT_EQ(ec, weft::context_errc::deadline_exceeded);
}

// Go: TestCancelAfterDial, TestDialWithNonZeroDeadline
WEFT_TEST(net_conn_test, a_context_that_ends_later_does_not_matter)
{
    auto l = weft::net::listen("127.0.0.1:0");
    for (int i = 0; i < 20; ++i) {
        auto ctx = weft::with_timeout(weft::background(), 1h);
        auto c = weft::net::dial(l.local_address().to_string(), ctx);
        ctx.cancel();
        auto s = l.accept();
        s.write("x");
        std::byte b{};
        EXPECT_EQ(c.read({&b, 1}), 1U);
        EXPECT_EQ(c.write("x"), 1U);
    }
}

// Go: TestTCPListenAfterClose
WEFT_TEST(net_conn_test, nobody_is_accepted_after_close)
{
    for (int i = 0; i < 20; ++i) {
        auto l = weft::net::listen("127.0.0.1:0");
        auto early = weft::net::dial(l.local_address().to_string());
        weft::wait_group accepting;
        std::atomic<int> canceled{0};
        for (int k = 0; k < 3; ++k) {
            accepting.go(
                [&]
                {
                    std::error_code ec;
                    while (!ec)
                        (void)l.accept(ec);
                    canceled += ec == std::errc::operation_canceled ? 1 : 0;
                });
        }
        weft::yield();
        l.close();
        accepting.wait();
        EXPECT_EQ(canceled, 3);
    }
}

// Go: TestTCPConcurrentAccept
WEFT_TEST(net_conn_test, many_accept_at_once)
{
    auto l = weft::net::listen("127.0.0.1:0");
    const std::size_t n = scaled(200);
    std::atomic<std::size_t> accepted{0};
    weft::wait_group accepting;
    for (int i = 0; i < 10; ++i) {
        accepting.go(
            [&]
            {
                for (std::error_code ec; !ec;)
                    accepted += l.accept(ec) ? 1 : 0;
            });
    }
    for (std::size_t i = 0; i < n; ++i) {
        auto c = weft::net::dial(l.local_address().to_string());
        EXPECT_EQ(read_all(c), "") << "the other end is closed at once";
    }
    EXPECT_EQ(accepted, n);
    l.close();
    accepting.wait();
}

// Go: TestWritevError
WEFT_TEST(net_conn_test, a_gathered_write_to_who_has_gone)
{
    both_ends e;
    e.server.linger(0s);
    e.server.close();
    const std::string part(100'000, 'x');
    const std::vector<std::span<const std::byte>> parts(10, std::as_bytes(std::span(part)));
    std::error_code ec;
    while (!ec)
        e.client.writev(parts, ec);
    EXPECT_TRUE(ec == std::errc::connection_reset || ec == std::errc::broken_pipe) << ec.message();
}

// Go: TestCopyPipeIntoTCP
WEFT_TEST(net_conn_test, a_pipe_is_copied_into_a_connection)
{
    both_ends e;
    auto p = weft::io::pipe();
    const std::string sent = pattern(scaled(3'000'000));
    auto fed = weft::async(
        [&]
        {
            p.writer.write(sent);
            p.writer.close();
        });
    auto received = weft::async([&] { return read_all(e.server); });
    EXPECT_EQ(weft::io::copy(p.reader, e.client), sent.size());
    e.client.close();
    EXPECT_EQ(received.get(), sent);
    fed.get();
}

// Go: TestSendfileOnWriteTimeoutExceeded
WEFT_TEST(net_conn_test, sending_a_file_has_deadlines)
{
    both_ends e;
    std::string name = "/tmp/weft_net_conn_test.XXXXXX";
    const int file = ::mkostemp(name.data(), O_CLOEXEC);
    ASSERT_GE(file, 0);
    ::unlink(name.c_str());
    constexpr std::size_t size = 64 << 20;
    ASSERT_EQ(::ftruncate(file, size), 0);
    e.client.set_write_deadline(100ms);
    std::error_code ec;
    const std::size_t n = weft::io::send_file(e.client, file, 0, size, ec);
    EXPECT_EQ(ec, std::errc::timed_out);
    EXPECT_GT(n, 0U);
    EXPECT_LT(n, size);
    e.client.close();
    EXPECT_EQ(read_all(e.server).size(), n) << "what is counted has been sent, and no more";
    ::close(file);
}

// Go: TestUDPZeroByteBuffer, TestUDPReadSizeError
WEFT_TEST(net_conn_test, datagrams_that_do_not_fit)
{
    auto u = weft::net::listen_udp("127.0.0.1:0");
    const std::string text = "datagram";
    for (const std::size_t room : {std::size_t{0}, std::size_t{3}, std::size_t{100}}) {
        u.send_to(std::as_bytes(std::span(text)), u.local_address());
        std::string into(room, '\0');
        EXPECT_EQ(u.receive(std::as_writable_bytes(std::span(into))), text.size());
        EXPECT_EQ(into.substr(0, text.size()), text.substr(0, room));
    }
}

// Go: TestCloseUnblocksReadUDP, TestUDPReadTimeout
WEFT_TEST(net_conn_test, several_wait_for_datagrams)
{
    auto u = weft::net::listen_udp("127.0.0.1:0");
    std::atomic<int> canceled{0};
    std::atomic<int> received{0};
    weft::wait_group waiting;
    for (int i = 0; i < 4; ++i) {
        waiting.go(
            [&]
            {
                std::error_code ec;
                for (std::byte b{}; !ec;)
                    received += u.receive({&b, 1}, nullptr, ec) == 1 ? 1 : 0;
                canceled += ec == std::errc::operation_canceled ? 1 : 0;
            });
    }
    const std::byte b{};
    for (int i = 0; i < 8; ++i)
        u.send_to({&b, 1}, u.local_address());
    EXPECT_TRUE(weft::test::eventually([&] { return received == 8; }));
    u.close();
    waiting.wait();
    EXPECT_EQ(canceled, 4);
}

// Go: TestLookupNullByte
WEFT_TEST(net_conn_test, names_with_a_zero_in_them)
{
    std::error_code ec;
    EXPECT_TRUE(weft::net::lookup(std::string_view("foo\0bar", 7), {}, ec).empty());
    EXPECT_EQ(ec, weft::net::lookup_errc::failed);
    EXPECT_FALSE(weft::net::dial(std::string_view("foo\0bar:80", 10), ec));
    EXPECT_TRUE(ec);
}

// Go: TestFileConn, TestFileListener
WEFT_TEST(net_conn_test, a_second_descriptor_of_the_same_socket)
{
    both_ends e;
    auto twin = weft::net::adopt(::fcntl(e.client.native_handle(), F_DUPFD_CLOEXEC, 0));
    e.client.close();
    twin.write("by the twin");
    twin.close();
    EXPECT_EQ(read_all(e.server), "by the twin");
}

}  // namespace
