// blocking(): a call that blocks its thread, announced. weft/runtime.hpp has the entry points. docs/design/retake.md
#pragma once

#include "rt/core/m.hpp"

namespace weft::rt {

/// blocking() has ended on an M without a P. Outside of a section.
void come_back_from_blocking(m& self) noexcept;

}  // namespace weft::rt
