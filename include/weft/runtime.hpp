// Starting and steering the runtime: run, options, max_procs, lock_thread, stats.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "weft/detail/config.hpp"
#include "weft/future.hpp"
#include "weft/go.hpp"

namespace weft {

/// How the runtime is set up. Read when it starts (the first run() or go()); `procs` also by later calls of run().
struct options {
    /// Ps: how many goroutines run at the same time. 0: what WEFT_PROCS says, else what affinity and cgroups allow.
    int procs = 0;
    /// Limit of the OS threads that run goroutines, blocked ones included.
    int max_threads = 10'000;
    /// While this run() goes on: whether the process ends, with a report of all goroutines and exit status 2, when they
    /// are all parked and there is no timer, and no thread that is not weft's or parked too, to wake one of them. To be
    /// switched off where signal handlers wake goroutines: those can't be foreseen.
    bool detect_deadlock = true;
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
    bool watched_;
};
}  // namespace detail

/// Runs `main` as the main goroutine and returns when it returns: its int, else 0. An exception that leaves `main`
/// leaves run(). Other goroutines go on until the process exits. May be called again. Throws std::logic_error when
/// called inside a goroutine, std::invalid_argument for bad options or a bad WEFT_PROCS, std::system_error when the
/// first thread can't be started, std::runtime_error once process exit has begun.
template <class F>
    requires std::invocable<std::decay_t<F>>
int run(const options& opt, F&& main)
{
    const detail::run_scope scope(opt);
    using result = std::invoke_result_t<std::decay_t<F>>;
    auto done = async(attr{.name = "main"}, std::forward<F>(main));
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
    std::uint64_t goroutines;           ///< started and not finished
    std::uint64_t goroutines_started;   ///< since the runtime started
    std::uint64_t goroutines_runnable;  ///< in a run queue
    std::uint64_t goroutines_running;   ///< on a P
    std::uint64_t goroutines_waiting;   ///< parked
    // scheduler
    std::uint64_t procs;             ///< Ps
    std::uint64_t procs_idle;        ///< Ps without work
    std::uint64_t threads;           ///< OS threads that run goroutines
    std::uint64_t threads_idle;      ///< of those, asleep
    std::uint64_t threads_spinning;  ///< of those, looking for work
    std::uint64_t thread_failures;   ///< times that an OS thread could not be started
    std::uint64_t switches;          ///< scheduling decisions: times that a P looked for its next goroutine
    std::uint64_t parks;             ///< times that a goroutine parked
    std::uint64_t steals;            ///< successful steals
    std::uint64_t stolen;            ///< goroutines stolen
    std::uint64_t handoffs;          ///< times that a P was handed to another thread for a locked goroutine
    std::uint64_t wakeups;           ///< times that a sleeping thread was woken for work
    // memory, bytes
    std::uint64_t stacks_in_use;     ///< stacks (a count) that goroutines own
    std::uint64_t stacks_free;       ///< stacks (a count) kept for reuse
    std::uint64_t stack_reserved;    ///< address space of all stack slabs
    std::uint64_t stack_committed;   ///< memory of stack slabs, by mincore-free estimate: one page a stack ever used
    std::uint64_t stack_hibernated;  ///< 0: this version does not hibernate
    std::uint64_t control_blocks;    ///< memory of goroutine control blocks
    std::uint64_t timers;            ///< armed timers (a count)
};

/// A snapshot of the counters; all zero before the runtime has started.
[[nodiscard]] WEFT_API runtime_stats stats();

}  // namespace weft
