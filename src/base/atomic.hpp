// The atomics shim under the name that src/ uses; see weft/detail/atomic.hpp.
#pragma once

#include <cstdint>

#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"

namespace weft::base {

/// A counter with one writer, read by anybody: costs the writer a plain increment.
class counter {
public:
    WEFT_ALWAYS_INLINE void add(std::uint64_t n = 1, memory_order order = memory_order_relaxed) noexcept
    {
        value_.store(value_.load(memory_order_relaxed) + n, order);
    }
    [[nodiscard]] std::uint64_t read(memory_order order = memory_order_relaxed) const noexcept
    {
        return value_.load(order);
    }

private:
    atomic<std::uint64_t> value_{0};
};

}  // namespace weft::base
