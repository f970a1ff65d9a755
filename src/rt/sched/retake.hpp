// retake: taking a P away from its M, and getting one again. docs/design/retake.md
#pragma once

#include <cstdint>

#include "rt/core/m.hpp"

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

/// blocking() has ended on an M without a P. Outside of a section.
void come_back_from_blocking(m& self) noexcept;

}  // namespace weft::rt
