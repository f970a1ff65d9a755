// OpenSSL itself on goroutine stacks of the default size, called as any C library is.
#include <openssl/ssl.h>

#include <atomic>
#include <memory>

#include "../unit/fixture.hpp"
#include "certificates.hpp"

namespace {

using openssl_stack_test = weft::test::fixture;
using weft::test::authority;

struct free_context {
    void operator()(SSL_CTX* c) const { SSL_CTX_free(c); }
};
struct free_session {
    void operator()(SSL* s) const { SSL_free(s); }
};
using context_ptr = std::unique_ptr<SSL_CTX, free_context>;
using session_ptr = std::unique_ptr<SSL, free_session>;

/// Both ends in one goroutine, over memory; certificates are verified in both directions.
bool shake_hands(const authority& known)
{
    const context_ptr server_side(SSL_CTX_new(TLS_server_method()));
    const context_ptr client_side(SSL_CTX_new(TLS_client_method()));
    for (SSL_CTX* const c : {server_side.get(), client_side.get()}) {
        SSL_CTX_use_certificate(c, known.localhost.certificate.get());
        SSL_CTX_use_PrivateKey(c, known.localhost.key.get());
        X509_STORE_add_cert(SSL_CTX_get_cert_store(c), known.root.certificate.get());
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    const session_ptr server(SSL_new(server_side.get()));
    const session_ptr client(SSL_new(client_side.get()));
    BIO* to_server = nullptr;
    BIO* to_client = nullptr;
    if (BIO_new_bio_pair(&to_server, 0, &to_client, 0) != 1)
        return false;
    SSL_set_bio(server.get(), to_server, to_server);
    SSL_set_bio(client.get(), to_client, to_client);
    SSL_set_accept_state(server.get());
    SSL_set_connect_state(client.get());
    for (int round = 0; round < 20; ++round) {
        const int a = SSL_do_handshake(client.get());
        weft::yield();
        const int b = SSL_do_handshake(server.get());
        if (a == 1 && b == 1)
            return SSL_get_verify_result(client.get()) == X509_V_OK && SSL_get_verify_result(server.get()) == X509_V_OK;
    }
    return false;
}

WEFT_TEST(openssl_stack_test, handshakes_with_certificates_both_ways)
{
    const weft::test::procs four(4);
    const authority known;
    std::atomic<int> good{0};
    weft::wait_group all;
    constexpr int count = 20;
    for (int i = 0; i < count; ++i)
        all.go([&] { good += shake_hands(known) ? 1 : 0; });
    all.wait();
    EXPECT_EQ(good, count);
}

}  // namespace
