// TLS over any connection, by OpenSSL 3. A library of its own: link weft::tls beside weft.
//
//     const weft::tls::client client;                                        // once; trusts what the system trusts
//     auto conn = weft::tls::connect(weft::net::dial("example.org:443"), client, "example.org");
//     conn.write(std::as_bytes(std::span(request)));
//
// The peer's certificate and its name are verified unless one says otherwise. TLS 1.2 and 1.3.
//
// Errors, as everywhere in weft: the plain form throws std::system_error, and each has an overload with a last
// std::error_code& that does not throw. Beside the connection's own errors there are those of tls::error.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/clock.hpp"
#include "weft/detail/config.hpp"

namespace weft::tls {

/// What can go wrong in TLS. Converts to std::error_code. The exceptions' what() and stream::problem() say more.
enum class error : int {
    truncated = 1,       ///< the connection ended without the peer's goodbye: what was read may not be all
    handshake_aborted,   ///< the connection ended during the handshake
    closed,              ///< the stream has been closed, or closed for writing, on this side
    protocol,            ///< what the peer sends is not TLS, or breaks its rules
    no_common_version,   ///< no TLS version, or no cipher, that both sides allow
    no_common_protocol,  ///< no ALPN protocol that both sides have
    refused_by_peer,     ///< the peer has sent an alert; problem() says which
    wrong_host,          ///< the peer's certificate is for another host
    expired,             ///< the peer's certificate, or one above it, has expired
    not_yet_valid,       ///< ... is not valid yet
    self_signed,         ///< the peer's certificate is signed by itself and is not among the trusted ones
    untrusted_issuer,    ///< the peer's certificate leads to no authority that is trusted
    revoked,             ///< the peer's certificate has been withdrawn
    bad_certificate,     ///< the peer's certificate is refused for another reason, in problem()
    no_certificate,      ///< the client has shown no certificate and had to
};

/// The category of tls::error, named "weft.tls".
[[nodiscard]] WEFT_API const std::error_category& category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(error e) noexcept
{
    return {static_cast<int>(e), category()};
}

}  // namespace weft::tls

template <>
struct std::is_error_code_enum<weft::tls::error> : std::true_type {};

namespace weft::tls {

/// What a stream needs under it: weft's connections have it. read() parks until there is something and returns how many
/// bytes, 0 at the end; write() writes all. With set_read_deadline() and set_write_deadline(clock::time_point) the
/// stream has deadlines too.
template <class C>
concept connection =
    std::movable<C> && requires(C& c, std::span<std::byte> in, std::span<const std::byte> out, std::error_code& ec) {
        { c.read(in, ec) } -> std::convertible_to<std::size_t>;
        c.write(out, ec);
        c.close();
    };

/// PEM text: a certificate with those that lead to its authority, or a key.
struct pem {
    std::string text;

    /// What is in a file. Throws as fs::read_file().
    [[nodiscard]] static WEFT_API pem file(const std::string& name);
};

struct client_options {
    /// Whether the peer's certificate is verified, its name included. False is for tests: anybody can then listen.
    bool verify = true;
    /// Whether a certificate without any host name in subjectAltName is taken for the host in its common name, as old
    /// private ones have it. Off, as in Go and browsers: error::wrong_host.
    bool allow_common_name = false;
    /// Authorities to trust beside the system's.
    pem authorities{};
    /// Whether those of the system are trusted (OpenSSL's default places, SSL_CERT_FILE and SSL_CERT_DIR).
    bool system_authorities = true;
    /// Protocols to offer by ALPN, the dearest first: "h2", "http/1.1".
    std::vector<std::string> protocols{};
    /// What to show a server that asks; both or none.
    pem certificate{};
    pem key{};
    /// How many hosts' sessions are kept for resumption; 0: none.
    std::size_t sessions = 256;
};

struct server_options {
    /// Shown to clients; needed.
    pem certificate{};
    pem key{};
    /// Protocols by ALPN, the dearest first. A client that offers others alone is refused.
    std::vector<std::string> protocols{};
    /// With authorities: clients must show a certificate that leads to one of them.
    pem client_authorities{};
};

namespace detail {

class settings;
class engine;

/// The connection, as the engine sees it. Called without any lock of the engine's held: these may park.
class transport {
public:
    virtual ~transport() = default;
    virtual std::size_t read(std::span<std::byte> into, std::error_code& ec) = 0;
    virtual void write(std::span<const std::byte> from, std::error_code& ec) = 0;
    virtual void close() noexcept = 0;
    virtual void set_read_deadline(clock::time_point when) = 0;
    virtual void set_write_deadline(clock::time_point when) = 0;
};

template <connection C>
class transport_of final : public transport {
public:
    explicit transport_of(C&& c) : conn(std::move(c)) {}
    std::size_t read(std::span<std::byte> into, std::error_code& ec) override { return conn.read(into, ec); }
    void write(std::span<const std::byte> from, std::error_code& ec) override { (void)conn.write(from, ec); }
    void close() noexcept override
    {
        try {
            conn.close();
        } catch (const std::system_error&) {
            // It is closed; that its last bytes did not arrive, a stream would have told by an error before.
            return;
        }
    }
    void set_read_deadline(clock::time_point when) override
    {
        if constexpr (requires { conn.set_read_deadline(when); })
            conn.set_read_deadline(when);
    }
    void set_write_deadline(clock::time_point when) override
    {
        if constexpr (requires { conn.set_write_deadline(when); })
            conn.set_write_deadline(when);
    }

