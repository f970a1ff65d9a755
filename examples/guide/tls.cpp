// What docs/guide/tls.md shows.
#include <array>
#include <chrono>
#include <cstdio>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "weft/tls.hpp"
#include "weft/weft.hpp"

namespace net = weft::net;
namespace tls = weft::tls;
using namespace std::chrono_literals;

namespace {

[[maybe_unused]] auto connect(const std::string& host)
{
    // [client]
    const tls::client client;  // once for the process: trusts what the system trusts, and resumes sessions
    net::tcp_conn tcp = net::dial(host + ":443", weft::with_timeout(weft::background(), 10s));
    auto conn = tls::connect(std::move(tcp), client, host);
    // [/client]
    return conn;
}

// [server]
void serve(net::tcp_listener& listener, const tls::server& settings)
{
    for (;;) {
        net::tcp_conn tcp = listener.accept();
        weft::go(
            [tcp = std::move(tcp), settings]() mutable
            {
                std::error_code ec;
                auto conn = tls::accept(std::move(tcp), settings, 5s, ec);  // the handshake has 5 s
                if (ec)
                    return;  // conn.problem() says more
                std::array<std::byte, 4'096> buffer{};
                while (const std::size_t n = conn.read(buffer, ec))
                    conn.write(std::span(buffer).first(n), ec);
                conn.close();
            });
    }
}
// [/server]

}  // namespace

int main()
{
    // A server needs a certificate of its own; without one it is refused at once.
    return weft::run(
        []
        {
            try {
                net::tcp_listener listener = net::listen("127.0.0.1:0");
                serve(listener, tls::server({}));
            } catch (const std::invalid_argument&) {
                std::printf("no certificate\n");
            }
        });
}

// Output:
// no certificate
