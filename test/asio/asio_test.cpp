// weft/asio.hpp: the token over an io_context on plain threads, and Beast over a connection of ours.
#include "weft/asio.hpp"

#include <atomic>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../tls/connections.hpp"
#include "../unit/fixture.hpp"
#include "weft/testing.hpp"

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using namespace std::chrono_literals;
using weft::use_goroutine;
using weft::test::memory_conn;
using weft::test::procs;
using weft::test::scaled;
class asio_test : public weft::test::fixture {};

/// An io_context on a thread of its own.
struct loop {
    asio::io_context context;
    asio::executor_work_guard<asio::io_context::executor_type> guard{context.get_executor()};
    std::thread thread{[this] { context.run(); }};
    loop() = default;
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;
    ~loop()
    {
        guard.reset();
        context.stop();
        thread.join();
    }
};

/// An operation that completes with `results` on the loop's thread.
template <class Signature, class Token, class... Results>
auto completes_with(loop& l, Token token, Results... results)
{
    return asio::async_initiate<Token, Signature>(
        [&l](auto handler, auto... values)
        {
            asio::post(l.context,
                       [h = std::move(handler), ... v = std::move(values)]() mutable { h(std::move(v)...); });
        },
        token, std::move(results)...);
}

void completes_with_error(asio::io_context& context, boost::system::error_code& ec)
{
    asio::post(context, use_goroutine[ec]);
}

WEFT_TEST(asio_test, results)
{
    loop l;
    using boost::system::error_code;
    completes_with<void()>(l, use_goroutine);
    completes_with<void(error_code)>(l, use_goroutine, error_code());
    EXPECT_EQ((completes_with<void(error_code, int)>(l, use_goroutine, error_code(), 7)), 7);
    EXPECT_EQ((completes_with<void(std::string)>(l, use_goroutine, std::string("text"))), "text");
    EXPECT_EQ((completes_with<void(error_code, int, std::string)>(l, use_goroutine, error_code(), 7, std::string("x"))),
              std::make_tuple(7, std::string("x")));
    EXPECT_EQ((completes_with<void(std::exception_ptr, int)>(l, use_goroutine, std::exception_ptr(), 8)), 8);
    auto moved = completes_with<void(std::unique_ptr<int>)>(l, use_goroutine, std::make_unique<int>(9));
    EXPECT_EQ(*moved, 9);
}

WEFT_TEST(asio_test, errors)
{
    loop l;
    using boost::system::error_code;
    const error_code failed = asio::error::connection_reset;
    try {
        (void)completes_with<void(error_code, int)>(l, use_goroutine, failed, 7);
        ADD_FAILURE();
    } catch (const boost::system::system_error& e) {
        EXPECT_EQ(e.code(), failed);
    }
    error_code ec;
    EXPECT_EQ((completes_with<void(error_code, int)>(l, use_goroutine[ec], failed, 7)), 7);
    EXPECT_EQ(ec, failed);
    completes_with<void(error_code)>(l, use_goroutine[ec], error_code());
    EXPECT_FALSE(ec);
    EXPECT_THROW(
        completes_with<void(std::exception_ptr)>(l, use_goroutine, std::make_exception_ptr(std::runtime_error("x"))),
        std::runtime_error);
}

WEFT_TEST(asio_test, a_canceled_operation)
{
    loop l;
    asio::steady_timer timer(l.context, 1h);
    auto waiting = weft::async(
        [&]
        {
            boost::system::error_code ec;
            timer.async_wait(use_goroutine[ec]);
            return ec;
        });
    while (weft::stats().goroutines_waiting == 0)
        weft::sleep_for(100us);
    // Until it has been waiting: a wait that begins after a cancel() is not canceled.
    while (!waiting.ready()) {
        asio::post(l.context, [&] { timer.cancel(); });
        weft::sleep_for(100us);
    }
    EXPECT_EQ(waiting.get(), asio::error::operation_aborted);
}

