// The loop of an M, on g0, its thread's own stack.
#pragma once

#include "rt/core/m.hpp"

namespace weft::rt {

/// The loop of an M on g0. Returns when its thread is to end.
void schedule(m& self) noexcept;

}  // namespace weft::rt
