// A raw HTTP responder: finds the ends of requests, and writes the same answer to each. What the runtime costs, and
// little else. Beside it, if asked to, two goroutines pass a value to and fro, and say each second how often, and how
// long the longest time took.
//
// usage: http_raw [--ping-pong] [ADDRESS]      (default: 127.0.0.1:0; prints where it listens)
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "weft/weft.hpp"

namespace {

namespace net = weft::net;

constexpr std::string_view answer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, World!\n";

void serve(net::tcp_conn& conn)
{
    std::array<char, 4'096> buffer{};
    std::size_t held = 0;
    std::string out;
    std::error_code ec;
    for (;;) {
        const std::size_t n = conn.read(std::as_writable_bytes(std::span(buffer).subspan(held)), ec);
        if (n == 0)
            return;
        held += n;
        std::string_view text(buffer.data(), held);
        out.clear();
        for (std::size_t end = text.find("\r\n\r\n"); end != std::string_view::npos; end = text.find("\r\n\r\n")) {
            text.remove_prefix(end + 4);
            out += answer;
        }
        std::memmove(buffer.data(), text.data(), text.size());
        held = text.size();
        if (held == buffer.size())
            return;  // no request is that long
        if (!out.empty())
            conn.write(out, ec);
        if (ec)
            return;
    }
}

void ping_pong()
{
    using clock = std::chrono::steady_clock;
    weft::chan<int> there;
    weft::chan<int> back;
    weft::go(
        [&]
        {
            for (const int v : there)
                back.send(v);
        });
    for (;;) {
        long trips = 0;
        clock::duration longest{};
        for (auto now = clock::now(), end = now + std::chrono::seconds(1); now < end; ++trips) {
            there.send(1);
            (void)back.recv();
            longest = std::max(longest, clock::now() - now);
            now = clock::now();
        }
        std::printf("ping-pong %ld %lld\n", trips, static_cast<long long>(longest / std::chrono::microseconds(1)));
        std::fflush(stdout);
    }
}

}  // namespace

int main(int argc, char** argv)
{
    const bool beside = argc > 1 && std::string_view(argv[1]) == "--ping-pong";
    const char* const where = argc > 1 + beside ? argv[1 + beside] : "127.0.0.1:0";
    return weft::run(
        [&]
        {
            net::tcp_listener listener = net::listen(where);
            std::printf("listening on %s\n", listener.local_address().to_string().c_str());
            std::fflush(stdout);
            if (beside)
                weft::go(ping_pong);
            for (;;) {
                net::tcp_conn conn = listener.accept();
                weft::go([conn = std::move(conn)]() mutable { serve(conn); });
            }
        });
}
