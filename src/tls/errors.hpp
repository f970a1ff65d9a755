// OpenSSL's errors as ours.
#pragma once

#include <openssl/ssl.h>

#include <string>
#include <system_error>

namespace weft::tls::detail {

/// What OpenSSL's error queue of this thread says, which it empties; `problem` gets its words. To be called right after
/// the call that has failed, without a park between.
[[nodiscard]] std::error_code take_error(const SSL* ssl, const std::string& host, std::string& problem);

}  // namespace weft::tls::detail
