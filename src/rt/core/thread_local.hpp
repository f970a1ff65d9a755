// What the runtime knows of the calling thread. The accessors are functions that are never inlined, except
// this_m_inline(): 2 instructions in place of a call, where a call is a tenth of the work.
#pragma once

#include <cstdint>

#include "weft/detail/config.hpp"

namespace weft::rt {

struct g;
struct m;

/// The calling thread's M; null on a plain thread. Never inlined, and not to be kept across a switch or user code: the
/// goroutine may go on on another thread.
m* this_m() noexcept;
void set_this_m(m* self) noexcept;

/// What stands for the calling plain thread where a goroutine is asked for. Null: no memory.
g* this_thread_g() noexcept;

/// A word of the calling thread's for sys/signal.hpp; in signal handlers too.
std::uintptr_t* this_thread_fault_word() noexcept;

/// An address that no other living thread has. Needs no memory.
const void* this_thread_key() noexcept;

/// For this_m() and here only.
WEFT_HIDDEN extern constinit thread_local m* current_m;

/// this_m() for a function that reads it once, before it parks if it does, and is not inlined itself. Anywhere else a
/// compiler may keep the thread's address over a park, after which the goroutine runs on another thread.
[[nodiscard]] WEFT_ALWAYS_INLINE m* this_m_inline() noexcept
{
    return current_m;
}

}  // namespace weft::rt