WEFT_TEST(asio_test, an_operation_whose_context_goes_away)
{
    for (const bool throws : {false, true}) {
        auto context = std::make_unique<asio::io_context>();
        asio::io_context& loop_that_never_runs = *context;
        auto waiting = weft::async(
            [&]
            {
                boost::system::error_code ec;
                try {
                    if (throws)
                        asio::post(loop_that_never_runs, use_goroutine);
                    else
                        completes_with_error(loop_that_never_runs, ec);
                } catch (const boost::system::system_error& e) {
                    ec = e.code();
                }
                return ec;
            });
        while (weft::stats().goroutines_waiting == 0)
            weft::sleep_for(100us);
        context.reset();
        EXPECT_EQ(waiting.get(), asio::error::operation_aborted);
    }
}

/// Sockets of Asio's, many goroutines, one thread that runs the loop.
WEFT_TEST(asio_test, sockets)
{
    const procs four(4);
    loop l;
    using asio::ip::tcp;
    tcp::acceptor acceptor(l.context, {asio::ip::address_v4::loopback(), 0});
    const int count = static_cast<int>(scaled(100));
    std::atomic<int> good{0};
    weft::wait_group all;
    all.go(
        [&]
        {
            for (int i = 0; i < count; ++i) {
                auto s = std::make_shared<tcp::socket>(acceptor.async_accept(use_goroutine));
                all.go(
                    [s]
                    {
                        std::string line;
                        const std::size_t n =
                            asio::async_read_until(*s, asio::dynamic_buffer(line), '\n', use_goroutine);
                        asio::async_write(*s, asio::buffer("<" + line.substr(0, n)), use_goroutine);
                    });
            }
        });
    for (int i = 0; i < count; ++i)
        all.go(
            [&, i]
            {
                tcp::socket s(l.context);
                s.async_connect(acceptor.local_endpoint(), use_goroutine);
                const std::string line = std::to_string(i) + "\n";
                asio::async_write(s, asio::buffer(line), use_goroutine);
                std::string back;
                boost::system::error_code ec;
                asio::async_read(s, asio::dynamic_buffer(back), use_goroutine[ec]);
                good += ec == asio::error::eof && back == "<" + line ? 1 : 0;
            });
    all.wait();
    EXPECT_EQ(good, count);
}

/// The loop's thread reads and writes on the stacks of goroutines that wait, with raw system calls.
WEFT_TEST(asio_test, buffers_on_parked_stacks)
{
    if (const char* const why_off = weft::stats().hibernation_off; why_off != nullptr)
        GTEST_SKIP() << why_off;
    using asio::ip::udp;
    using boost::system::error_code;
    const procs four(4);
    loop l;
    const udp::endpoint any(asio::ip::address_v4::loopback(), 0);
    struct receiver {
        udp::socket socket;
        std::array<char, 32> text{};
        udp::endpoint from{};
        error_code ec{};
        std::size_t n = 0;

        receiver(loop& on, const udp::endpoint& at) : socket(on.context, at) {}
        void receive() { n = socket.async_receive_from(asio::buffer(text), from, use_goroutine[ec]); }
        /// One buffer of several.
        void read()
        {
            const std::array<asio::mutable_buffer, 2> parts{asio::buffer(text.data(), 1),
                                                            asio::buffer(text.data() + 1, text.size() - 1)};
            n = socket.async_receive(parts, use_goroutine[ec]);
        }
        [[nodiscard]] bool right(const udp::endpoint& expected) const
        {
            return !ec && std::string(text.data(), n) == "text" && from == expected;
        }
    };
    udp::socket sender(l.context, any);
    std::array<std::atomic<receiver*>, 4> receivers{};
    std::array<std::atomic<bool>, 4> right{};
    weft::test::gate open;
    weft::wait_group all;
    for (std::size_t i = 0; i < receivers.size(); ++i) {
        all.go(
            [&, i]
            {
                receiver own(l, any);
                receivers[i] = &own;
                const bool names_sender = i % 2 == 0;
                const auto wait = [&own, names_sender] { names_sender ? own.receive() : own.read(); };
                if (i < 2) {
                    wait();
                } else {  // a goroutine waits on behalf of the one whose stack it is
                    weft::wait_group other;
                    other.go(wait);
                    other.wait();
                }
                right[i] = own.right(names_sender ? sender.local_endpoint() : udp::endpoint());
                open.wait();
            });
    }
    const auto away = [] { return weft::stats().goroutines_hibernated; };
    ASSERT_TRUE(weft::test::eventually([] { return weft::stats().goroutines_waiting >= 6; }));
    std::vector<udp::endpoint> to;
    for (const std::atomic<receiver*>& r : receivers)
        to.push_back(r.load()->socket.local_endpoint());
    // From here on nobody but the loop's thread touches their stacks.
    (void)weft::testing::hibernate_parked();
    (void)weft::testing::hibernate_parked();
    for (const udp::endpoint& receiver : to)
        sender.send_to(asio::buffer("text", 4), receiver);
    EXPECT_TRUE(weft::test::eventually([] { return weft::num_goroutines() == 5; })) << "all have received";
    for (std::size_t i = 0; i < receivers.size(); ++i)
        EXPECT_TRUE(weft::test::eventually([&] { return right[i].load(); })) << i;
    EXPECT_TRUE(weft::test::eventually(
        [&]
        {
            (void)weft::testing::hibernate_parked();
            return away() == 4;
        }))
        << "no longer than that";
    open.open();
    all.wait();
}

