// What the code must know of the processor: the cache line and its hints.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/detail/config.hpp"

namespace weft::base {

inline constexpr std::size_t cache_line = 64;
inline constexpr std::size_t page_size = 4096;

/// The body of a spin loop: lets the sibling hyperthread run and saves power.
inline void pause() noexcept
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    asm volatile("isb" ::: "memory");
#endif
}

/// What `address` points to will be written soon; any address will do.
WEFT_ALWAYS_INLINE void prefetch(const void* address) noexcept
{
    __builtin_prefetch(address, 1);
    asm volatile("");  // GCC takes a function without anything else for one without effect, and drops calls of it
}

/// The same for the `lines` cache lines from there.
WEFT_ALWAYS_INLINE void prefetch_lines(const void* address, std::size_t lines) noexcept
{
    for (std::size_t i = 0; i < lines; ++i)
        prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(address) + i * cache_line));
}

}  // namespace weft::base
