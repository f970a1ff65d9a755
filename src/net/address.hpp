// Parts of addresses as text.
#pragma once

#include <cstdint>
#include <string_view>

#include "weft/net.hpp"

namespace weft::net {

inline constexpr std::string_view unix_prefix = "unix:";

/// "host:port" in two; false: it is not of that form. Brackets are taken off.
[[nodiscard]] bool split_host_port(std::string_view text, std::string_view& host, std::string_view& port) noexcept;
[[nodiscard]] bool parse_port(std::string_view text, std::uint16_t& port) noexcept;
/// The address of a host that is written as a number; none: it is a name, or nonsense.
[[nodiscard]] address numeric_host(std::string_view host, std::uint16_t port) noexcept;

}  // namespace weft::net
