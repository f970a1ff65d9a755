#include "rt/stack/scavenging.hpp"

namespace weft::rt {

constinit base::atomic<std::uint32_t> decay_nap{nap_of_decay::awake};
constinit base::atomic<bool> memory_is_short{false};

}  // namespace weft::rt
