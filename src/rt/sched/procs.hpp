// Ps: made, owned, idle, retired.
#pragma once

#include "rt/core/m.hpp"
#include "rt/core/p.hpp"

namespace weft::rt {

// --- procs.cpp
void own_p(m& self, p& proc) noexcept;     ///< the P has no owner and the M no P
void disown_p(m& self, p& proc) noexcept;  ///< the reverse
// Under sched.lock:
// Under sched.lock:
/// Puts a P without an owner on the idle list, or out of use when it is beyond max_procs; work that it has goes to the
/// global queue.
void list_idle_p(p& proc, bool was_spinning) noexcept;
[[nodiscard]] p* take_idle_p(bool to_spin) noexcept;  ///< null: none. Its state is then running.
// Without it:
/// The P of `self` is beyond max_procs: moves its work to the global queue and gives it up.
void retire_p(m& self) noexcept;
/// Sets the number of Ps; the former one.
int set_procs(int n) noexcept(false);

}  // namespace weft::rt
