// What the code must know of the processor: the cache line and its hints.
#pragma once

#include <cstddef>

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

/// What `address` points to will be written soon.
inline void prefetch(const void* address) noexcept
{
    __builtin_prefetch(address, 1);
}

}  // namespace weft::base
