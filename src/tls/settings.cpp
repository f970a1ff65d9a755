#include "tls/settings.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "weft/fs.hpp"
#include "weft/runtime.hpp"

namespace weft::tls {

pem pem::file(const std::string& name)
{
    return {fs::read_file(name)};
}

client::client(const client_options& options) : settings_(std::make_shared<detail::settings>(options)) {}
server::server(const server_options& options) : settings_(std::make_shared<detail::settings>(options)) {}

namespace detail {

namespace {

using bio_ptr = std::unique_ptr<BIO, freed_by<BIO_free_all>>;
using certificate_ptr = std::unique_ptr<X509, freed_by<X509_free>>;
using key_ptr = std::unique_ptr<EVP_PKEY, freed_by<EVP_PKEY_free>>;

/// A host's sessions that are worth keeping: TLS 1.3 servers send some, each good for one connection.
constexpr std::size_t most_sessions_of_a_host = 4;

std::string openssl_words()
{
    std::string text;
    while (const unsigned long code = ERR_get_error()) {
        const char* const reason = ERR_reason_error_string(code);
        if (reason != nullptr)
            text += (text.empty() ? "" : ", ") + std::string(reason);
    }
    return text.empty() ? "no reason given" : text;
}

[[noreturn]] void refuse(const char* who, const char* what)
{
    const std::string why = openssl_words();
    throw std::invalid_argument(std::string("weft::tls::") + who + ": " + what + " (" + why + ")");
}

bio_ptr reader(const pem& p)
{
    bio_ptr bio(BIO_new_mem_buf(p.text.data(), static_cast<int>(p.text.size())));
    if (!bio)
        throw std::bad_alloc();
    return bio;
}

/// Encrypted keys can't be asked for: nobody may be at the terminal.
int no_password(char*, int, int, void*) noexcept
{
    return -1;
}

std::vector<unsigned char> wire_format(const std::vector<std::string>& protocols)
{
    std::vector<unsigned char> wire;
    for (const std::string& name : protocols) {
        if (name.empty() || name.size() > 255)
            throw std::invalid_argument("weft::tls: the name of a protocol (ALPN) has 1 to 255 bytes");
        wire.push_back(static_cast<unsigned char>(name.size()));
        wire.insert(wire.end(), name.begin(), name.end());
    }
    return wire;
}

int new_session(SSL* ssl, SSL_SESSION* session) noexcept
{
    return settings_of(ssl).keep_session(host_of(ssl), session) ? 1 : 0;
}

}  // namespace

void settings::common()
{
    if (!context_)
        throw std::bad_alloc();
    if (SSL_CTX_set_ex_data(get(), 0, this) != 1)
        throw std::bad_alloc();
    SSL_CTX_set_min_proto_version(get(), TLS1_2_VERSION);
    SSL_CTX_set_options(get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    // A connection that waits keeps none of OpenSSL's 16 KiB buffers.
    SSL_CTX_set_mode(get(), SSL_MODE_RELEASE_BUFFERS);
}

settings::settings(const client_options& options)
    : context_(SSL_CTX_new(TLS_client_method())),
      verifies_(options.verify),
      allows_common_name_(options.allow_common_name),
      protocols_(wire_format(options.protocols)),
      most_hosts_(options.sessions)
{
    common();
    SSL_CTX_set_verify(get(), options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    if (options.verify && options.system_authorities) {
        // Reads files. Afterwards this may be another thread, which does not have OpenSSL's words.
        std::string why;
        weft::blocking(
            [&]
            {
                ERR_clear_error();
                if (SSL_CTX_set_default_verify_paths(get()) != 1)
                    why = openssl_words();
            });
        if (!why.empty())
            throw std::invalid_argument("weft::tls::client: the system's authorities can't be read (" + why + ")");
    }
    trust(options.authorities, "client_options::authorities");
    if (!options.certificate.text.empty() || !options.key.text.empty())
        use_certificate(options.certificate, options.key, "client");
    if (!protocols_.empty() &&
        SSL_CTX_set_alpn_protos(get(), protocols_.data(), static_cast<unsigned>(protocols_.size())) != 0)
        throw std::bad_alloc();
    SSL_CTX_set_session_cache_mode(
        get(), most_hosts_ == 0 ? SSL_SESS_CACHE_OFF : SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(get(), new_session);
}

settings::settings(const server_options& options)
    : context_(SSL_CTX_new(TLS_server_method())), protocols_(wire_format(options.protocols))
{
    common();
    use_certificate(options.certificate, options.key, "server");
    SSL_CTX_set_options(get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    if (!options.client_authorities.text.empty()) {
        trust(options.client_authorities, "server_options::client_authorities");
        SSL_CTX_set_verify(get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    // Sessions are in tickets, which the clients keep; the name keeps those of other programs' keys out.
    constexpr unsigned char name[] = "weft";
    SSL_CTX_set_session_id_context(get(), name, sizeof name - 1);
    SSL_CTX_set_session_cache_mode(get(), SSL_SESS_CACHE_OFF);
    if (!protocols_.empty())
        SSL_CTX_set_alpn_select_cb(get(), choose_protocol, this);
}

void settings::use_certificate(const pem& certificate, const pem& key, const char* who)
{
    ERR_clear_error();
    const bio_ptr certificates = reader(certificate);
    const certificate_ptr own(PEM_read_bio_X509_AUX(certificates.get(), nullptr, no_password, nullptr));
    if (!own || SSL_CTX_use_certificate(get(), own.get()) != 1)
        refuse(who, "the certificate is no PEM certificate that can be used");
    while (const certificate_ptr above{PEM_read_bio_X509(certificates.get(), nullptr, no_password, nullptr)}) {
        if (SSL_CTX_add1_chain_cert(get(), above.get()) != 1)
            refuse(who, "a certificate of the chain can't be used");
    }
    ERR_clear_error();  // of the end of the text
    const bio_ptr keys = reader(key);
    const key_ptr secret(PEM_read_bio_PrivateKey(keys.get(), nullptr, no_password, nullptr));
    if (!secret)
        refuse(who, "the key is no PEM private key, or is encrypted");
    if (SSL_CTX_use_PrivateKey(get(), secret.get()) != 1 || SSL_CTX_check_private_key(get()) != 1)
        refuse(who, "the key does not belong to the certificate");
}

void settings::trust(const pem& authorities, const char* what)
{
    if (authorities.text.empty())
        return;
    ERR_clear_error();
    const bio_ptr certificates = reader(authorities);
    X509_STORE* const store = SSL_CTX_get_cert_store(get());
    int found = 0;
    while (const certificate_ptr one{PEM_read_bio_X509(certificates.get(), nullptr, no_password, nullptr)}) {
        if (X509_STORE_add_cert(store, one.get()) != 1)
            refuse("client or server", what);
        ++found;
    }
    if (found == 0)
        throw std::invalid_argument(std::string("weft::tls: there is no PEM certificate in ") + what);
    ERR_clear_error();
}

int settings::choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                              const unsigned char* offered, unsigned offered_size, void* self) noexcept
{
    const std::vector<unsigned char>& own = static_cast<settings*>(self)->protocols_;
    unsigned char* found = nullptr;
    if (SSL_select_next_proto(&found, chosen_size, own.data(), static_cast<unsigned>(own.size()), offered,
                              offered_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

session_ptr settings::session_for(const std::string& host)
{
    const std::lock_guard guard(lock_);
    const auto found = by_host_.find(host);
    if (found == by_host_.end())
        return nullptr;
    recent_.splice(recent_.begin(), recent_, found->second);
    std::vector<session_ptr>& sessions = found->second->sessions;
    while (!sessions.empty()) {
        SSL_SESSION* const newest = sessions.back().get();
        if (SSL_SESSION_is_resumable(newest) == 0) {
            sessions.pop_back();
        } else if (SSL_SESSION_get_protocol_version(newest) >= TLS1_3_VERSION) {
            // Used once: who sees two connections with one ticket knows that they are from the same client.
            session_ptr taken = std::move(sessions.back());
            sessions.pop_back();
            return taken;
        } else {
            SSL_SESSION_up_ref(newest);
            return session_ptr(newest);
        }
    }
    return nullptr;
}

bool settings::keep_session(const std::string& host, SSL_SESSION* session) noexcept
try {
    const std::lock_guard guard(lock_);
    auto found = by_host_.find(host);
    if (found == by_host_.end()) {
        recent_.push_front({host, {}});
        found = by_host_.emplace(recent_.front().host, recent_.begin()).first;
        if (recent_.size() > most_hosts_) {
            by_host_.erase(recent_.back().host);
            recent_.pop_back();
        }
    }
    std::vector<session_ptr>& sessions = found->second->sessions;
    if (sessions.size() == most_sessions_of_a_host)
        sessions.erase(sessions.begin());
    sessions.reserve(most_sessions_of_a_host);
    sessions.emplace_back(session);
    return true;
} catch (const std::bad_alloc&) {
    return false;  // one handshake more
}

}  // namespace detail

}  // namespace weft::tls
