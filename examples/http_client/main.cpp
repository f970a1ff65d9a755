// Fetches pages, all at the same time, and prints each one's status and size, or its body with --body.
//
// usage: http_client [--ca FILE] [--body] URL...      (http:// and, where OpenSSL was found, https://)
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/asio.hpp"
#include "weft/weft.hpp"
#ifdef EXAMPLE_TLS
#include "weft/tls.hpp"
#endif

namespace {

using namespace std::chrono_literals;
namespace http = boost::beast::http;
namespace net = weft::net;
using response = http::response<http::string_body>;

struct url {
    bool secure;
    std::string host;       ///< as it is verified
    std::string authority;  ///< as it is sent: with the port, if one was given
    std::string address;
    std::string target;

    explicit url(std::string_view text)
    {
        const std::string_view whole = text;
        if (text.starts_with("https://"))
            secure = true;
        else if (text.starts_with("http://"))
            secure = false;
        else
            throw std::invalid_argument(std::string(whole) + ": neither http:// nor https://");
        text.remove_prefix(text.find("//") + 2);
        const std::size_t path = std::min(text.find('/'), text.size());
        target = path == text.size() ? "/" : text.substr(path);
        authority = text.substr(0, path);
        const std::size_t bracket = authority.find(']');
        const std::size_t colon = authority.find(':', bracket == std::string::npos ? 0 : bracket);
        host = authority.substr(0, colon);
        address = colon == std::string::npos ? authority + (secure ? ":443" : ":80") : authority;
        if (host.empty())
            throw std::invalid_argument(std::string(whole) + ": there is no host in it");
    }
};

template <class Conn>
response exchange(Conn& conn, const url& where)
{
    conn.set_deadline(weft::clock::now() + 30s);
    weft::asio_stream stream(conn);
    http::request<http::empty_body> request(http::verb::get, where.target, 11);
    request.set(http::field::host, where.authority);
    request.set(http::field::user_agent, "weft");
    request.keep_alive(false);
    http::write(stream, request);
    boost::beast::flat_buffer buffer;
    response r;
    http::read(stream, buffer, r);
    return r;
}

#ifdef EXAMPLE_TLS
response fetch(const url& where, const weft::tls::client& trusting)
{
    net::tcp_conn conn = net::dial(where.address, weft::with_timeout(weft::background(), 10s));
    if (!where.secure)
        return exchange(conn, where);
    auto stream = weft::tls::connect(std::move(conn), trusting, where.host);
    response r = exchange(stream, where);
    stream.close();
    return r;
}
#else
response fetch(const url& where)
{
    if (where.secure)
        throw std::runtime_error("built without OpenSSL: there is no https://");
    net::tcp_conn conn = net::dial(where.address, weft::with_timeout(weft::background(), 10s));
    return exchange(conn, where);
}
#endif

int fetch_all(const std::vector<std::string>& urls, [[maybe_unused]] const std::string& authorities, bool body)
{
#ifdef EXAMPLE_TLS
    weft::tls::client_options options;
    if (!authorities.empty())
        options.authorities = weft::tls::pem::file(authorities);
    const weft::tls::client trusting(options);
#endif
    std::vector<weft::future<response>> responses;
    for (const std::string& text : urls)
        responses.push_back(weft::async(
            [&]
            {
#ifdef EXAMPLE_TLS
                return fetch(url(text), trusting);
#else
                return fetch(url(text));
#endif
            }));
    int failed = 0;
    for (std::size_t i = 0; i < urls.size(); ++i) {
        try {
            const response r = responses[i].get();
            if (body)
                std::fwrite(r.body().data(), 1, r.body().size(), stdout);
            else
                std::printf("%s: %u, %zu bytes\n", urls[i].c_str(), r.result_int(), r.body().size());
        } catch (const std::exception& e) {
            std::fprintf(stderr, "http_client: %s: %s\n", urls[i].c_str(), e.what());
            failed = 1;
        }
    }
    return failed;
}

}  // namespace

int main(int argc, char** argv)
{
    std::vector<std::string> urls;
    std::string authorities;
    bool body = false;
    bool good = true;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--ca" && i + 1 < argc)
            authorities = argv[++i];
        else if (word == "--body")
            body = true;
        else if (word.starts_with("-"))
            good = false;
        else
            urls.emplace_back(word);
    }
    if (!good || urls.empty()) {
        std::fprintf(stderr, "usage: http_client [--ca FILE] [--body] URL...\n");
        return 2;
    }
    try {
        return weft::run([&] { return fetch_all(urls, authorities, body); });
    } catch (const std::exception& e) {
        std::fprintf(stderr, "http_client: %s\n", e.what());
        return 1;
    }
}
