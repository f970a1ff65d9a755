#include "tls/errors.hpp"

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "weft/tls.hpp"

namespace weft::tls {

namespace {

class tls_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "weft.tls"; }
    std::string message(int value) const override
    {
        switch (static_cast<error>(value)) {
            case error::truncated:
                return "the connection ended without a TLS goodbye: data may be missing";
            case error::handshake_aborted:
                return "the peer closed the connection during the TLS handshake";
            case error::closed:
                return "the TLS stream is closed on this side";
            case error::protocol:
                return "the peer does not speak TLS as it should";
            case error::no_common_version:
                return "no TLS version or cipher that both sides allow";
            case error::no_common_protocol:
                return "no ALPN protocol that both sides have";
            case error::refused_by_peer:
                return "the peer has refused with a TLS alert";
            case error::wrong_host:
                return "the peer's certificate is for another host";
            case error::expired:
                return "the peer's certificate has expired";
            case error::not_yet_valid:
                return "the peer's certificate is not valid yet";
            case error::self_signed:
                return "the peer's certificate is self-signed and not trusted";
            case error::untrusted_issuer:
                return "the peer's certificate comes from no trusted authority";
            case error::revoked:
                return "the peer's certificate has been revoked";
            case error::bad_certificate:
                return "the peer's certificate is not acceptable";
            case error::no_certificate:
                return "the client has shown no certificate";
        }
        return "unknown TLS error " + std::to_string(value);
    }
};

error of_certificate(long result) noexcept
{
    switch (result) {
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return error::wrong_host;
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return error::expired;
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return error::not_yet_valid;
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            return error::self_signed;
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_CERT_UNTRUSTED:
            return error::untrusted_issuer;
        case X509_V_ERR_CERT_REVOKED:
            return error::revoked;
        default:
            return error::bad_certificate;
    }
}

error of_reason(int reason) noexcept
{
    switch (reason) {
        case SSL_R_UNEXPECTED_EOF_WHILE_READING:
            return error::truncated;
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            return error::no_certificate;
        case SSL_R_NO_APPLICATION_PROTOCOL:
        case SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL:
            return error::no_common_protocol;
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_NO_PROTOCOLS_AVAILABLE:
        case SSL_R_NO_SHARED_CIPHER:
        case SSL_R_VERSION_TOO_LOW:
        case SSL_R_VERSION_TOO_HIGH:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
            return error::no_common_version;
        default:
            return reason >= SSL_AD_REASON_OFFSET ? error::refused_by_peer : error::protocol;
    }
}

}  // namespace

const std::error_category& category() noexcept
{
    static const tls_category one;
    return one;
}

namespace detail {

namespace {

/// Whether the certificate that was looked at could have been for a host by its common name only.
bool has_no_hosts(const SSL* ssl) noexcept
{
    const STACK_OF(X509)* const chain = SSL_get0_verified_chain(ssl);
    const X509* const own = chain == nullptr ? nullptr : sk_X509_value(chain, 0);
    return own != nullptr && X509_get_ext_by_NID(own, NID_subject_alt_name, -1) < 0;
}

}  // namespace

std::error_code take_error(const SSL* ssl, const std::string& host, std::string& problem)
{
    // The first is the cause; those after it are said on the way out.
    const unsigned long first = ERR_get_error();
    ERR_clear_error();
    if (ERR_GET_LIB(first) == ERR_LIB_SSL && ERR_GET_REASON(first) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        const long result = SSL_get_verify_result(ssl);
        const error kind = of_certificate(result);
        problem = X509_verify_cert_error_string(result);
        if (kind == error::wrong_host) {
            problem += ", wanted " + host;
            if (has_no_hosts(ssl))
                problem +=
                    "; the certificate has no subjectAltName: renew it with one (client_options::allow_common_name "
                    "accepts its common name until then)";
        }
        return kind;
    }
    const char* const words = ERR_reason_error_string(first);
    problem = words == nullptr ? "OpenSSL gives no reason" : words;
    if (ERR_GET_REASON(first) == ERR_R_MALLOC_FAILURE)
        return std::make_error_code(std::errc::not_enough_memory);
    return ERR_GET_LIB(first) == ERR_LIB_SSL ? of_reason(ERR_GET_REASON(first)) : error::protocol;
}

}  // namespace detail

}  // namespace weft::tls
