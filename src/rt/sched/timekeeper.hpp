// The timekeeper: the one sleeping M that wakes for timers and, where descriptors are watched, sleeps in the poller.
// docs/design/idle.md; its steps K1 to K3.
#pragma once

#include <cstdint>

#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/timer.hpp"

namespace weft::rt {

/// The earliest deadline of all Ps' timers, or `never`.
[[nodiscard]] std::int64_t earliest_timer() noexcept;
/// After a timer was armed: the timekeeper must look again if it would sleep past `when`.
void wake_timekeeper(std::int64_t when) noexcept;
/// The timekeeper is to look again at what it waits for.
void poke_timekeeper() noexcept;
/// Under sched.lock, when no P is idle: the timekeeper, which could not get one, is it no longer. Busy Ps look at
/// timers and descriptors themselves, and the next M that goes idle keeps time.
void resign_timekeeper() noexcept;
/// Where Ms sleep and none keeps time, one does from now on.
void appoint_timekeeper() noexcept;

/// Where `owner`, which runs, has its timers.
[[nodiscard]] timer_heap& timers_of(g& owner) noexcept;
/// Arms a timer that no wait belongs to, inside the caller's section (null: a plain thread, and the runtime has
/// started).
void arm_in_section(m* self, timer& alarm) noexcept;

}  // namespace weft::rt
