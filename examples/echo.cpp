// A TCP echo server: a goroutine a connection, which reads and writes as if it had the machine for itself.
//
// usage: echo [ADDRESS]      (default: 127.0.0.1:7000)
#include <array>
#include <cstdio>
#include <system_error>
#include <utility>

#include "common/stop_signal.hpp"
#include "weft/weft.hpp"

namespace {

namespace net = weft::net;

void serve(net::tcp_conn& conn)
{
    std::array<std::byte, 4'096> buffer{};
    std::error_code ec;
    while (const std::size_t n = conn.read(buffer, ec)) {
        conn.write(std::span(buffer).first(n), ec);
        if (ec)
            return;  // whoever it was has gone
    }
}

}  // namespace

int main(int argc, char** argv)
{
    const weft::context stop = until_stop_signal();
    return weft::run(
        [&]
        {
            net::tcp_listener listener = net::listen(argc > 1 ? argv[1] : "127.0.0.1:7000");
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
                weft::go([conn = std::move(conn)]() mutable { serve(conn); });
            }
        });
}
