// decay: a thread that has free stacks give their memory back while nobody needs them. docs/design/stacks.md.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "weft/detail/config.hpp"

namespace weft::rt {

/// How the thread sleeps.
namespace nap_of_decay {
inline constexpr std::uint32_t awake = 0;  ///< or until its next look; or there is no such thread
inline constexpr std::uint32_t deep = 1;   ///< until poke_decay(): nothing that it could look at has memory
}  // namespace nap_of_decay
extern constinit base::atomic<std::uint32_t> decay_nap;

void start_decay() noexcept;

void poke_decay_slow() noexcept;
/// A stack has become free. After it was put where the look finds it, under a lock that the look takes.
WEFT_ALWAYS_INLINE void poke_decay() noexcept
{
    if (decay_nap.load(base::memory_order_relaxed) == nap_of_decay::deep) [[unlikely]]
        poke_decay_slow();
}

/// One look at all free stacks, those of idle Ps included. False: none has memory. For any thread.
bool decay_once() noexcept;

/// Whether the thread exists, for certain.
[[nodiscard]] bool decay_runs() noexcept;

}  // namespace weft::rt
