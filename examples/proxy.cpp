// A TCP proxy: whatever comes in goes to the target, and back. Half-closed connections stay so on both sides.
//
// usage: proxy ADDRESS TARGET      (as in: proxy 127.0.0.1:7002 example.org:80)
#include <array>
#include <chrono>
#include <cstdio>
#include <system_error>
#include <utility>

#include "common/stop_signal.hpp"
#include "weft/weft.hpp"

namespace {

namespace net = weft::net;
using namespace std::chrono_literals;

/// Until `from` ends, or one of them fails.
void copy(net::tcp_conn& from, net::tcp_conn& to)
{
    std::array<std::byte, 16'384> buffer{};
    std::error_code ec;
    while (const std::size_t n = from.read(buffer, ec)) {
        to.write(std::span(buffer).first(n), ec);
        if (ec)
            break;
    }
    if (!ec)
        to.shutdown_write(ec);
    if (ec) {
        // It can't go on in either direction.
        from.close(ec);
        to.close(ec);
    }
}

void serve(net::tcp_conn client, const char* target)
{
    std::error_code ec;
    net::tcp_conn server = net::dial(target, weft::with_timeout(weft::background(), 10s), ec);
    if (ec) {
        std::fprintf(stderr, "proxy: %s: %s\n", target, ec.message().c_str());
        return;
    }
    weft::wait_group back;
    back.go([&] { copy(server, client); });
    copy(client, server);
    back.wait();
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc != 3) {
        std::fprintf(stderr, "usage: proxy ADDRESS TARGET\n");
        return 2;
    }
    const weft::context stop = until_stop_signal();
    return weft::run(
        [&]
        {
            net::tcp_listener listener = net::listen(argv[1]);
            std::printf("listening on %s\n", listener.local_address().to_string().c_str());
            std::fflush(stdout);
            weft::go(
                [&]
                {
                    weft::select(weft::on_done(stop));
                    listener.close();
                });
            std::error_code ec;
            for (;;) {
                net::tcp_conn conn = listener.accept(ec);
                if (ec)
                    return;
                weft::go([conn = std::move(conn), target = argv[2]]() mutable { serve(std::move(conn), target); });
            }
        });
}
