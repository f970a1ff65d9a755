// The atomics shim: the one place that names std::atomic.
//
// All of weft's shared words are weft::base::atomic<T>. In a normal build that is std::atomic<T>. A build with
// WEFT_MODEL_ATOMIC defined replaces it by a class of the model checker (test/model), which turns each operation
// into a scheduling point, so that the code that ships is the code that is explored.
#pragma once

#include "weft/detail/config.hpp"

#ifdef WEFT_MODEL_ATOMIC
#include WEFT_MODEL_ATOMIC
#else
#include <atomic>
#include <cstdint>

namespace weft::base {

template <class T>
using atomic = std::atomic<T>;

using std::memory_order;
using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;

/// What the inlined fast ways must look out for; nearly always nothing. fence_needed: membarrier(2) is refused, set
/// once before the second thread of the runtime starts. Plus one_exploration for each testing::explore() that goes on.
WEFT_API extern std::atomic<std::uint32_t> unusual;
inline constexpr std::uint32_t fence_needed = 1;
inline constexpr std::uint32_t one_exploration = 2;

/// Whether a testing::explore() goes on somewhere in the process.
[[nodiscard]] WEFT_ALWAYS_INLINE bool exploring() noexcept
{
    return unusual.load(std::memory_order_relaxed) >= one_exploration;
}

/// light_fence(), and whether something unusual goes on: the same branch tells.
WEFT_ALWAYS_INLINE bool light_fence_or_unusual() noexcept
{
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (unusual.load(std::memory_order_relaxed) == 0) [[likely]]
        return false;
    // Not std::atomic_thread_fence: GCC refuses it under -fsanitize=thread.
#if defined(__x86_64__)
    asm volatile("lock; orq $0, (%%rsp)" ::: "memory", "cc");
#else
    asm volatile("dmb ish" ::: "memory");
#endif
    return true;
}

/// light_fence() for what is done only where the kernel has membarrier(2).
WEFT_ALWAYS_INLINE void light_compiler_fence() noexcept
{
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

/// The cheap half of an asymmetric store-load fence; its partner is sys::heavy_fence(). Between a store and a later
/// load it guarantees: either the load sees what the partner stored before its heavy fence, or the partner's loads
/// after that barrier see our store. It costs a compiler barrier and a well predicted branch; where the kernel has no
/// membarrier(2) it is a full fence.
WEFT_ALWAYS_INLINE void light_fence() noexcept
{
    (void)light_fence_or_unusual();
}

}  // namespace weft::base
#endif
