// How much the test program allocates.
#pragma once

#include <cstddef>

namespace weft::test {

/// Calls of operator new so far, by any thread. With ASan, whose own operator new finds more, it stays 0.
std::size_t allocations() noexcept;

}  // namespace weft::test
