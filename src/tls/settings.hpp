// What the streams of one tls::client or tls::server share: an SSL_CTX, and on the client the sessions to resume.
//
// OpenSSL locks an SSL_CTX itself. The sessions have a std::mutex: they are put away inside OpenSSL's calls, where a
// goroutine must not park, because OpenSSL's error queue and random numbers are per thread.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "weft/tls.hpp"

namespace weft::tls::detail {

template <auto Free>
struct freed_by {
    template <class T>
    void operator()(T* object) const noexcept
    {
        Free(object);
    }
};
using session_ptr = std::unique_ptr<SSL_SESSION, freed_by<SSL_SESSION_free>>;

class settings {
public:
    explicit settings(const client_options& options);
    explicit settings(const server_options& options);
    settings(const settings&) = delete;
    settings& operator=(const settings&) = delete;

    [[nodiscard]] SSL_CTX* get() const noexcept { return context_.get(); }
    [[nodiscard]] bool verifies() const noexcept { return verifies_; }
    [[nodiscard]] bool allows_common_name() const noexcept { return allows_common_name_; }

    /// A session with `host`, or null.
    [[nodiscard]] session_ptr session_for(const std::string& host);
    /// Takes it over, unless nothing is kept.
    [[nodiscard]] bool keep_session(const std::string& host, SSL_SESSION* session) noexcept;

private:
    struct host_sessions {
        std::string host;
        std::vector<session_ptr> sessions;  ///< the newest last
    };

    void common();
    void use_certificate(const pem& certificate, const pem& key, const char* who);
    void trust(const pem& authorities, const char* what);
    static int choose_protocol(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_size,
                               const unsigned char* offered, unsigned offered_size, void* self) noexcept;

    std::unique_ptr<SSL_CTX, freed_by<SSL_CTX_free>> context_;
    bool verifies_ = true;
    bool allows_common_name_ = false;
    std::vector<unsigned char> protocols_;  ///< as on the wire

    std::size_t most_hosts_ = 0;
    std::mutex lock_;                  ///< guards those below
    std::list<host_sessions> recent_;  ///< the host used last first
    std::unordered_map<std::string_view, std::list<host_sessions>::iterator> by_host_;
};

/// Where the engine finds itself in OpenSSL's callbacks, and its name of the peer.
[[nodiscard]] const std::string& host_of(const SSL* ssl) noexcept;
[[nodiscard]] settings& settings_of(const SSL* ssl) noexcept;

}  // namespace weft::tls::detail
