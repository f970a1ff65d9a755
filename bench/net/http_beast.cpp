// HTTP hello by Boost.Beast over weft: what a user would write.
//
// usage: http_beast [ADDRESS]      (default: 127.0.0.1:0; prints where it listens)
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cstdio>
#include <utility>

#include "weft/asio.hpp"
#include "weft/weft.hpp"

namespace {

namespace http = boost::beast::http;
namespace net = weft::net;

void serve(net::tcp_conn& conn)
{
    weft::asio_stream stream(conn);
    boost::beast::flat_buffer buffer;
    for (bool open = true; open;) {
        http::request<http::empty_body> request;
        boost::system::error_code ec;
        http::read(stream, buffer, request, ec);
        if (ec)
            return;
        http::response<http::string_body> response(http::status::ok, request.version());
        response.set(http::field::content_type, "text/plain");
        response.keep_alive(request.keep_alive());
        response.body() = "Hello, World!\n";
        response.prepare_payload();
        open = response.keep_alive();
        http::write(stream, response, ec);
        if (ec)
            return;
    }
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::run(
        [&]
        {
            net::tcp_listener listener = net::listen(argc > 1 ? argv[1] : "127.0.0.1:0");
            std::printf("listening on %s\n", listener.local_address().to_string().c_str());
            std::fflush(stdout);
            for (;;) {
                net::tcp_conn conn = listener.accept();
                weft::go([conn = std::move(conn)]() mutable { serve(conn); });
            }
        });
}
