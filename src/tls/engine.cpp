// TLS over a connection that parks.
//
// OpenSSL never sees a descriptor: its reads and writes go to two buffers here (buffers_method), and whoever calls
// OpenSSL moves bytes between these and the connection, where it may park. An SSL object is for one thread at a time,
// but a stream's reader and writer are two goroutines, so:
//
//   reading  held by the reader for all of its call; guards `input` while OpenSSL is not in it
//   writing  held by the writer for all of its call; guards `sending`, and so the order of records on the connection
//   lock     held around calls of OpenSSL, for as long as they compute, and never over a call of the connection.
//            Guards ssl, `input`, `output` and all the other members
//   Order: reading, writing, lock. The handshake takes all.
//
//   R1 lock; SSL_read out of `input`: something, the goodbye or an error end the call; unlock
//   R2 read the connection into `input`, which OpenSSL has emptied; again from R1
//   W1 lock; SSL_write, which puts records into `output`; swap `output` and `sending`; unlock
//   W2 write `sending` to the connection; again from W1 until all has been taken
//
// A writer that parks in W2, because the peer does not read, thus never keeps the reader from reading: if the peer
// waits for us to read first, it comes about. In turn the reader does not write. What SSL_read would like to send (the
// answer to a change of keys) stays in `output` and goes before what is written next, which is all that TLS asks for. A
// peer that asks for such answers without end, while nothing is written, is cut off: `output` has a bound.
//
// When reading has failed for good there is nothing left to wait for: the reader then sends the alert that says so,
// unless a writer holds `writing`, in which case close() does.
//
// OpenSSL keeps its errors per thread, so nothing may park between a call of it and the look at its error: under `lock`
// nothing does, the callbacks included (settings.hpp).
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>

#include "tls/errors.hpp"
#include "tls/settings.hpp"
#include "weft/mutex.hpp"
#include "weft/net.hpp"

namespace weft::tls::detail {

namespace {

/// How much a stream that waits has for what comes; and one whose peer has filled that: a record and some more.
constexpr std::size_t small_input = 4'096;
constexpr std::size_t large_input = std::size_t{20} << 10;
/// Encrypted at a time: four records, for one write.
constexpr std::size_t most_at_once = std::size_t{64} << 10;
/// Buffers above this are given back when they are empty.
constexpr std::size_t kept_output = 4'096;
/// What may stand in `output` for the next write: the answers to more than a thousand changes of keys.
constexpr std::size_t most_unsent = std::size_t{32} << 10;
/// How long close() tries to say goodbye, and read() to say why it has failed.
constexpr std::chrono::seconds goodbye_time{1};

}  // namespace

struct engine::state {
    transport& under;
    std::shared_ptr<settings> common;
    std::string host;  ///< of the peer; empty on a server
    std::unique_ptr<SSL, freed_by<SSL_free>> ssl;

    weft::mutex reading;
    weft::mutex writing;
    mutable weft::mutex lock;

    std::vector<std::byte> input;
    std::size_t input_at = 0;  ///< OpenSSL's place in it
    std::size_t input_end = 0;
    std::vector<std::byte> output;
    std::vector<std::byte> sending;

    bool ready = false;     ///< the handshake is over
    bool closed = false;    ///< by close()
    bool said_bye = false;  ///< SSL_shutdown() has been called
    bool broken = false;    ///< OpenSSL has failed for good: it must not be called again
    bool heard_bye = false;
    std::error_code read_error;   ///< for good
    std::error_code write_error;  ///< for good
    std::string problem;

    state(transport& t, std::shared_ptr<settings> s, std::string_view peer);

    /// Under `lock`: what OpenSSL has failed with.
    std::error_code failed()
    {
        broken = true;
        return take_error(ssl.get(), host, problem);
    }
    /// Holding `writing`, after output was swapped into sending.
    void send(std::error_code& ec)
    {
        ec.clear();
        if (!sending.empty())
            under.write(sending, ec);
        sending.clear();
        if (sending.capacity() > kept_output)
            sending = {};
    }
    /// Holding `reading`, when OpenSSL has emptied the input. False: the end, or an error.
    [[nodiscard]] bool receive(std::error_code& ec);
    /// Under `lock`, holding `writing`: puts the goodbye into `sending`; where OpenSSL has failed, what it has said
    /// then.
    void prepare_bye();
    /// Holding `writing`: sends what prepare_bye() has prepared, for some time at most.
    void send_bye();
    /// Without `lock`, after reading has failed for good.
    void say_why_it_failed();