    C conn;
};

}  // namespace detail

/// How a process connects: what it trusts, what it offers, and the sessions to resume. A handle: copies share all that.
/// May be used by any number of streams at a time.
class client {
public:
    /// Throws std::invalid_argument for certificates and keys that can't be read or do not match.
    WEFT_API explicit client(const client_options& options = {});

private:
    friend class detail::engine;
    std::shared_ptr<detail::settings> settings_;
};

/// How a process answers: what it shows, and the keys of the sessions' tickets. A handle, as client.
class server {
public:
    /// Throws std::invalid_argument for certificates and keys that are missing, can't be read or do not match.
    WEFT_API explicit server(const server_options& options);

private:
    friend class detail::engine;
    std::shared_ptr<detail::settings> settings_;
};

/// A handshake that takes longer fails with errc::timed_out (where the connection has deadlines).
inline constexpr std::chrono::seconds default_handshake_timeout{10};

namespace detail {

/// TLS over a transport; see src/tls/engine.cpp.
class engine {
public:
    /// Throws std::invalid_argument for an empty or impossible `host`, std::bad_alloc.
    WEFT_API engine(const client& settings, std::string_view host, transport& under);
    WEFT_API engine(const server& settings, transport& under);
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;
    WEFT_API ~engine();

    WEFT_API void handshake(std::chrono::nanoseconds timeout, std::error_code& ec);
    WEFT_API std::size_t read(std::span<std::byte> into, std::error_code& ec);
    WEFT_API std::size_t write(std::span<const std::byte> from, std::error_code& ec);
    WEFT_API void shutdown_write(std::error_code& ec);
    WEFT_API void close() noexcept;
    WEFT_API void set_read_deadline(clock::time_point when);
    WEFT_API void set_write_deadline(clock::time_point when);

    [[nodiscard]] WEFT_API std::string problem() const;
    [[nodiscard]] WEFT_API std::string version() const;
    [[nodiscard]] WEFT_API std::string cipher() const;
    [[nodiscard]] WEFT_API std::string protocol() const;
    [[nodiscard]] WEFT_API bool resumed() const;
    [[nodiscard]] WEFT_API pem peer_certificate() const;
    /// Throws std::system_error: `ec` and problem().
    [[noreturn]] WEFT_API void fail(const char* what, std::error_code ec) const;

private:
    struct state;
    std::unique_ptr<state> state_;
};

}  // namespace detail

/// TLS over a connection, which it owns; made by connect() and accept(). Move-only. One reader and one writer may run
/// at a time, more queue up; close() may come from anywhere and wakes them. Moving from and destroying want the object
/// for themselves. The destructor closes the connection without a goodbye: the peer sees error::truncated.
template <connection C>
class stream {
public:
    stream(stream&&) noexcept = default;
    stream& operator=(stream&&) noexcept = default;

    /// Reads up to `into.size()` bytes; parks until there are some. 0: the peer has said goodbye, so this is the end. A
    /// connection that ends otherwise is error::truncated.
    std::size_t read(std::span<std::byte> into)
    {
        return checked("read", [&](std::error_code& ec) { return read(into, ec); });
    }
    std::size_t read(std::span<std::byte> into, std::error_code& ec) { return all_->engine.read(into, ec); }

    /// Writes all of `from`. Returns the bytes that were handed on: fewer only with an error, after which the stream
    /// can't be written to any more (a record may have been sent in part).
    std::size_t write(std::span<const std::byte> from)
    {
        return checked("write", [&](std::error_code& ec) { return write(from, ec); });
    }
    std::size_t write(std::span<const std::byte> from, std::error_code& ec) { return all_->engine.write(from, ec); }

    std::size_t write(std::string_view from) { return write(std::as_bytes(std::span(from))); }
    std::size_t write(std::string_view from, std::error_code& ec) { return write(std::as_bytes(std::span(from)), ec); }

    /// Says goodbye: the peer's read() returns 0. Reading goes on (half-close; TLS 1.2 peers may end both directions).
    void shutdown_write()
    {
        checked("shutdown_write", [&](std::error_code& ec) { shutdown_write(ec); });
    }
    void shutdown_write(std::error_code& ec) { all_->engine.shutdown_write(ec); }

    /// Says goodbye, unless that has been done or somebody is writing, and closes the connection. Who reads or writes
    /// meanwhile gets errc::operation_canceled. A peer that does not read can hold this up for a second.
    void close() noexcept { all_->engine.close(); }

    /// As of the connection: what waits then, or later, fails with errc::timed_out. clock::time_point::max(): none. A
    /// write that has timed out leaves the stream unusable for writing.
    void set_deadline(clock::time_point when)
    {
        set_read_deadline(when);
        set_write_deadline(when);
    }
    void set_read_deadline(clock::time_point when) { all_->engine.set_read_deadline(when); }
    void set_write_deadline(clock::time_point when) { all_->engine.set_write_deadline(when); }

