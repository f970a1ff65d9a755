// Giving idle Ps to sleeping Ms, or to new ones.
#pragma once

#include "base/cpu.hpp"
#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/p.hpp"
#include "rt/sched/scheduler.hpp"

namespace weft::rt {

/// Whether any queue that can be stolen from has work. A hint, exact after a heavy fence.
[[nodiscard]] bool any_work() noexcept;

// --- wake.cpp
/// After new work: wakes one M if there is an idle P and nobody looks for work. Callable anywhere.
void wake_one() noexcept;
WEFT_ALWAYS_INLINE void wake_if_needed() noexcept
{
    base::light_fence();  // pairs with the heavy one of an M that goes idle (find.cpp)
    if (sched.idle.needs_waking()) [[unlikely]]
        wake_one();
}

/// `self` will wait for its locked goroutine: its P goes to another M if one is needed, else to the idle list. True: it
/// must watch (must_look_for_deadlock()).
bool give_p_away(m& self) noexcept;
/// Passes the P of `self`, with all that is queued there, to another M. False: there is none, and `self` goes on with a
/// P. True: it has none.
[[nodiscard]] bool pass_p_on(m& self) noexcept;
/// Gives `proc`, which has no owner, to the M that `item` is locked to, to run it.
void give_to_home(p& proc, g* item) noexcept;
/// Starts the first M, with `proc`. Returns an errno.
[[nodiscard]] int start_first_m(p& proc) noexcept;
/// Gives `proc`, which has no owner, to an M that has none: there is work for it.
void hand_off(p& proc) noexcept;
/// Has an idle M at hand, for the next hand_off(), as far as options::max_threads allows.
void keep_spare_m() noexcept;

}  // namespace weft::rt
