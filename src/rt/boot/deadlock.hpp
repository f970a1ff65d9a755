// Finding that all goroutines are asleep and nothing is left to wake them. docs/design/deadlock.md
#pragma once

#include "rt/sched/hooks.hpp"

namespace weft::rt {

/// Does not return if this is a deadlock. Not for those who hold sched.lock.
[[nodiscard]] outlook look_for_deadlock() noexcept;

}  // namespace weft::rt
