// What an M whose P has run out of its own work runs next: it looks everywhere, then sleeps.
#pragma once

#include "rt/core/g.hpp"
#include "rt/core/m.hpp"

namespace weft::rt {

// --- find.cpp
/// A runnable goroutine for `self`, which may sleep until there is one. Returns with a P; null: its thread is to end.
[[nodiscard]] g* find_runnable(m& self) noexcept;

}  // namespace weft::rt
