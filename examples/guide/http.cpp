// What docs/guide/http.md shows.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>

#include "weft/asio.hpp"
#include "weft/weft.hpp"

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace net = weft::net;
using namespace std::chrono_literals;

namespace {

// [serve]
void serve(net::tcp_conn conn)
{
    weft::asio_stream stream(conn);
    boost::beast::flat_buffer buffer;
    for (;;) {
        conn.set_deadline(10s);
        http::request<http::string_body> request;
        boost::system::error_code ec;
        http::read(stream, buffer, request, ec);
        if (ec)
            return;
        http::response<http::string_body> response(http::status::ok, request.version());
        response.keep_alive(request.keep_alive());
        response.body() = "Hello, World!\n";
        response.prepare_payload();
        http::write(stream, response, ec);
        if (ec || !response.keep_alive())
            return;
    }
}
// [/serve]

void ask()
{
    net::tcp_listener listener = net::listen("127.0.0.1:0");
    auto serving = weft::async([&] { serve(listener.accept()); });
    net::tcp_conn conn = net::dial(listener.local_address().to_string());
    weft::asio_stream stream(conn);
    http::request<http::empty_body> request(http::verb::get, "/", 11);
    request.keep_alive(false);
    http::write(stream, request);
    boost::beast::flat_buffer buffer;
    http::response<http::string_body> response;
    http::read(stream, buffer, response);
    std::printf("%s", response.body().c_str());
    serving.get();
}

void token()
{
    // [token]
    asio::io_context context;
    auto work = asio::make_work_guard(context);
    std::thread loop([&] { context.run(); });

    asio::steady_timer timer(context, 1ms);
    timer.async_wait(weft::use_goroutine);

    boost::system::error_code ec;
    asio::ip::tcp::socket socket(context);
    socket.async_connect({asio::ip::address_v4::loopback(), 1}, weft::use_goroutine[ec]);
    std::printf("%s\n", ec ? "nobody is there" : "connected");

    work.reset();
    loop.join();
    // [/token]
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            ask();
            token();
        });
}

// Output:
// Hello, World!
// nobody is there
