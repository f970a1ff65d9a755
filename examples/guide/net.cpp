// What docs/guide/net.md shows.
#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "weft/weft.hpp"

using namespace std::chrono_literals;

namespace {

// [serve]
/// Answers a connection until its other side has finished, or is silent for a minute.
void echo(weft::net::tcp_conn c)
{
    std::array<std::byte, 4096> buffer;
    std::error_code ec;
    for (;;) {
        c.set_read_deadline(1min);
        const std::size_t n = c.read(buffer, ec);
        if (ec || n == 0)
            return;
        c.write(std::span(buffer).first(n), ec);
    }
}

/// A goroutine for each connection, until the listener is closed.
void serve(weft::net::tcp_listener& listener)
{
    weft::wait_group connections;
    std::error_code ec;
    for (;;) {
        weft::net::tcp_conn c = listener.accept(ec);
        if (ec)
            break;
        connections.go([c = std::move(c)]() mutable { echo(std::move(c)); });
    }
    connections.wait();
}
// [/serve]

// [client]
std::string read_all(weft::io::stream& from)
{
    std::string all;
    std::array<std::byte, 1024> part;
    while (const std::size_t n = from.read(part))
        all.append(reinterpret_cast<const char*>(part.data()), n);
    return all;
}

std::string ask(std::string_view server, std::string_view question)
{
    const auto ctx = weft::with_timeout(weft::background(), 5s);
    weft::net::tcp_conn c = weft::net::dial(server, ctx);
    c.set_deadline(5s);
    c.write(question);
    c.shutdown_write();
    return read_all(c);
}
// [/client]

void errors()
{
    // [errors]
    auto [a, b] = weft::net::unix_pair();
    weft::wait_group reading;
    reading.go(
        [&a]
        {
            std::error_code ec;
            std::byte byte;
            a.read({&byte, 1}, ec);
            std::printf("%s\n", ec == std::errc::operation_canceled ? "closed while it was reading" : "?");
        });
    a.close();
    reading.wait();

    std::error_code ec;
    std::byte byte;
    b.set_read_deadline(1ms);
    b.read({&byte, 1}, ec);
    std::printf("%s\n", ec ? "an error" : b.is_open() ? "the end of the stream" : "?");
    // [/errors]
}

void datagrams()
{
    // [datagrams]
    auto server = weft::net::listen_udp("127.0.0.1:0");
    auto client = weft::net::dial_udp(server.local_address().to_string());
    constexpr std::string_view text = "datagram";
    client.send(std::as_bytes(std::span(text)));

    std::array<std::byte, 1500> buffer;
    weft::net::address from;
    const std::size_t n = server.receive(buffer, &from);
    std::printf("%zu bytes, %s\n", n, from == client.local_address() ? "from the client" : "from somebody else");
    // [/datagrams]
}

void proxy()
{
    auto [ours, client] = weft::net::unix_pair();
    auto [upstream, server] = weft::net::unix_pair();
    client.write("through the kernel");
    client.shutdown_write();
    // [copy]
    const std::uint64_t n = weft::io::copy(ours, upstream);
    upstream.shutdown_write();
    // [/copy]
    std::printf("%llu bytes: %s\n", static_cast<unsigned long long>(n), read_all(server).c_str());
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            auto listener = weft::net::listen("127.0.0.1:0");
            weft::wait_group server;
            server.go([&] { serve(listener); });
            std::printf("%s\n", ask(listener.local_address().to_string(), "hello").c_str());
            listener.close();
            server.wait();
            errors();
            datagrams();
            proxy();
        });
}

// Output:
// hello
// closed while it was reading
// the end of the stream
// 8 bytes, from the client
// 18 bytes: through the kernel
