// Making runnable what timers and the poller have found.
#pragma once

#include <cstdint>

#include "rt/core/m.hpp"
#include "rt/core/p.hpp"
#include "rt/core/timer.hpp"

namespace weft::rt {

/// Fires the timers of `heap` that have expired, onto `proc`. True: something became runnable.
bool fire_timers(p& proc, timer_heap& heap, std::int64_t now) noexcept;
/// Makes what the poller has found runnable: on `proc`, which belongs to `self`, or for all (null `proc`). `self` is
/// null on a plain thread, else inside a section.
void ready_batch(m* self, p* proc, g_list& woken) noexcept;

}  // namespace weft::rt
