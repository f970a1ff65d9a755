// How the pools of stacks reach those that manage memory above them: the scavenger, which gives back what free stacks
// hold, and the hibernator, which makes room where memory is short. Both test one word and are called only where it
// says so; docs/design/stacks.md.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "weft/detail/config.hpp"

namespace weft::rt {

/// How the scavenger's thread sleeps; a futex word.
namespace scavenger_sleep {
inline constexpr std::uint32_t awake = 0;  ///< or until its next look; or there is no such thread
inline constexpr std::uint32_t deep = 1;   ///< until wake_scavenger(): nothing that it could look at has memory
}  // namespace scavenger_sleep
WEFT_HIDDEN extern constinit base::atomic<std::uint32_t> scavenger_word;

WEFT_HIDDEN extern constinit base::atomic<bool> memory_is_short;

/// The slow ways, given by the rooms above when the runtime starts.
struct memory_hooks {
    void (*wake_scavenger)() noexcept;
    void (*relieve)() noexcept;
};
WEFT_HIDDEN extern const memory_hooks above_stacks;

/// A stack has become free. After it was put where the look finds it, under a lock that the look takes.
WEFT_ALWAYS_INLINE void wake_scavenger() noexcept
{
    if (scavenger_word.load(base::memory_order_relaxed) == scavenger_sleep::deep) [[unlikely]]
        above_stacks.wake_scavenger();
}

/// By a caller that is about to commit memory for new stacks.
WEFT_ALWAYS_INLINE void relieve() noexcept
{
    if (memory_is_short.load(base::memory_order_relaxed)) [[unlikely]]
        above_stacks.relieve();
}

}  // namespace weft::rt
