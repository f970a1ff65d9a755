#include "base/atomic.hpp"

namespace weft::base {

constinit std::atomic<std::uint32_t> unusual{0};

}  // namespace weft::base
