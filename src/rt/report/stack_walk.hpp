// The stacks of goroutines, as reports have them: without the frames that every one has.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/printer.hpp"
#include "rt/core/g.hpp"
#include "sys/backtrace.hpp"
#include "sys/unwind.hpp"

namespace weft::rt {

struct goroutine_stack {
    static constexpr std::size_t most = 64;

    std::array<const void*, most> pcs;
    std::size_t count = 0;
    sys::walk_end end = sys::walk_end::complete;
};

/// Where a goroutine's stack is.
struct stack_place {
    char* top;
    std::uint8_t stack_class;

    [[nodiscard]] sys::stack_piece piece() const noexcept;
};

/// The stack of a goroutine that does not run, from what its control block has said. It may run meanwhile, or its
/// memory be another one's: then what comes out is of no use, and no more than that. Also in signal handlers.
void walk_saved(const sys::context& saved, const stack_place& at, goroutine_stack& out,
                sys::row_cache* cache = nullptr) noexcept;

/// The stack of the goroutine that runs with these registers. Empty and lost when they are of another stack. What is
/// further in than the function `outside_of` is left out, if it is there. Also in signal handlers.
void walk_running(const sys::register_set& from, const stack_place& at, goroutine_stack& out,
                  const void* outside_of = nullptr) noexcept;

/// The stack of the goroutine that a fault has interrupted, from the signal handler's `ucontext`. Its stack pointer may
/// lie in the guard or below; what it has called may be no code.
void walk_faulted(const void* ucontext, const stack_place& at, goroutine_stack& out) noexcept;

/// A line a frame, or what there is to say instead.
void print_stack(base::printer& out, std::span<const void* const> pcs, sys::walk_end end,
                 sys::naming names = sys::naming::full) noexcept;

}  // namespace weft::rt
