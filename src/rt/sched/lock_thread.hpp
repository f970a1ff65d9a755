// Keeping a goroutine on its OS thread.
#pragma once

namespace weft::rt {

void lock_thread() noexcept;
/// False: there was no lock_thread() before.
[[nodiscard]] bool unlock_thread() noexcept;

}  // namespace weft::rt
