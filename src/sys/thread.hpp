// OS threads, as the runtime needs them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::sys {

/// Starts a detached thread with a stack of its own for the scheduler, with the caller's signal mask. Returns 0 or an
/// errno: EAGAIN (a limit of threads: ulimit -u, pids.max, threads-max) or ENOMEM. errno itself stays as it is.
[[nodiscard]] int start_thread(void* (*main)(void*), void* argument) noexcept;

/// Names the calling thread, as gdb and top show it: up to 15 characters. By itself, since nobody else knows whether a
/// detached one still runs.
void name_this_thread(const char* name) noexcept;

/// The bounds of the calling thread's own stack.
struct stack_bounds {
    char* low;
    std::size_t size;
};
stack_bounds this_stack() noexcept;

/// The calling thread's id in the kernel.
int this_thread_id() noexcept;

/// What the kernel says of a thread of this process, now.
struct thread_usage {
    bool runnable;        ///< on a CPU or waiting for one; false: it sleeps, or is gone
    std::int64_t cpu_ns;  ///< CPU time so far, in steps of 10 ms
};
thread_usage usage_of(int thread_id) noexcept;

/// How many threads this process has, as one number of the kernel's; 0 when it does not say. Ended ones may be counted
/// for a moment.
int thread_count() noexcept;

/// Asks the kernel to be punctual with the calling thread's sleeps (1 ns of slack instead of 50 us).
void precise_sleep() noexcept;

/// CPU time that the calling thread has used, ns.
std::int64_t thread_cpu_now() noexcept;

/// No handler of a signal runs on the calling thread any more, but for faults of its own.
void block_signals() noexcept;

/// Gives the CPU to another thread.
void yield_thread() noexcept;

/// Sleeps for about so long; also in signal handlers.
void sleep_thread(std::int64_t ns) noexcept;

/// Has these called around every fork() by the thread that forks: before it, after it, and in the child by its only
/// thread. Null: nothing.
void at_fork(void (*before)(), void (*after)(), void (*in_child)()) noexcept;

/// Has `hook` called among the destructors of the calling thread's thread-locals. A call during those is heard as well;
/// one of the main thread after them, while statics are destroyed, is not. Without memory for it the hook is not
/// called.
void at_thread_end(void (*hook)(void*) noexcept) noexcept;

/// Where the calling thread's errno is; good for the thread's life. Never call it from code that may be inlined into a
/// goroutine: the compiler may keep the address across a switch.
int* errno_location() noexcept;

}  // namespace weft::sys
