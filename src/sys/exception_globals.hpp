// The C++ runtime's per-thread exception state (Itanium C++ ABI, 2.2.2): the stack of caught exceptions and the number
// of uncaught ones. A goroutine that parks inside a catch block or while unwinding must take it along.
#pragma once

#include <cstdint>

namespace weft::sys {

struct exception_globals {
    void* caught;
    unsigned int uncaught;

    [[nodiscard]] bool any() const noexcept { return (reinterpret_cast<std::uintptr_t>(caught) | uncaught) != 0; }
};

/// Those of the calling thread; the address is good for the thread's life.
exception_globals* thread_exception_globals() noexcept;

}  // namespace weft::sys
