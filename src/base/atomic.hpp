// The atomics shim under the name that src/ uses; see weft/detail/atomic.hpp.
#pragma once

#include <cstdint>

#include "weft/detail/atomic.hpp"

namespace weft::base {

/// A counter with one writer, read by anybody: costs the writer a plain increment.
class counter {
public:
    void add(std::uint64_t n = 1) noexcept
    {
        value_.store(value_.load(memory_order_relaxed) + n, memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t read() const noexcept { return value_.load(memory_order_relaxed); }

private:
    atomic<std::uint64_t> value_{0};
};

}  // namespace weft::base
