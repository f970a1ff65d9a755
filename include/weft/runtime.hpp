// Starting and steering the runtime: run, options, max_procs, lock_thread, stats.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"
#include "weft/future.hpp"
#include "weft/go.hpp"

namespace weft {

/// How the runtime is set up. Read when it starts (the first run() or go()); `procs` also by later calls of run().
struct options {
    /// Ps: how many goroutines run at the same time. 0: what WEFT_PROCS says, else what affinity and cgroups allow.
    int procs = 0;
    /// The stack that goroutines may use whose attr does not say how much, in bytes: 16 KiB to 8 GiB, as for
    /// attr::stack_size. 0: what WEFT_STACK says (`1M`, `512K` or a number of bytes), else default_stack_size.
    std::size_t stack_size = 0;
    /// Limit of the OS threads that run goroutines, those that block included; lower where the system allows less
    /// (ulimit -u, the cgroup's pids.max, kernel.threads-max). When it is reached, that is reported once on stderr, and
    /// runnable goroutines wait until a thread is back.
    int max_threads = 10'000;
    /// How long a goroutine may compute, or block its thread without saying so, while others wait for its P: after that
    /// they go on elsewhere, and it goes on as the thread that it is. From 1 ms to 1 h. See also blocking().
    std::chrono::nanoseconds slice = std::chrono::milliseconds(10);
    /// How long a thread that is not needed any more is kept, before it ends. From 0 to 24 h.
    std::chrono::nanoseconds keep_threads = std::chrono::seconds(10);
    /// How long a goroutine is parked before its stack is hibernated: packed into a few hundred bytes, its memory given
    /// back to the kernel, and put back before it runs on or is touched. Pointers into it stay valid. From 0 (never) to
    /// 24 h; in shortage of memory sooner; not in a process that has never had 64 stacks. See stats().hibernation_off,
    /// attr::hibernate and docs/guide/goroutines.md.
    std::chrono::nanoseconds hibernate_after = std::chrono::seconds(1);
    /// While this run() goes on: whether the process ends, with a report of all goroutines and exit status 2, when they
    /// are all parked and there is no timer, no thread that is not weft's or parked too, and no signal handler of the
    /// program's own (of SIGSEGV and other faults aside) to wake one of them.
    bool detect_deadlock = true;
    /// SIGQUIT (Ctrl-\ on a terminal) prints a dump of all goroutines on stderr (weft/debug.hpp), and the program goes
    /// on; without this it ends the process, as for any program. WEFT_DEBUG=sigquit does the same. Takes the place of a
    /// handler that was there.
    bool dump_on_sigquit = false;
};

namespace detail {
/// Whether process exit has begun and goroutines have stopped.
[[nodiscard]] WEFT_API bool runtime_stopped() noexcept;

/// Around each run(): checks where it is called and with what, and starts the runtime.
struct run_scope {
    WEFT_API explicit run_scope(const options& opt);
    WEFT_API ~run_scope();
    run_scope(const run_scope&) = delete;
    run_scope& operator=(const run_scope&) = delete;

private:
    bool detects_deadlock_;
};
}  // namespace detail

/// Runs `main` as the main goroutine and returns when it returns: its int, else 0. An exception that leaves `main`
/// leaves run(). Other goroutines go on until the process exits. May be called again. Throws std::logic_error when
/// called inside a goroutine, std::invalid_argument for bad options, a bad WEFT_PROCS or a bad WEFT_STACK,
/// std::system_error when the first thread can't be started, std::runtime_error once process exit has begun.
template <class F>
    requires std::invocable<std::decay_t<F>>
int run(const options& opt, F&& main)
{
    const detail::run_scope scope(opt);
    using result = std::invoke_result_t<std::decay_t<F>>;
    // Its stack is where programs keep what their threads share, std::mutex and the like, which glibc hands to
    // futex(2).
    auto done = async(attr{.name = "main", .hibernate = false}, std::forward<F>(main));
    done.wait();
    if (done.abandoned())
        return 0;  // by exit_goroutine()
    if constexpr (std::convertible_to<result, int>) {
        return done.get();
    } else {
        done.get();
        return 0;
    }
}

/// run() with default options.
template <class F>
    requires std::invocable<std::decay_t<F>>
int run(F&& main)
{
    return run(options{}, std::forward<F>(main));
}

/// The most Ps there can be.
inline constexpr int max_procs_limit = 1024;

/// The number of Ps; sets it when `n` > 0, while everything runs on: the caller has one of the Ps left when it returns,
/// others give theirs up at their next scheduling points. Returns the former value. Throws std::invalid_argument for a
/// negative `n` or one above max_procs_limit.
WEFT_API int max_procs(int n = 0);

/// The calling goroutine keeps the OS thread that it runs on, and no other goroutine runs there, until as many
/// unlock_thread() have followed. On a plain thread: no effect.
WEFT_API void lock_thread();
/// Throws std::logic_error without a matching lock_thread().
WEFT_API void unlock_thread();

namespace detail {
/// What has been learned of a call in blocking(), for each type of callable: mostly, for each such call in the source.
struct blocking_call {
    base::atomic<std::uint8_t> known_long{0};  ///< so many were long in a row, up to `certainly`
    static constexpr std::uint8_t certainly = 2;
};
WEFT_API void begin_blocking(const blocking_call& call) noexcept;
WEFT_API void end_blocking(blocking_call& call) noexcept;

struct blocking_scope {
    explicit blocking_scope(blocking_call& c) noexcept : call(c) { begin_blocking(call); }
    ~blocking_scope() { end_blocking(call); }
    blocking_scope(const blocking_scope&) = delete;
    blocking_scope& operator=(const blocking_scope&) = delete;
    blocking_call& call;
};
}  // namespace detail

/// Runs `f`, which blocks the OS thread (a system call, a library that knows nothing of goroutines), and returns what
/// it returns. As long as it blocks, others have the caller's P: within some 50 us, or at once where the last such
/// calls (with a callable of this type) were long, instead of after options::slice where nobody says blocking(). A
/// short call costs a few ns more than without. Afterwards the goroutine may be on another thread, unless it has
/// lock_thread(). An exception of `f` passes through. On a plain thread: just calls it.
template <class F>
    requires std::invocable<F>
decltype(auto) blocking(F&& f)
{
    static constinit detail::blocking_call call;
    const detail::blocking_scope scope(call);
    return std::invoke(std::forward<F>(f));
}

/// lock_thread() for a scope.
class pin {
public:
    pin() { lock_thread(); }
    ~pin() { unlock_thread(); }
    pin(const pin&) = delete;
    pin& operator=(const pin&) = delete;
};

/// Counters of the runtime, each read without stopping it: exact when nothing runs meanwhile.
struct runtime_stats {
    // goroutines
    std::uint64_t goroutines;            ///< started and not finished
    std::uint64_t goroutines_started;    ///< since the runtime started
    std::uint64_t goroutines_runnable;   ///< in a run queue
    std::uint64_t goroutines_running;    ///< on a P
    std::uint64_t goroutines_without_p;  ///< in blocking(), or blocking or computing for longer than a slice
    std::uint64_t goroutines_waiting;    ///< parked; while some park and go on, never more than there are
    // scheduler
    std::uint64_t procs;             ///< Ps
    std::uint64_t procs_idle;        ///< Ps without work
    std::uint64_t threads;           ///< OS threads that run goroutines
    std::uint64_t threads_idle;      ///< of those, asleep
    std::uint64_t threads_spinning;  ///< of those, looking for work
    std::uint64_t threads_ended;     ///< OS threads that were not needed any more
    std::uint64_t thread_failures;   ///< times that an OS thread could not be started
    std::uint64_t switches;          ///< scheduling decisions: times that a P looked for its next goroutine
    std::uint64_t parks;             ///< times that a goroutine parked
    std::uint64_t steals;            ///< successful steals
    std::uint64_t stolen;            ///< goroutines stolen
    std::uint64_t handoffs;          ///< times that a P was handed to another thread for a locked goroutine
    std::uint64_t retakes;           ///< times that a P was taken away from a goroutine that computed or blocked
    std::uint64_t wakeups;           ///< times that a sleeping thread was woken for work
    // memory, bytes
    std::uint64_t stacks_in_use;     ///< stacks (a count) that goroutines own
    std::uint64_t stacks_free;       ///< stacks (a count) kept for reuse
    std::uint64_t stack_reserved;    ///< address space of all stack slabs
    std::uint64_t stack_committed;   ///< at least: a page for each stack not given back to the kernel; see memory()
    std::uint64_t stack_hibernated;  ///< memory that hibernated stacks are packed into
    std::uint64_t control_blocks;    ///< memory of goroutine control blocks
    std::uint64_t timers;            ///< armed timers (a count)
    // hibernation
    std::uint64_t goroutines_hibernated;  ///< parked, without a stack in memory
    std::uint64_t hibernations;           ///< times that a stack was taken away
    std::uint64_t restores;               ///< times that one was put back
    std::uint64_t restores_by_access;     ///< of those, because others than its goroutine touched it
    /// Why nothing is hibernated: a text for people; null where hibernation is on.
    const char* hibernation_off;
};

/// A snapshot of the counters; all zero before the runtime has started.
[[nodiscard]] WEFT_API runtime_stats stats();

/// Where the memory of the process is, in bytes, as the kernel counts it. `resident + page_tables` is what the process
/// costs the machine; `resident` without the three below `page_tables` is the program's own.
struct runtime_memory {
    std::uint64_t resident;        ///< of the whole process (VmRSS)
    std::uint64_t page_tables;     ///< of the whole process (VmPTE); not part of `resident`
    std::uint64_t stacks;          ///< goroutines' stacks, free ones included
    std::uint64_t hibernated;      ///< what hibernated stacks are packed into
    std::uint64_t control_blocks;  ///< goroutines' control blocks, free ones included
};

/// Measures it. Unlike stats() this asks the kernel about every page of the stacks, some ns each: a millisecond for
/// some thousand goroutines, a tenth of a second or more for a million. Nothing is stopped meanwhile.
[[nodiscard]] WEFT_API runtime_memory memory();

}  // namespace weft
