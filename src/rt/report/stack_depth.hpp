// How deep goroutines go (WEFT_DEBUG=stacks): the most that any goroutine of a place of start has used of its stack.
//
// A measured goroutine's function is called by one of ours. When it has returned, the lowest page that has memory tells
// how deep it was; the pages below are then given back, so that the next goroutine on that stack begins with none.
// Goroutines that have not ended are looked at from outside, to the page.
#pragma once

#include <cstddef>

#include "base/printer.hpp"
#include "rt/core/g.hpp"

namespace weft::rt {

/// Once, when the runtime starts, before it registers its own handler for the process's exit.
void start_measuring_depth() noexcept;

/// What `item`, which is about to be started, is to run in place of `body`; that itself where nothing is measured.
/// Throws std::bad_alloc.
[[nodiscard]] detail::task_body measure_depth(g& item, detail::task_body body);

/// What has been measured so far, the fullest stacks first; nothing where nothing is measured. Throws std::bad_alloc.
void print_depths(base::printer& out);

/// As weft::stack_remaining().
[[nodiscard]] std::size_t stack_remaining() noexcept;

}  // namespace weft::rt
