#include "base/atomic.hpp"

namespace weft::base {

std::atomic<bool> fence_needed{false};

}  // namespace weft::base
