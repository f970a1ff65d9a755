// An HTTP server: Boost.Beast reads and writes HTTP, weft gives each connection a goroutine that may block.
//
//   GET  /hello        a greeting
//   GET  /wait         the same after half a second: to see the draining
//   POST /echo         what was sent
//   GET  /files/NAME   a file of the folder given by --files
//
// A connection that sends nothing, or too slowly, is closed: 10 s for a request, 30 s between two of them. On SIGTERM
// it accepts no more, lets the requests that have begun come to their end, and exits with status 0.
//
// usage: http_server [--files FOLDER] [--tls CERTIFICATE KEY] [ADDRESS]      (default: 127.0.0.1:8080)
#include <array>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "../common/stop_signal.hpp"
#include "weft/asio.hpp"
#include "weft/weft.hpp"
#ifdef EXAMPLE_TLS
#include "weft/tls.hpp"
#endif

namespace {

using namespace std::chrono_literals;
namespace fs = weft::fs;
namespace http = boost::beast::http;
namespace net = weft::net;
using request = http::request<http::string_body>;
using response = http::response<http::string_body>;

constexpr auto time_for_a_request = 10s;
constexpr auto time_between_requests = 30s;
constexpr auto time_to_drain = 20s;
constexpr std::uint64_t largest_body = 1 << 20;

struct settings {
    std::string address = "127.0.0.1:8080";
    std::optional<fs::path> files;
    std::string certificate;
    std::string key;
};

response answer(const request& to, http::status status, std::string body, const char* type = "text/plain")
{
    response r(status, to.version());
    r.set(http::field::server, "weft");
    r.set(http::field::content_type, type);
    r.keep_alive(to.keep_alive());
    r.body() = std::move(body);
    r.prepare_payload();
    return r;
}

const char* type_of(const fs::path& name)
{
    const std::string extension = name.extension();
    if (extension == ".html")
        return "text/html";
    if (extension == ".css")
        return "text/css";
    if (extension == ".js")
        return "text/javascript";
    return extension == ".txt" ? "text/plain" : "application/octet-stream";
}

response file(const request& to, const fs::path& folder, std::string_view name)
{
    // Nothing that climbs out of the folder, however it is written.
    const fs::path relative = fs::path(name).lexically_normal();
    std::error_code ec;
    if (relative.empty() || relative.is_absolute() || *relative.begin() == "..")
        return answer(to, http::status::forbidden, "not from here\n");
    std::string content = fs::read_file(folder / relative, ec);
    if (ec)
        return answer(to, http::status::not_found, "no such file\n");
    return answer(to, http::status::ok, std::move(content), type_of(relative));
}

response handle(const request& r, const settings& s)
{
    const std::string_view target(r.target().data(), r.target().size());
    if (target == "/echo")
        return r.method() == http::verb::post ? answer(r, http::status::ok, r.body())
                                              : answer(r, http::status::method_not_allowed, "POST it\n");
    if (r.method() != http::verb::get && r.method() != http::verb::head)
        return answer(r, http::status::method_not_allowed, "GET it\n");
    if (target == "/wait")
        weft::sleep_for(500ms);
    if (target == "/hello" || target == "/wait")
        return answer(r, http::status::ok, "Hello, World!\n");
    constexpr std::string_view files = "/files/";
    if (s.files && target.starts_with(files))
        return file(r, *s.files, target.substr(files.size()));
    return answer(r, http::status::not_found, "nothing here\n");
}

/// The connections there are, so that the idle ones can be ended.
class server {
public:
    explicit server(settings s) : settings_(std::move(s)) {}

    int run(const weft::context& stop)
    {
        net::tcp_listener listener = net::listen(settings_.address);
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
                break;
            connections_.go([this, c = std::move(conn)]() mutable { greet(std::move(c)); });
        }
        return drain();
    }

private:
    void greet(net::tcp_conn conn)
    {
#ifdef EXAMPLE_TLS
        if (!settings_.certificate.empty()) {
            std::error_code ec;
            auto stream = weft::tls::accept(std::move(conn), *tls_, ec);
            if (ec)
                std::fprintf(stderr, "http_server: %s\n", ec.message().c_str());
            else
                serve(stream);
            stream.close();
            return;
        }
#endif
        serve(conn);
    }

