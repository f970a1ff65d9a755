// Which goroutine, or which plain thread, the caller is.
#pragma once

#include <cstddef>

#include "rt/core/g.hpp"

namespace weft::rt {

/// The calling goroutine, or what stands for the calling thread. Throws std::bad_alloc (plain threads only).
[[nodiscard]] g* current();
/// Whether the caller runs on a goroutine.
[[nodiscard]] bool on_goroutine() noexcept;
/// An address that stands for the calling goroutine or thread, and for no other while it lives.
[[nodiscard]] const void* caller() noexcept;

/// The number of the caller's P, or one that stands for the plain thread. A hint for spreading data: by the time of its
/// use it may be somebody else's.
[[nodiscard]] std::size_t shard_hint() noexcept;

}  // namespace weft::rt
