#include "rt/stack/scavenging.hpp"

namespace weft::rt {

constinit base::atomic<std::uint32_t> scavenger_word{scavenger_sleep::awake};
constinit base::atomic<bool> memory_is_short{false};

}  // namespace weft::rt