    // OpenSSL's way to the buffers, under `lock`.
    static BIO_METHOD* buffers_method();
    static int put(BIO* bio, const char* data, std::size_t size, std::size_t* written) noexcept;
    static int get(BIO* bio, char* data, std::size_t size, std::size_t* read) noexcept;
    static long control(BIO* bio, int command, long number, void* pointer) noexcept;
};

int engine::state::put(BIO* bio, const char* data, std::size_t size, std::size_t* written) noexcept
try {
    auto& self = *static_cast<state*>(BIO_get_data(bio));
    const auto bytes = std::as_bytes(std::span(data, size));
    self.output.insert(self.output.end(), bytes.begin(), bytes.end());
    *written = size;
    return 1;
} catch (const std::bad_alloc&) {
    ERR_raise(ERR_LIB_BIO, ERR_R_MALLOC_FAILURE);
    return 0;
}

int engine::state::get(BIO* bio, char* data, std::size_t size, std::size_t* read) noexcept
{
    auto& self = *static_cast<state*>(BIO_get_data(bio));
    const std::size_t n = std::min(size, self.input_end - self.input_at);
    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    std::memcpy(data, self.input.data() + self.input_at, n);
    self.input_at += n;
    *read = n;
    return 1;
}

long engine::state::control(BIO*, int command, long, void*) noexcept
{
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD* engine::state::buffers_method()
{
    static BIO_METHOD* const method = []
    {
        BIO_METHOD* const m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weft buffers");
        if (m == nullptr || BIO_meth_set_write_ex(m, put) != 1 || BIO_meth_set_read_ex(m, get) != 1 ||
            BIO_meth_set_ctrl(m, control) != 1)
            throw std::bad_alloc();
        return m;
    }();
    return method;
}

const std::string& host_of(const SSL* ssl) noexcept
{
    return *static_cast<const std::string*>(SSL_get_ex_data(ssl, 0));
}

settings& settings_of(const SSL* ssl) noexcept
{
    return *static_cast<settings*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), 0));
}

engine::state::state(transport& t, std::shared_ptr<settings> s, std::string_view peer)
    : under(t), common(std::move(s)), host(peer), ssl(SSL_new(common->get()))
{
    if (!ssl || SSL_set_ex_data(ssl.get(), 0, &host) != 1)
        throw std::bad_alloc();
    BIO* const bio = BIO_new(buffers_method());
    if (bio == nullptr)
        throw std::bad_alloc();
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl.get(), bio, bio);
}

bool engine::state::receive(std::error_code& ec)
{
    if (input.empty())
        input.resize(small_input);
    else if (input_end == input.size() && input.size() < large_input)
        input.resize(large_input);
    const std::size_t n = under.read(input, ec);
    const std::lock_guard guard(lock);
    input_at = 0;
    input_end = n;
    if (!ec && n == 0)
        ec = read_error = ready ? error::truncated : error::handshake_aborted;
    if (ec && closed)
        ec = std::make_error_code(std::errc::operation_canceled);
    if (n == 0 && ec == error::truncated)
        problem.clear();
    return !ec;
}

void engine::state::prepare_bye()
{
    if (!ready || said_bye || write_error)
        return;
    said_bye = true;
    if (!broken) {
        ERR_clear_error();
        if (SSL_shutdown(ssl.get()) < 0)
            ERR_clear_error();  // there is nothing left to do about it
    }
    output.swap(sending);
}

void engine::state::send_bye()
{
    if (sending.empty())
        return;
    std::error_code ignored;
    under.set_write_deadline(weft::detail::deadline_after(goodbye_time));
    send(ignored);
}

void engine::state::say_why_it_failed()
{
    if (!writing.try_lock())
        return;
    const std::lock_guard mine(writing, std::adopt_lock);
    {
        const std::lock_guard guard(lock);
        prepare_bye();
    }
    send_bye();
}

