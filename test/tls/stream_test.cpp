// tls::stream on both sides, over connections in memory.
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../unit/fixture.hpp"
#include "certificates.hpp"
#include "connections.hpp"
#include "weft/tls.hpp"

namespace {

using namespace std::chrono_literals;
namespace tls = weft::tls;
using weft::test::authority;
using weft::test::identity;
using weft::test::make_identity;
using weft::test::memory_conn;
using weft::test::procs;
using weft::test::scaled;
using stream = tls::stream<memory_conn>;
class tls_test : public weft::test::fixture {};

std::span<const std::byte> bytes(std::string_view text)
{
    return std::as_bytes(std::span(text));
}

std::string read_some(stream& s, std::size_t most = 1'000)
{
    std::string text(most, ' ');
    text.resize(s.read(std::as_writable_bytes(std::span(text))));
    return text;
}

/// What both sides have come to.
struct met {
    std::error_code client_error;
    std::error_code server_error;
    std::string client_problem;
    std::string server_problem;
    std::unique_ptr<stream> client;
    std::unique_ptr<stream> server;
};

met meet(const tls::client& c, const tls::server& s, std::string_view host, std::size_t room = std::size_t{64} << 10)
{
    auto [near, far] = memory_conn::pair(room);
    met both;
    auto serving = weft::async(
        [&, far = std::move(far)]() mutable
        {
            both.server = std::make_unique<stream>(tls::accept(std::move(far), s, both.server_error));
            both.server_problem = both.server->problem();
            if (both.server_error)
                both.server->close();
        });
    both.client = std::make_unique<stream>(tls::connect(std::move(near), c, host, both.client_error));
    both.client_problem = both.client->problem();
    if (both.client_error)
        both.client->close();
    serving.get();
    return both;
}

const authority& certificates()
{
    static const authority one;
    return one;
}

WEFT_TEST(tls_test, talks_both_ways)
{
    met m = meet(certificates().client(), certificates().server(), "localhost");
    ASSERT_FALSE(m.client_error) << m.client_error.message() << m.client_problem;
    ASSERT_FALSE(m.server_error) << m.server_error.message() << m.server_problem;
    EXPECT_EQ(m.client->version(), "TLSv1.3");
    EXPECT_EQ(m.client->cipher(), m.server->cipher());
    EXPECT_EQ(m.client->protocol(), "");
    EXPECT_FALSE(m.client->resumed());
    EXPECT_EQ(m.client->peer_certificate().text, certificates().localhost.certificate_pem().text);
    EXPECT_EQ(m.server->peer_certificate().text, "");
    EXPECT_EQ(m.client->write(bytes("question")), 8U);
    EXPECT_EQ(read_some(*m.server), "question");
    m.server->write(bytes("answer"));
    EXPECT_EQ(read_some(*m.client, 3), "ans");
    EXPECT_EQ(read_some(*m.client), "wer");
    EXPECT_EQ(m.client->write(""), 0U);
    EXPECT_EQ(m.client->read({}), 0U);
}

TEST_F(tls_test, works_on_plain_threads)
{
    auto [near, far] = memory_conn::pair();
    std::string heard;
    std::thread server(
        [&, far = std::move(far)]() mutable
        {
            stream s = tls::accept(std::move(far), certificates().server());
            heard = read_some(s);
            s.write(bytes("pong"));
            s.close();
        });
    stream c = tls::connect(std::move(near), certificates().client(), "127.0.0.1");
    c.write(bytes("ping"));
    EXPECT_EQ(read_some(c), "pong");
    EXPECT_EQ(read_some(c), "");
    server.join();
    EXPECT_EQ(heard, "ping");
}

WEFT_TEST(tls_test, a_goodbye_is_the_end_and_half_a_close_is_one)
{
    met m = meet(certificates().client(), certificates().server(), "localhost");
    m.client->write(bytes("last"));
    m.client->shutdown_write();
    m.client->shutdown_write();
    EXPECT_EQ(read_some(*m.server), "last");
    EXPECT_EQ(read_some(*m.server), "");
    EXPECT_EQ(read_some(*m.server), "");
    // The other direction is open.
    m.server->write(bytes("still here"));
    EXPECT_EQ(read_some(*m.client), "still here");
    std::error_code ec;
    EXPECT_EQ(m.client->write(bytes("x"), ec), 0U);
    EXPECT_EQ(ec, tls::error::closed);
    m.server->close();
    EXPECT_EQ(read_some(*m.client), "");
    m.client->close();
    m.client->close();
    std::array<std::byte, 8> buffer{};
    EXPECT_EQ(m.client->read(buffer, ec), 0U);
    EXPECT_EQ(ec, tls::error::closed);
}

WEFT_TEST(tls_test, an_end_without_goodbye_is_truncation)
{
    met m = meet(certificates().client(), certificates().server(), "localhost");
    m.server->write(bytes("some"));
    m.server->next_layer().close();
    EXPECT_EQ(read_some(*m.client), "some");
    std::array<std::byte, 8> buffer{};
    std::error_code ec;
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(m.client->read(buffer, ec), 0U);
        EXPECT_EQ(ec, tls::error::truncated);
    }
    try {
        m.client->read(buffer);
        ADD_FAILURE();
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code(), tls::error::truncated);
        EXPECT_NE(std::string(e.what()).find("read localhost"), std::string::npos) << e.what();
    }
}

