// How an M sleeps: without work, without a P, or for its own goroutine. docs/design/idle.md; steps named as there.
#pragma once

#include <cstdint>

#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/timer.hpp"

namespace weft::rt {

/// S: gives the P up, makes sure that nothing was missed, sleeps. Returns with a P; false: the thread is to end.
[[nodiscard]] bool go_idle(m& self) noexcept;

/// `self`, without a P, sleeps until it is given one. False: it has not been needed for long, and its thread is to end.
[[nodiscard]] bool sleep_without_p(m& self) noexcept;
/// The goroutine that has `self` for itself is not running: gives the P away and sleeps until that one is runnable.
[[nodiscard]] g* wait_locked(m& self) noexcept;

/// Precondition: sched.lock is held. Whether the caller, which has just given its P up or gone on the idle list, is the
/// last one and has to watch for a deadlock.
[[nodiscard]] bool must_look_for_deadlock() noexcept;

/// So many steals in a row that did not pay, and a thief sleeps although there is work.
inline constexpr std::uint32_t wasted_most = 3;

}  // namespace weft::rt
