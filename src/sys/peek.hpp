// Reading memory that may be gone.
#pragma once

#include <cstddef>

namespace weft::sys {

/// Copies up to `bytes` from `from`, which need not be readable memory; returns how many were (0 also where the kernel
/// refuses to look). Sees nothing of what the sanitizers see. Safe in signal handlers.
[[nodiscard]] std::size_t peek(const void* from, void* to, std::size_t bytes) noexcept;

}  // namespace weft::sys