TEST_F(asio_test, a_plain_thread_waits_too)
{
    loop l;
    asio::steady_timer timer(l.context, 1ms);
    timer.async_wait(use_goroutine);
}

static_assert(beast::is_sync_stream<weft::asio_stream<memory_conn>>::value);
static_assert(beast::is_sync_stream<weft::asio_stream<memory_conn&>>::value);

WEFT_TEST(asio_test, beast_over_a_connection)
{
    auto [near, far] = memory_conn::pair(512);
    auto serving = weft::async(
        [far = std::move(far)]() mutable
        {
            weft::asio_stream s(std::move(far));
            beast::flat_buffer buffer;
            for (int served = 0;; ++served) {
                http::request<http::string_body> request;
                boost::system::error_code ec;
                http::read(s, buffer, request, ec);
                if (ec) {
                    EXPECT_EQ(ec, http::error::end_of_stream);
                    return served;
                }
                http::response<http::string_body> response(http::status::ok, request.version());
                response.body() = std::string(request.target()) + request.body();
                response.prepare_payload();
                http::write(s, response);
            }
        });
    weft::asio_stream s(near);
    beast::flat_buffer buffer;
    for (const std::size_t size : {0U, 10U, 3'000U, 100'000U}) {
        http::request<http::string_body> request(http::verb::post, "/path", 11);
        request.body() = std::string(size, 'x');
        request.prepare_payload();
        auto writing = weft::async([&] { http::write(s, request); });
        http::response_parser<http::string_body> response;
        http::read(s, buffer, response);
        writing.get();
        EXPECT_EQ(response.get().body(), "/path" + std::string(size, 'x'));
    }
    near.close();
    EXPECT_EQ(serving.get(), 4);
}

WEFT_TEST(asio_test, errors_of_connections)
{
    auto [near, far] = memory_conn::pair();
    weft::asio_stream s(near);
    std::string text(8, ' ');
    boost::system::error_code ec;
    near.set_read_deadline(weft::clock::now() + 1ms);
    EXPECT_EQ(s.read_some(asio::buffer(text), ec), 0U);
    EXPECT_EQ(ec, asio::error::timed_out);
    near.set_read_deadline(weft::clock::time_point::max());
    EXPECT_EQ(s.read_some(asio::mutable_buffer(), ec), 0U);
    EXPECT_FALSE(ec);
    EXPECT_EQ(s.write_some(asio::const_buffer(), ec), 0U);
    EXPECT_FALSE(ec);
    far.close();
    EXPECT_EQ(s.read_some(asio::buffer(text), ec), 0U);
    EXPECT_EQ(ec, asio::error::eof);
    EXPECT_THROW(s.read_some(asio::buffer(text)), boost::system::system_error);
    s.write_some(asio::buffer(text), ec);
    EXPECT_EQ(ec, asio::error::broken_pipe);
    near.close();
    s.read_some(asio::buffer(text), ec);
    EXPECT_EQ(ec, asio::error::operation_aborted);
    EXPECT_THROW(s.write_some(asio::buffer(text)), boost::system::system_error);
}

}  // namespace