namespace {

struct peer_name {
    std::string text;
    bool is_address;
};

/// What `host` is, by weft::net's rules for addresses, so that what is verified is what is dialled: OpenSSL's parser
/// takes "0127.0.0.1" for one too. Nor may OpenSSL see an empty name, which would be any host to it, or a leading dot,
/// which would be any host below that name.
peer_name name_of(std::string_view host)
{
    const bool in_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
    const std::string_view inner = in_brackets ? host.substr(1, host.size() - 2) : host;
    std::error_code ec;
    if (const net::address a = net::address::parse('[' + std::string(inner) + "]:0", ec)) {
        const std::string text = a.host();
        return {text.substr(0, text.find('%')), true};  // certificates have no zones
    }
    const std::string_view name = host.ends_with('.') ? host.substr(0, host.size() - 1) : host;
    if (name.find_first_not_of("0123456789.") == std::string_view::npos || name.size() > 253 || name.front() == '.' ||
        host.find("..") != std::string_view::npos ||
        name.find_first_of(std::string_view("\0:[]%", 5)) != std::string_view::npos)
        throw std::invalid_argument(
            "weft::tls::connect: the host is a name or an IP address, without a port: nothing "
            "to verify in '" +
            std::string(host) + "'");
    return {std::string(name), false};
}

}  // namespace

engine::engine(const client& settings, std::string_view host, transport& under)
{
    const peer_name peer = name_of(host);
    state_ = std::make_unique<state>(under, settings.settings_, peer.text);
    SSL* const ssl = state_->ssl.get();
    SSL_set_connect_state(ssl);
    std::string& name = state_->host;
    bool good = false;
    if (peer.is_address) {
        good = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1;
    } else {
        // RFC 9525, 1.3: the common name is no host name. As in Go and browsers.
        const bool old = state_->common->allows_common_name();
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | (old ? 0U : X509_CHECK_FLAG_NEVER_CHECK_SUBJECT));
        good = SSL_set1_host(ssl, name.c_str()) == 1 &&
               // SSL_set_tlsext_host_name(), which is a macro with C's casts.
               SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data()) == 1;
    }
    if (!good)
        throw std::invalid_argument("weft::tls::connect: not a host: '" + name + "'");
    if (const session_ptr earlier = state_->common->session_for(name))
        (void)SSL_set_session(ssl, earlier.get());  // one that does not fit means a full handshake
}

engine::engine(const server& settings, transport& under)
    : state_(std::make_unique<state>(under, settings.settings_, ""))
{
    SSL_set_accept_state(state_->ssl.get());
}

