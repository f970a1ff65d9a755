// The list of sleeping Ms. docs/design/idle.md
#pragma once

#include "rt/core/m.hpp"

namespace weft::rt {

/// Whether there are more idle Ms than idle Ps and a spare. Certain under sched.lock.
[[nodiscard]] bool too_many_idle_ms() noexcept;

/// Wakes `to`, which has everything it needs.
void wake_m(m& to) noexcept;

// Under sched.lock:
// Under sched.lock:
/// Has the idle Ms find out whether they are too many.
void review_idle_ms() noexcept;
void list_idle_m(m& self) noexcept;
void unlist_idle_m(m& self) noexcept;
/// An idle M, off the list; the timekeeper only when there is no other.
[[nodiscard]] m* take_idle_m() noexcept;
/// `sleeper` is to look at what has changed.
void poke(m& sleeper) noexcept;

}  // namespace weft::rt
