// From the text that users give to addresses and connections.
#pragma once

#include <string_view>
#include <system_error>
#include <vector>

#include "weft/context.hpp"
#include "weft/net.hpp"

namespace weft::net {

/// The addresses of `where`, at least one unless there is an error. `passive`: to listen at, so no host is all of this
/// machine's; else it is this machine.
[[nodiscard]] std::vector<address> resolve(std::string_view where, const context& ctx, bool passive,
                                           std::error_code& ec);

}  // namespace weft::net
