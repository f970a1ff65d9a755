// Looking into a running program: dumps of all goroutines. docs/guide/debugging.md shows what comes out, and what
// WEFT_DEBUG has to offer beside this.
#pragma once

#include <string>

#include "weft/detail/config.hpp"

namespace weft::debug {

/// Writes a dump of all goroutines to stderr: those that run, wait to run, or wait; each with its id, name, what it
/// waits for, for how long at least (if WEFT_DEBUG=waits or a SIGQUIT handler is on, or there was a dump before), where
/// it was started, and its stack. Goroutines that are at the same place are one entry. Plain threads are no part of it.
///
/// Everything runs on meanwhile, so a dump is no picture of one moment. Bounded in memory and output: of a million
/// goroutines at most 1,000 different stacks. Goroutines that run are asked by a signal (SIGURG) to their thread; one
/// that is blocked in a system call goes on with it, but poll, epoll_wait, select, sleeps and calls with a timeout
/// return EINTR. Who has not answered after half a second is shown without a stack.
///
/// Names of functions come from the symbol tables of the program and its libraries. With weft::debug linked (or
/// libweft_debug.so in LD_PRELOAD): inlined ones too, with file and line if the program was built with -g1 or more.
///
/// From any goroutine or thread, not from signal handlers. One at a time: a second caller waits. Without the runtime:
/// says that there is no goroutine.
WEFT_API void dump() noexcept;

/// dump() to a file descriptor. False: not all could be written, see errno.
WEFT_API bool dump(int fd) noexcept;

/// dump() into a string. Throws std::bad_alloc.
[[nodiscard]] WEFT_API std::string dump_string();

}  // namespace weft::debug