engine::~engine()
{
    // Else OpenSSL would say of the session, which may be kept for resumption, that it ended badly and is not to be
    // used again. Whether an end was one, read() has told.
    if (state_->ready && !state_->broken)
        SSL_set_shutdown(state_->ssl.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

void engine::handshake(std::chrono::nanoseconds timeout, std::error_code& ec)
{
    state& s = *state_;
    const std::scoped_lock whole(s.reading, s.writing);
    const auto deadline = weft::detail::deadline_after(timeout);
    s.under.set_read_deadline(deadline);
    s.under.set_write_deadline(deadline);
    for (bool over = false; !over;) {
        std::error_code failure;
        {
            const std::lock_guard guard(s.lock);
            ERR_clear_error();
            const int result = SSL_do_handshake(s.ssl.get());
            if (result == 1)
                s.ready = over = true;
            else if (SSL_get_error(s.ssl.get(), result) != SSL_ERROR_WANT_READ)
                failure = s.read_error = s.write_error = s.failed();
            s.output.swap(s.sending);
        }
        // Also what tells the peer of our failure.
        s.send(ec);
        if (failure)
            ec = failure;
        if (ec)
            return;
        if (!over && !s.receive(ec))
            return;
    }
    s.under.set_read_deadline(clock::time_point::max());
    s.under.set_write_deadline(clock::time_point::max());
}

std::size_t engine::read(std::span<std::byte> into, std::error_code& ec)
{
    ec.clear();
    if (into.empty())
        return 0;
    state& s = *state_;
    const std::lock_guard whole(s.reading);
    for (;;) {
        bool failed = false;
        {
            const std::lock_guard guard(s.lock);
            if (s.closed)
                ec = error::closed;
            else if (!s.ready || s.read_error)
                ec = s.read_error ? s.read_error : error::handshake_aborted;
            if (ec || s.heard_bye)
                return 0;
            std::size_t n = 0;
            ERR_clear_error();
            if (SSL_read_ex(s.ssl.get(), into.data(), into.size(), &n) == 1)
                return n;
            const int why = SSL_get_error(s.ssl.get(), 0);
            if (why == SSL_ERROR_ZERO_RETURN) {
                s.heard_bye = true;
                return 0;
            }
            if (why != SSL_ERROR_WANT_READ) {
                ec = s.read_error = s.failed();
                failed = true;
            } else if (s.output.size() > most_unsent) {
                ec = s.read_error = error::protocol;
                s.problem = "the peer asks for more and more new keys and leaves no time to answer";
                s.broken = failed = true;
                s.output = {};
            }
        }
        if (failed) {
            s.say_why_it_failed();
            return 0;
        }
        if (!s.receive(ec))
            return 0;
    }
}

std::size_t engine::write(std::span<const std::byte> from, std::error_code& ec)
{
    ec.clear();
    state& s = *state_;
    const std::lock_guard whole(s.writing);
    std::size_t done = 0;
    while (done < from.size()) {
        const auto piece = from.subspan(done, std::min(from.size() - done, most_at_once));
        {
            const std::lock_guard guard(s.lock);
            if (s.closed)
                ec = error::closed;
            else if (s.write_error)
                ec = s.write_error;
            else if (!s.ready || s.broken)
                ec = s.read_error ? s.read_error : error::handshake_aborted;
            else if (s.said_bye)
                ec = error::closed;
            if (ec)
                return done;
            std::size_t n = 0;
            ERR_clear_error();
            if (SSL_write_ex(s.ssl.get(), piece.data(), piece.size(), &n) != 1) {
                // It takes all, as the buffer grows; and wants nothing from the peer, as there is no renegotiation.
                ec = s.write_error = s.failed();
                return done;
            }
            s.output.swap(s.sending);
        }
        s.send(ec);
        if (ec) {
            const std::lock_guard guard(s.lock);
            s.write_error = ec;
            if (s.closed)
                ec = std::make_error_code(std::errc::operation_canceled);
            return done;
        }
        done += piece.size();
    }
    return done;
}

void engine::shutdown_write(std::error_code& ec)
{
    ec.clear();
    state& s = *state_;
    const std::lock_guard whole(s.writing);
    {
        const std::lock_guard guard(s.lock);
        if (s.closed)
            ec = error::closed;
        else if (s.write_error)
            ec = s.write_error;
        if (ec || s.said_bye)
            return;
        s.prepare_bye();
    }
    s.send(ec);
    if (ec) {
        const std::lock_guard guard(s.lock);
        s.write_error = ec;
    }
}

void engine::close() noexcept
{
    state& s = *state_;
    {
        const std::lock_guard guard(s.lock);
        if (s.closed)
            return;
        s.closed = true;
    }
    if (s.writing.try_lock()) {
        {
            const std::lock_guard guard(s.lock);
            s.prepare_bye();
        }
        s.send_bye();
        s.writing.unlock();
    }
    s.under.close();
}

void engine::set_read_deadline(clock::time_point when)
{
    state_->under.set_read_deadline(when);
}

void engine::set_write_deadline(clock::time_point when)
{
    state_->under.set_write_deadline(when);
}

std::string engine::problem() const
{
    const std::lock_guard guard(state_->lock);
    return state_->problem;
}

std::string engine::version() const
{
    const std::lock_guard guard(state_->lock);
    return SSL_get_version(state_->ssl.get());
}

std::string engine::cipher() const
{
    const std::lock_guard guard(state_->lock);
    return SSL_get_cipher_name(state_->ssl.get());
}

std::string engine::protocol() const
{
    const std::lock_guard guard(state_->lock);
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(state_->ssl.get(), &name, &size);
    return std::string(name, name + size);
}

bool engine::resumed() const
{
    const std::lock_guard guard(state_->lock);
    return SSL_session_reused(state_->ssl.get()) == 1;
}

pem engine::peer_certificate() const
{
    const std::lock_guard guard(state_->lock);
    const X509* const certificate = SSL_get0_peer_certificate(state_->ssl.get());
    if (certificate == nullptr)
        return {};
    const std::unique_ptr<BIO, freed_by<BIO_free_all>> text(BIO_new(BIO_s_mem()));
    char* data = nullptr;
    if (!text || PEM_write_bio_X509(text.get(), certificate) != 1)
        throw std::bad_alloc();
    const long size = BIO_get_mem_data(text.get(), &data);
    return {std::string(data, static_cast<std::size_t>(size))};
}

void engine::fail(const char* what, std::error_code ec) const
{
    std::string where = std::string("weft::tls: ") + what;
    if (!state_->host.empty())
        where += " " + state_->host;
    const std::string more = problem();
    if (ec.category() == category() && !more.empty())
        where += " (" + more + ")";
    throw std::system_error(ec, where);
}

}  // namespace weft::tls::detail