    template <class Conn>
    void serve(Conn& conn)
    {
        boost::beast::flat_buffer buffer;
        weft::asio_stream stream(conn);
        for (bool open = true; open;) {
            boost::system::error_code ec;
            // The wait for a request may be ended by drain(); the request itself not.
            if (buffer.size() == 0 && !wait_for_more(conn, stream, buffer))
                return;
            conn.set_deadline(weft::clock::now() + time_for_a_request);
            http::request_parser<http::string_body> parser;
            parser.body_limit(largest_body);
            http::read(stream, buffer, parser, ec);
            if (ec == http::error::body_limit || ec == http::error::header_limit) {
                response refusal = answer(parser.get(), http::status::payload_too_large, "too long\n");
                refusal.keep_alive(false);
                http::write(stream, refusal, ec);
                read_out(conn);
                return;
            }
            if (ec)
                return;
            response r = handle(parser.get(), settings_);
            if (draining())
                r.keep_alive(false);
            open = r.keep_alive();
            http::response_serializer<http::string_body> serializer(r);
            if (parser.get().method() == http::verb::head)
                http::write_header(stream, serializer, ec);
            else
                http::write(stream, serializer, ec);
            if (ec)
                return;
        }
    }

    /// Takes what the client is still sending, for a while: closing at once would reset the connection, and the client
    /// would not see the answer.
    template <class Conn>
    static void read_out(Conn& conn)
    {
        std::error_code ec;
        conn.shutdown_write(ec);
        conn.set_read_deadline(weft::clock::now() + 2s);
        std::array<std::byte, 4'096> buffer{};
        while (!ec && conn.read(buffer, ec) != 0)
            continue;
    }

    /// False: nothing comes any more.
    template <class Conn, class Stream>
    bool wait_for_more(Conn& conn, Stream& stream, boost::beast::flat_buffer& buffer)
    {
        const auto end = [&conn] { conn.set_read_deadline(weft::clock::now()); };
        conn.set_read_deadline(weft::clock::now() + time_between_requests);
        const idle_entry entry(*this, end);
        if (!entry.counted)
            return false;
        boost::system::error_code ec;
        buffer.commit(stream.read_some(buffer.prepare(4'096), ec));
        return !ec;
    }

    /// A connection between two requests.
    struct idle_entry {
        server& all;
        std::function<void()> end;
        bool counted;
        idle_entry(server& s, std::function<void()> e) : all(s), end(std::move(e))
        {
            const std::lock_guard guard(all.lock_);
            counted = !all.draining_;
            if (counted)
                all.idle_.insert(this);
        }
        idle_entry(const idle_entry&) = delete;
        idle_entry& operator=(const idle_entry&) = delete;
        ~idle_entry()
        {
            const std::lock_guard guard(all.lock_);
            all.idle_.erase(this);
        }
    };

    bool draining()
    {
        const std::lock_guard guard(lock_);
        return draining_;
    }

    int drain()
    {
        {
            const std::lock_guard guard(lock_);
            draining_ = true;
            for (const idle_entry* i : idle_)
                i->end();
        }
        const bool all_over = connections_.wait_for(time_to_drain);
        std::printf(all_over ? "drained\n" : "gave up draining\n");
        return all_over ? 0 : 1;
    }

    settings settings_;
    weft::wait_group connections_;
    weft::mutex lock_;  // guards the two below
    bool draining_ = false;
    std::set<const idle_entry*> idle_;
#ifdef EXAMPLE_TLS
    std::optional<weft::tls::server> tls_ = settings_.certificate.empty()
                                                ? std::nullopt
                                                : std::optional<weft::tls::server>(weft::tls::server(
                                                      {.certificate = weft::tls::pem::file(settings_.certificate),
                                                       .key = weft::tls::pem::file(settings_.key),
                                                       .protocols = {"http/1.1"}}));
#endif
};

std::optional<settings> parse(int argc, char** argv)
{
    settings s;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--files" && i + 1 < argc) {
            s.files = argv[++i];
        } else if (word == "--tls" && i + 2 < argc) {
            s.certificate = argv[++i];
            s.key = argv[++i];
        } else if (word.starts_with("-") || i + 1 != argc) {
            return std::nullopt;
        } else {
            s.address = word;
        }
    }
    return s;
}

}  // namespace

int main(int argc, char** argv)
{
    const std::optional<settings> s = parse(argc, argv);
    if (!s) {
        std::fprintf(stderr, "usage: http_server [--files FOLDER] [--tls CERTIFICATE KEY] [ADDRESS]\n");
        return 2;
    }
    const weft::context stop = until_stop_signal();
    try {
        return weft::run([&] { return server(*s).run(stop); });
    } catch (const std::exception& e) {
        std::fprintf(stderr, "http_server: %s\n", e.what());
        return 1;
    }
}
