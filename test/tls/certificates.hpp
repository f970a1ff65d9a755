// Certificates made for a test.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "weft/tls.hpp"

namespace weft::test {

/// A key and its certificate.
struct identity {
    std::shared_ptr<EVP_PKEY> key;
    std::shared_ptr<X509> certificate;

    [[nodiscard]] tls::pem certificate_pem() const
    {
        return text([this](BIO* b) { return PEM_write_bio_X509(b, certificate.get()); });
    }
    [[nodiscard]] tls::pem key_pem() const
    {
        return text([this](BIO* b)
                    { return PEM_write_bio_PrivateKey(b, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
    }

private:
    template <class Write>
    static tls::pem text(Write write)
    {
        BIO* const bio = BIO_new(BIO_s_mem());
        char* data = nullptr;
        if (write(bio) != 1)
            throw std::runtime_error("PEM");
        const long size = BIO_get_mem_data(bio, &data);
        tls::pem p{std::string(data, static_cast<std::size_t>(size))};
        BIO_free(bio);
        return p;
    }
};

struct certificate_wish {
    std::string name;                  ///< the subject's common name
    std::string hosts{};               ///< subjectAltName: "DNS:localhost,IP:127.0.0.1"; none: empty
    const identity* issuer = nullptr;  ///< null: signs itself
    bool authority = false;
    long from_s = -3'600;  ///< seconds from now
    long to_s = 24 * 3'600;
};

inline identity make_identity(const certificate_wish& wish)
{
    identity made{{EVP_EC_gen("P-256"), EVP_PKEY_free}, {X509_new(), X509_free}};
    X509* const x = made.certificate.get();
    static long serial = 1;
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), wish.from_s);
    X509_gmtime_adj(X509_getm_notAfter(x), wish.to_s);
    X509_set_pubkey(x, made.key.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(wish.name.c_str()), -1, -1, 0);
    const identity& issuer = wish.issuer == nullptr ? made : *wish.issuer;
    X509_set_issuer_name(x, X509_get_subject_name(issuer.certificate.get()));
    const auto extend = [&](int kind, const std::string& value)
    {
        X509V3_CTX context;
        X509V3_set_ctx(&context, issuer.certificate.get(), x, nullptr, nullptr, 0);
        X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
        if (extension == nullptr)
            throw std::runtime_error("extension " + value);
        X509_add_ext(x, extension, -1);
        X509_EXTENSION_free(extension);
    };
    extend(NID_basic_constraints, wish.authority ? "critical,CA:TRUE" : "CA:FALSE");
    extend(NID_subject_key_identifier, "hash");
    if (!wish.hosts.empty())
        extend(NID_subject_alt_name, wish.hosts);
    if (X509_sign(x, issuer.key.get(), EVP_sha256()) == 0)
        throw std::runtime_error("X509_sign");
    return made;
}

/// An authority and what it has signed.
struct authority {
    identity root = make_identity({.name = "weft test authority", .authority = true});
    identity localhost = make_identity({.name = "localhost", .hosts = "DNS:localhost,IP:127.0.0.1", .issuer = &root});

    [[nodiscard]] tls::server server(std::vector<std::string> protocols = {}) const
    {
        return tls::server({.certificate = localhost.certificate_pem(),
                            .key = localhost.key_pem(),
                            .protocols = std::move(protocols)});
    }
    [[nodiscard]] tls::client client(std::vector<std::string> protocols = {}) const
    {
        return tls::client(
            {.authorities = root.certificate_pem(), .system_authorities = false, .protocols = std::move(protocols)});
    }
};

}  // namespace weft::test
