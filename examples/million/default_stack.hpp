// The stack size of std::thread.
#pragma once

#include <cstdint>

namespace million {

/// Every std::thread started from now on has a stack of `bytes`; 0 leaves the system's default. Returns the size in
/// force. Throws std::system_error when the size is refused.
std::uint64_t use_thread_stack(std::uint64_t bytes);

}  // namespace million
