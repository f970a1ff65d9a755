// Taking a P away from an M that makes no use of it, and how that M gets one again. docs/design/retake.md; steps named
// as there.
//
// The goroutine that computes or blocks keeps its thread and loses only the P, and notices at its next call of ours.
// It then takes an idle P; is there none
//   - and it parks: it does that without (leave_without_p() in park.cpp);
//   - and it yields, or blocking() ends: it goes to the end of the global queue;
//   - and in all other calls, between which user code may count on staying on its thread: it queues as one that runs on
//     its own M alone, and the M sleeps until it is handed a P.
#pragma once

#include <cstdint>

#include "rt/core/m.hpp"
#include "rt/core/p.hpp"

namespace weft::rt {

/// ns: a blocking() that may be over before it is worth a hand-off.
constexpr std::int64_t short_call = 10'000;

/// By sysmon, at any time: takes `victim` away from its owner, if that is outside of the runtime and has made no
/// scheduling decision since `tick`. True: the P is the caller's, to hand_off().
[[nodiscard]] bool retake(p& victim, std::uint64_t tick) noexcept;

/// For a goroutine on `self`, which is without a P: returns on the same thread with a P, in a section.
void get_p(m& self) noexcept;

/// True: `self`, without a P, has taken an idle one and is in a section.
[[nodiscard]] bool take_any_p(m& self) noexcept;

/// For g0 of `self`, which is without a P and has no goroutine: sleeps until it has a P. False: the thread is to end.
[[nodiscard]] bool rejoin(m& self) noexcept;

/// Precondition: its steal lock is held, and the owner in its section, or claimed.
void take_owner_off(p& proc) noexcept;

}  // namespace weft::rt