WEFT_TEST(tls_test, the_destructor_says_no_goodbye)
{
    met m = meet(certificates().client(), certificates().server(), "localhost");
    m.server.reset();
    std::array<std::byte, 8> buffer{};
    std::error_code ec;
    EXPECT_EQ(m.client->read(buffer, ec), 0U);
    EXPECT_EQ(ec, tls::error::truncated);
}

struct refused {
    const char* what;
    identity shown;
    const char* host;
    tls::error expected;
};

WEFT_TEST(tls_test, bad_certificates_are_told_apart)
{
    const identity& root = certificates().root;
    const identity other_root = make_identity({.name = "somebody else", .authority = true});
    const std::vector<refused> cases = {
        {"wrong host", certificates().localhost, "example.org", tls::error::wrong_host},
        {"wrong address", certificates().localhost, "127.0.0.2", tls::error::wrong_host},
        {"the common name does not count",
         make_identity({.name = "localhost", .hosts = "DNS:example.org", .issuer = &root}), "localhost",
         tls::error::wrong_host},
        {"expired",
         make_identity({.name = "x", .hosts = "DNS:localhost", .issuer = &root, .from_s = -7'200, .to_s = -60}),
         "localhost", tls::error::expired},
        {"not yet valid", make_identity({.name = "x", .hosts = "DNS:localhost", .issuer = &root, .from_s = 3'600}),
         "localhost", tls::error::not_yet_valid},
        {"self-signed", make_identity({.name = "x", .hosts = "DNS:localhost"}), "localhost", tls::error::self_signed},
        {"untrusted", make_identity({.name = "x", .hosts = "DNS:localhost", .issuer = &other_root}), "localhost",
         tls::error::untrusted_issuer},
    };
    for (const refused& c : cases) {
        const tls::server server({.certificate = c.shown.certificate_pem(), .key = c.shown.key_pem()});
        met m = meet(certificates().client(), server, c.host);
        EXPECT_EQ(m.client_error, c.expected) << c.what << ": " << m.client_error.message();
        EXPECT_FALSE(m.client_problem.empty()) << c.what;
        // TLS 1.3: the server is through before it hears of it.
        std::array<std::byte, 8> buffer{};
        std::error_code ec;
        if (!m.server_error)
            m.server->read(buffer, m.server_error);
        EXPECT_EQ(m.server_error, tls::error::refused_by_peer) << c.what << ": " << m.server_error.message();
    }
    // Nor when it is all there is, but for a client that says so.
    const identity old = make_identity({.name = "localhost", .issuer = &root});
    const tls::server of_old({.certificate = old.certificate_pem(), .key = old.key_pem()});
    const met refuses = meet(certificates().client(), of_old, "localhost");
    EXPECT_EQ(refuses.client_error, tls::error::wrong_host);
    EXPECT_NE(refuses.client_problem.find("allow_common_name"), std::string::npos) << refuses.client_problem;
    const tls::client of_olds(
        {.allow_common_name = true, .authorities = root.certificate_pem(), .system_authorities = false});
    EXPECT_FALSE(meet(of_olds, of_old, "localhost").client_error);
    EXPECT_EQ(meet(of_olds, of_old, "example.org").client_error, tls::error::wrong_host);
    // A wildcard is for one label.
    const identity wild = make_identity({.name = "x", .hosts = "DNS:*.example.org", .issuer = &root});
    const tls::server server({.certificate = wild.certificate_pem(), .key = wild.key_pem()});
    EXPECT_FALSE(meet(certificates().client(), server, "a.example.org").client_error);
    EXPECT_FALSE(meet(certificates().client(), server, "a.example.org.").client_error);
    EXPECT_EQ(meet(certificates().client(), server, "a.b.example.org").client_error, tls::error::wrong_host);
    // Nothing is verified when one says so.
    EXPECT_FALSE(meet(tls::client({.verify = false}), server, "localhost").client_error);
    // By default the system decides, which does not know us.
    EXPECT_EQ(meet(tls::client(), server, "a.example.org").client_error, tls::error::untrusted_issuer);
}

WEFT_TEST(tls_test, exceptions_say_what_is_wrong)
{
    auto [near, far] = memory_conn::pair();
    auto serving = weft::async(
        [far = std::move(far)]() mutable
        {
            std::error_code ec;
            (void)tls::accept(std::move(far), certificates().server(), ec);
        });
    try {
        (void)tls::connect(std::move(near), certificates().client(), "example.org");
        ADD_FAILURE();
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code(), tls::error::wrong_host);
        EXPECT_NE(std::string(e.what()).find("connect example.org"), std::string::npos) << e.what();
        EXPECT_NE(std::string(e.what()).find("for another host"), std::string::npos) << e.what();
    }
    serving.get();
}

WEFT_TEST(tls_test, settings_are_checked)
{
    const identity& a = certificates().localhost;
    const identity b = make_identity({.name = "b"});
    EXPECT_THROW(tls::server({}), std::invalid_argument);
    EXPECT_THROW(tls::server({.certificate = a.certificate_pem(), .key = b.key_pem()}), std::invalid_argument);
    EXPECT_THROW(tls::server({.certificate = {"nonsense"}, .key = a.key_pem()}), std::invalid_argument);
    EXPECT_THROW(tls::server({.certificate = a.certificate_pem(), .key = {}}), std::invalid_argument);
    EXPECT_THROW(tls::client({.authorities = {"nonsense"}}), std::invalid_argument);
    EXPECT_THROW(tls::client({.protocols = {""}}), std::invalid_argument);
}

// What OpenSSL would take for "any host", for any host below a name, or for an address that other parsers read in
// another way.
WEFT_TEST(tls_test, what_is_no_host_is_refused)
{
    using namespace std::string_view_literals;
    for (const std::string_view host : {""sv,
                                        "."sv,
                                        ".."sv,
                                        "[]"sv,
                                        "[].."sv,
                                        ".localhost"sv,
                                        "[.localhost]"sv,
                                        "[localhost]"sv,
                                        "a..b"sv,
                                        "a.."sv,
                                        "localhost\0"sv,
                                        "localhost\0.example.org"sv,
                                        "127.0.0.1\0"sv,
                                        "[::1\0]"sv,
                                        "localhost:443"sv,
                                        "[::1]:443"sv,
                                        "0127.0.0.1"sv,
                                        "127.0.0.01"sv,
                                        "127.1"sv,
                                        "127.0.0.1."sv,
                                        "1"sv,
                                        "::ffff:0127.0.0.1"sv,
                                        "[::1"sv,
                                        "::1]"sv}) {
        auto [near, far] = memory_conn::pair();
        far.close();
        EXPECT_THROW((void)tls::connect(std::move(near), certificates().client(), host), std::invalid_argument) << host;
    }
}

WEFT_TEST(tls_test, addresses_in_all_their_forms)
{
    const identity shown =
        make_identity({.name = "x", .hosts = "IP:127.0.0.1,IP:::1,IP:fe80::1", .issuer = &certificates().root});
    const tls::server server({.certificate = shown.certificate_pem(), .key = shown.key_pem()});
    for (const char* host : {"127.0.0.1", "::ffff:127.0.0.1", "::1", "[::1]", "0:0::1", "fe80::1%lo"}) {
        met m = meet(certificates().client(), server, host);
        EXPECT_FALSE(m.client_error) << host << ": " << m.client_error.message();
    }
    for (const char* host : {"127.0.0.2", "::2", "fe80::2%lo"})
        EXPECT_EQ(meet(certificates().client(), server, host).client_error, tls::error::wrong_host) << host;
}

WEFT_TEST(tls_test, protocols_are_chosen)
{
    const auto protocol = [](std::vector<std::string> offered, std::vector<std::string> own)
    {
        met m = meet(certificates().client(std::move(offered)), certificates().server(std::move(own)), "localhost");
        if (m.client_error)
            EXPECT_EQ(m.client_error, m.server_error);
        else
            EXPECT_EQ(m.client->protocol(), m.server->protocol());
        return m.client_error ? m.client_error.message() : m.client->protocol();
    };
    EXPECT_EQ(protocol({"h2", "http/1.1"}, {"http/1.1"}), "http/1.1");
    EXPECT_EQ(protocol({"a", "b"}, {"b", "a"}), "b");
    EXPECT_EQ(protocol({}, {"b"}), "");
    EXPECT_EQ(protocol({"b"}, {}), "");
    EXPECT_EQ(protocol({"a"}, {"b"}), make_error_code(tls::error::no_common_protocol).message());
}

WEFT_TEST(tls_test, client_certificates)
{
    const authority& all = certificates();
    const identity person = make_identity({.name = "person", .issuer = &all.root});
    const tls::server strict({.certificate = all.localhost.certificate_pem(),
                              .key = all.localhost.key_pem(),
                              .client_authorities = all.root.certificate_pem()});
    const tls::client known(
        {.authorities = all.root.certificate_pem(), .certificate = person.certificate_pem(), .key = person.key_pem()});
    met m = meet(known, strict, "localhost");
    ASSERT_FALSE(m.server_error) << m.server_error.message();
    EXPECT_EQ(m.server->peer_certificate().text, person.certificate_pem().text);
    EXPECT_EQ(meet(all.client(), strict, "localhost").server_error, tls::error::no_certificate);
}

WEFT_TEST(tls_test, sessions_are_resumed)
{
    const tls::client client = certificates().client();
    const tls::server server = certificates().server();
    const auto once = [&]
    {
        met m = meet(client, server, "localhost");
        EXPECT_FALSE(m.client_error) << m.client_error.message();
        m.server->write(bytes("x"));
        EXPECT_EQ(read_some(*m.client), "x");  // and the tickets before it
        EXPECT_EQ(m.client->resumed(), m.server->resumed());
        m.client->close();
        return m.client->resumed();
    };
    EXPECT_FALSE(once());
    for (int i = 0; i < 10; ++i)
        EXPECT_TRUE(once());
    // Another host's are not this one's, and a session is no way around verification.
    EXPECT_EQ(meet(client, server, "example.org").client_error, tls::error::wrong_host);
    EXPECT_FALSE(meet(client, server, "127.0.0.1").client->resumed());
    const tls::client forgets({.authorities = certificates().root.certificate_pem(), .sessions = 0});
    for (int i = 0; i < 2; ++i) {
        met m = meet(forgets, server, "localhost");
        m.server->write(bytes("x"));
        EXPECT_EQ(read_some(*m.client), "x");
        EXPECT_FALSE(m.client->resumed());
    }
}

WEFT_TEST(tls_test, what_is_not_tls)
{
    for (const bool server_side : {true, false}) {
        auto [near, far] = memory_conn::pair();
        std::error_code ec;
        near.write(bytes("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), ec);
        if (server_side)
            (void)tls::accept(std::move(far), certificates().server(), ec);
        else
            (void)tls::connect(std::move(far), certificates().client(), "localhost", ec);
        EXPECT_EQ(ec, tls::error::protocol) << ec.message();
    }
}

// What breaks the records of a peer that has shaken hands is told to it (RFC 8446, 6.2), at once.
WEFT_TEST(tls_test, a_broken_record_is_answered_by_an_alert)
{
    met m = meet(certificates().client(), certificates().server(), "localhost");
    ASSERT_FALSE(m.client_error || m.server_error);
    auto told = weft::async(
        [&]
        {
            std::error_code ec;
            std::array<std::byte, 8> buffer{};
            (void)m.client->read(buffer, ec);
            return ec;
        });
    std::string junk("\x17\x03\x03\x00\x20", 5);
    junk.append(32, 'j');
    std::error_code ec;
    m.client->next_layer().write(bytes(junk), ec);
    ASSERT_FALSE(ec);
    std::array<std::byte, 8> buffer{};
    EXPECT_EQ(m.server->read(buffer, ec), 0U);
    EXPECT_EQ(ec, tls::error::protocol) << ec.message();
    EXPECT_EQ(told.get(), tls::error::refused_by_peer);
    EXPECT_NE(m.client->problem().find("bad record mac"), std::string::npos) << m.client->problem();
    EXPECT_EQ(m.server->write("x", ec), 0U);
    EXPECT_EQ(ec, tls::error::protocol) << "the cause, and not that it has been closed";
}

/// A client of OpenSSL's own, by hand.
class bare_client {
public:
    explicit bare_client(memory_conn conn)
        : conn_(std::move(conn)),
          context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free),
          ssl_(SSL_new(context_.get()), SSL_free),
          in_(BIO_new(BIO_s_mem())),
          out_(BIO_new(BIO_s_mem()))
    {
        SSL_set_connect_state(ssl_.get());
        SSL_set_bio(ssl_.get(), in_, out_);
    }
    void handshake()
    {
        while (SSL_do_handshake(ssl_.get()) != 1) {
            flush();
            std::array<std::byte, 4'096> part{};
            std::error_code ec;
            const std::size_t n = conn_.read(part, ec);
            ASSERT_FALSE(ec || n == 0);
            BIO_write(in_, part.data(), static_cast<int>(n));
        }
        flush();
    }
    /// Asks the peer to change its keys too. False: the connection has ended.
    [[nodiscard]] bool change_keys()
    {
        return SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl_.get()) == 1 &&
               flush();
    }

private:
    bool flush()
    {
        char* data = nullptr;
        const long n = BIO_get_mem_data(out_, &data);
        std::error_code ec;
        conn_.write(std::as_bytes(std::span(data, static_cast<std::size_t>(n))), ec);
        (void)BIO_reset(out_);
        return !ec;
    }
    memory_conn conn_;
    std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
    std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
    BIO* in_;
    BIO* out_;
};

// The answers wait for something to be written. They must not pile up without end.
WEFT_TEST(tls_test, a_flood_of_key_changes_is_cut_off)
{
    auto [near, far] = memory_conn::pair();
    auto flooding = weft::async(
        [near = std::move(near)]() mutable
        {
            bare_client client(std::move(near));
            client.handshake();
            int changes = 0;
            while (client.change_keys())
                ++changes;
            return changes;
        });
    std::error_code ec;
    auto server = tls::accept(std::move(far), certificates().server(), ec);
    ASSERT_FALSE(ec) << server.problem();
    std::array<std::byte, 8> buffer{};
    EXPECT_EQ(server.read(buffer, ec), 0U);
    EXPECT_EQ(ec, tls::error::protocol);
    EXPECT_NE(server.problem().find("new keys"), std::string::npos) << server.problem();
    server.close();
    EXPECT_GT(flooding.get(), 500) << "a few are fine";
}

WEFT_TEST(tls_test, handshakes_have_limits)
{
    {
        auto [near, far] = memory_conn::pair();
        std::error_code ec;
        (void)tls::accept(std::move(far), certificates().server(), 5ms, ec);
        EXPECT_EQ(ec, std::errc::timed_out);
    }
    {
        auto [near, far] = memory_conn::pair();
        std::error_code ec;
        near.close();
        (void)tls::connect(std::move(far), certificates().client(), "localhost", ec);
        EXPECT_TRUE(ec == tls::error::handshake_aborted || ec == std::errc::broken_pipe) << ec.message();
    }
}

WEFT_TEST(tls_test, deadlines)
{
    met m = meet(certificates().client(), certificates().server(), "localhost", 4'096);
    std::array<std::byte, 8> buffer{};
    std::error_code ec;
    m.client->set_deadline(weft::clock::now() + 5ms);
    EXPECT_EQ(m.client->read(buffer, ec), 0U);
    EXPECT_EQ(ec, std::errc::timed_out);
    // Reading may be tried again.
    m.client->set_read_deadline(weft::clock::time_point::max());
    m.server->write(bytes("late"));
    EXPECT_EQ(m.client->read(buffer, ec), 4U);
    // Nobody reads at the other end: writing times out, and is over for good.
    const std::string much(1 << 20, 'x');
    EXPECT_LT(m.client->write(bytes(much), ec), much.size());
    EXPECT_EQ(ec, std::errc::timed_out);
    m.client->set_write_deadline(weft::clock::time_point::max());
    EXPECT_EQ(m.client->write(bytes("x"), ec), 0U);
    EXPECT_EQ(ec, std::errc::timed_out);
}

WEFT_TEST(tls_test, close_wakes_readers_and_writers)
{
    met m = meet(certificates().client(), certificates().server(), "localhost", 4'096);
    std::error_code read_error;
    std::error_code write_error;
    weft::wait_group all;
    all.go(
        [&]
        {
            std::array<std::byte, 8> buffer{};
            m.client->read(buffer, read_error);
        });
    all.go(
        [&]
        {
            const std::string much(1 << 20, 'x');
            m.client->write(bytes(much), write_error);
        });
    while (weft::stats().goroutines_waiting < 2)
        weft::sleep_for(100us);
    m.client->close();
    all.wait();
    EXPECT_TRUE(read_error == std::errc::operation_canceled || read_error == tls::error::closed)
        << read_error.message();
    EXPECT_TRUE(write_error == std::errc::operation_canceled || write_error == tls::error::closed)
        << write_error.message();
}

/// Both write more than fits before either reads, and read at the same time.
WEFT_TEST(tls_test, both_directions_at_once)
{
    const procs four(4);
    met m = meet(certificates().client(), certificates().server(), "localhost", 8'192);
    const std::size_t size = scaled(std::size_t{8} << 20);
    const auto send = [size](stream& s, unsigned seed)
    {
        std::string piece(100'000, ' ');
        for (std::size_t at = 0; at < size;) {
            const std::size_t n = std::min(piece.size() / (1 + at % 7), size - at);
            for (std::size_t i = 0; i < n; ++i)
                piece[i] = static_cast<char>((at + i) * 31 + seed + (at + i) / 251);
            s.write(bytes(std::string_view(piece).substr(0, n)));
            at += n;
        }
        s.shutdown_write();
    };
    const auto receive = [](stream& s, unsigned seed)
    {
        std::size_t at = 0;
        std::string piece(30'000, ' ');
        while (const std::size_t n = s.read(std::as_writable_bytes(std::span(piece)))) {
            for (std::size_t i = 0; i < n; ++i)
                if (piece[i] != static_cast<char>((at + i) * 31 + seed + (at + i) / 251))
                    return std::size_t{0};
            at += n;
        }
        return at;
    };
    auto a = weft::async([&] { return receive(*m.server, 1); });
    auto b = weft::async([&] { return receive(*m.client, 2); });
    auto c = weft::async([&] { send(*m.client, 1); });
    send(*m.server, 2);
    c.get();
    EXPECT_EQ(a.get(), size);
    EXPECT_EQ(b.get(), size);
}

/// Handshakes, with all that OpenSSL does in them, on stacks half as large as the default.
WEFT_TEST(tls_test, many_on_small_stacks)
{
    const procs four(4);
    const tls::client client = certificates().client();
    const tls::server server = certificates().server();
    std::atomic<int> good{0};
    const int count = static_cast<int>(scaled(200));
    weft::wait_group all;
    for (int i = 0; i < count; ++i) {
        auto ends = std::make_shared<std::pair<memory_conn, memory_conn>>(memory_conn::pair(4'096));
        const weft::attr small{.stack_size = (weft::test::under_sanitizer ? 256U : 64U) << 10U};
        all.add(2);
        weft::go(small,
                 [&, ends]
                 {
                     stream s = tls::accept(std::move(ends->second), server);
                     const std::string heard = read_some(s);
                     s.write(bytes(heard + heard));
                     const bool at_end = read_some(s).empty();  // who closes earlier breaks the client's pipe
                     s.close();
                     good += at_end ? 1 : 0;
                     all.done();
                 });
        weft::go(small,
                 [&, ends, i]
                 {
                     stream s = tls::connect(std::move(ends->first), client, "localhost");
                     s.write(bytes(std::to_string(i)));
                     s.shutdown_write();
                     good += read_some(s) == std::to_string(i) + std::to_string(i) && read_some(s).empty() ? 1 : 0;
                     all.done();
                 });
    }
    all.wait();
    EXPECT_EQ(good, 2 * count);
}

}  // namespace
