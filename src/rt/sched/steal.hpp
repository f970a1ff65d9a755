// Taking work from other Ps.
#pragma once

#include "rt/core/g.hpp"
#include "rt/core/m.hpp"

namespace weft::rt {

/// A goroutine of another P, with up to half of what is queued there moved to the P of `self`. Null: there is none.
[[nodiscard]] g* steal(m& self) noexcept;

}  // namespace weft::rt