    /// More about the last error: OpenSSL's words, the peer's alert, what is wrong with the certificate. For people.
    [[nodiscard]] std::string problem() const { return all_->engine.problem(); }
    /// "TLSv1.3".
    [[nodiscard]] std::string version() const { return all_->engine.version(); }
    /// "TLS_AES_256_GCM_SHA384".
    [[nodiscard]] std::string cipher() const { return all_->engine.cipher(); }
    /// What ALPN has chosen; empty: nothing.
    [[nodiscard]] std::string protocol() const { return all_->engine.protocol(); }
    /// Whether an earlier session was taken up again, which spares the handshake most of its work.
    [[nodiscard]] bool resumed() const { return all_->engine.resumed(); }
    /// The peer's own certificate; empty text: it has shown none.
    [[nodiscard]] pem peer_certificate() const { return all_->engine.peer_certificate(); }

    /// The connection. Reading and writing it would break the stream.
    [[nodiscard]] C& next_layer() noexcept { return all_->under.conn; }

private:
    struct parts {
        detail::transport_of<C> under;
        detail::engine engine;
        template <class... Args>
        explicit parts(C&& c, const Args&... args) : under(std::move(c)), engine(args..., under)
        {
        }
    };
    explicit stream(std::unique_ptr<parts> all) noexcept : all_(std::move(all)) {}

    template <class Call>
    auto checked(const char* what, Call call)
    {
        std::error_code ec;
        if constexpr (std::is_void_v<decltype(call(ec))>) {
            call(ec);
            if (ec)
                all_->engine.fail(what, ec);
        } else {
            const auto result = call(ec);
            if (ec)
                all_->engine.fail(what, ec);
            return result;
        }
    }

    template <connection Conn>
    friend stream<Conn> connect(Conn, const client&, std::string_view, std::chrono::nanoseconds);
    template <connection Conn>
    friend stream<Conn> connect(Conn, const client&, std::string_view, std::chrono::nanoseconds, std::error_code&);
    template <connection Conn>
    friend stream<Conn> accept(Conn, const server&, std::chrono::nanoseconds);
    template <connection Conn>
    friend stream<Conn> accept(Conn, const server&, std::chrono::nanoseconds, std::error_code&);

    std::unique_ptr<parts> all_;  ///< null when moved from
};

/// Shakes hands as a client over `conn`. `host` is whom the certificate must be for, a name or an IP address as in
/// net::address, brackets or not, and what the server is told; no port. Throws std::invalid_argument for anything else,
/// as "", ".example.org" and "127.1". Deadlines that `conn` has are replaced: by the handshake's, then by none.
template <connection Conn>
[[nodiscard]] stream<Conn> connect(Conn conn, const client& settings, std::string_view host,
                                   std::chrono::nanoseconds timeout = default_handshake_timeout)
{
    using all = typename stream<Conn>::parts;
    stream<Conn> s(std::make_unique<all>(std::move(conn), settings, host));
    s.checked("connect", [&](std::error_code& ec) { s.all_->engine.handshake(timeout, ec); });
    return s;
}
/// The same; with an error the stream that is returned can be asked for problem() and is of no other use.
template <connection Conn>
[[nodiscard]] stream<Conn> connect(Conn conn, const client& settings, std::string_view host,
                                   std::chrono::nanoseconds timeout, std::error_code& ec)
{
    using all = typename stream<Conn>::parts;
    stream<Conn> s(std::make_unique<all>(std::move(conn), settings, host));
    s.all_->engine.handshake(timeout, ec);
    return s;
}
template <connection Conn>
[[nodiscard]] stream<Conn> connect(Conn conn, const client& settings, std::string_view host, std::error_code& ec)
{
    return tls::connect(std::move(conn), settings, host, default_handshake_timeout, ec);
}

/// Shakes hands as a server over `conn`.
template <connection Conn>
[[nodiscard]] stream<Conn> accept(Conn conn, const server& settings,
                                  std::chrono::nanoseconds timeout = default_handshake_timeout)
{
    using all = typename stream<Conn>::parts;
    stream<Conn> s(std::make_unique<all>(std::move(conn), settings));
    s.checked("accept", [&](std::error_code& ec) { s.all_->engine.handshake(timeout, ec); });
    return s;
}
/// The same; with an error, see connect().
template <connection Conn>
[[nodiscard]] stream<Conn> accept(Conn conn, const server& settings, std::chrono::nanoseconds timeout,
                                  std::error_code& ec)
{
    using all = typename stream<Conn>::parts;
    stream<Conn> s(std::make_unique<all>(std::move(conn), settings));
    s.all_->engine.handshake(timeout, ec);
    return s;
}
template <connection Conn>
[[nodiscard]] stream<Conn> accept(Conn conn, const server& settings, std::error_code& ec)
{
    return tls::accept(std::move(conn), settings, default_handshake_timeout, ec);
}

}  // namespace weft::tls
