// Looking at a thread of this process while it runs: a signal handler does it, in that thread.
//
// The signal is SIGURG: ignored by default, sent by the kernel only to who asks for it, and no debugger stops at it
// (Go's reasons for the same choice). The handler is installed at the first use and stays; a signal that is not ours
// goes to the handler that was there before. It runs on the thread's alternate stack if there is one. System calls go
// on (SA_RESTART), except those that no handler lets go on, signal(7): sleeps, poll, epoll_wait, select and those with
// a timeout return EINTR.
#pragma once

#include <cstdint>

namespace weft::sys {

/// What is to be done in the handler; `ucontext` is its third argument.
using interrupted_fn = void (*)(const void* ucontext, void* argument) noexcept;

/// Has `visit(ucontext, argument)` called in thread `thread_id`, once, and waits for its return. False: the thread is
/// gone, or has not begun to handle the signal until `deadline` (monotonic, ns); `visit` is not called any more then.
/// One caller at a time.
[[nodiscard]] bool interrupt_thread(int thread_id, interrupted_fn visit, void* argument,
                                    std::int64_t deadline) noexcept;

/// Has `hook` called in a handler of SIGQUIT, in place of the process's end.
void install_quit_handler(void (*hook)() noexcept) noexcept;
/// Undoes install_quit_handler().
void remove_quit_handler() noexcept;

/// Whether the program handles a signal itself, faults and SIGABRT aside: it may go on when that signal comes.
[[nodiscard]] bool program_handles_signals() noexcept;

}  // namespace weft::sys
