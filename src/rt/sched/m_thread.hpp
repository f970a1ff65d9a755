// The OS threads of Ms: started, ended, and the control blocks of those that have ended used again.
#pragma once

#include "rt/core/m.hpp"
#include "rt/core/p.hpp"

namespace weft::rt {

/// A new M with `proc`, or without one: then it sleeps. Returns an errno.
[[nodiscard]] int start_m(p* proc, bool spinning) noexcept;

/// Calls `visit` with every M that has run. What they say is for the caller to judge: nothing stops meanwhile.
void for_each_m(void (*visit)(m&, void*) noexcept, void* argument) noexcept;

}  // namespace weft::rt
