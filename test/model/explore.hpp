// A small model checker: runs a program of two to four threads under every schedule, up to a bound on preemptions, and
// under every order in which their stores may reach memory.
//
//   struct dekker {                                    a program: built anew for each execution
//       static constexpr int threads = 2;
//       weft::base::atomic<int> mine[2]{};             shared state: atomics, plain<T>, ghost<T>, and nothing else
//       void run(int thread);                          the body of each thread
//       void end();                                    optional: looks at the outcome
//       std::uint64_t fingerprint() const noexcept;    optional: a hash of state that is neither, see below
//   };
//   EXPECT_EXPLORED(weft::model::explore<dekker>({.preemptions = 2}));
//
// Scheduling. The threads are fibers on one OS thread. Each operation on an atomic, fence and heavy fence is a step,
// and before each step the explorer chooses whose step is next. It works depth first and without saved states: an
// execution is repeated up to the last choice that has an alternative. A switch away from a thread that could go on is
// a preemption; switches at waits are free. Most errors need one or two (Musuvathi and Qadeer, "Iterative Context
// Bounding", 2007). An execution ends early in a state that has been seen: memory, store buffers, and for each thread
// the values that it has read, which is all that its future depends on. Hence the rule above for shared state, and: no
// randomness, no heap in a thread (what a thread has when its execution is dropped is not destroyed). Shipped code
// under test may have ordinary data too, if it touches that under a lock (model::lock) alone and the program's
// fingerprint() covers it. States are told apart by a 64-bit hash.
//
// Memory. The model is that of x86 (Owens, Sarkar, Sewell, "A better x86 memory model: x86-TSO", 2009). A store goes to
// the thread's own FIFO buffer and from there to memory at any later time, which is a choice too; a thread sees its own
// buffered stores. Read-modify-writes, sequentially consistent stores and fences first drain the own buffer, and the
// heavy fence drains everybody's. The light fence does nothing, as on the machine. A drain commutes with all steps
// that do not touch the variable, so it is tried only just before one that does.
//
// Beyond x86. plain<T> is non-atomic data, and races on it are found by vector clocks: an acquire load that reads a
// release store orders, a relaxed one does not. So a missing acquire or release on the way to plain data is an error
// here although no x86 shows it. Relaxed atomics alone are not explored in the weaker orders that AArch64 allows.
//
// A failure is reported with a readable trace and a schedule string, which options::replay runs again: a small letter
// is a step of thread a, b, ...; a capital one moves the oldest store of that thread to memory; =N is the outcome of
// choose(); a number behind any of them repeats it.
#pragma once

#ifndef WEFT_MODEL_ATOMIC
#define WEFT_MODEL_ATOMIC "model/atomic.hpp"
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <new>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

#include "model/atomic.hpp"

namespace weft::model {

inline constexpr int max_threads = 4;
inline constexpr int unbounded = 1'000'000;

/// The bound on preemptions: the first one in the suite, which is to end soon; the second one in a long run, which is
/// what WEFT_MODEL_LONG=1 in the environment asks for (./dev stress --models).
[[nodiscard]] int bound(int usual, int in_a_long_run) noexcept;

enum class memory {
    sc,   ///< sequentially consistent: a store is in memory at once
    tso,  ///< store buffers
};

struct options {
    memory model = memory::tso;
    /// Most preemptions in one execution; `unbounded` for all schedules.
    int preemptions = 3;
    /// False: as where the kernel has no membarrier(2). The light fence is a full fence, the heavy one only that.
    bool membarrier = true;
    /// True: the heavy fence does nothing. A protocol that is right nevertheless does not need it.
    bool omit_heavy_barrier = false;
    /// Steps of one execution, beyond which it counts as a livelock.
    int max_steps = 1000;
    /// Gives up (result::complete is false) after as many; not in a long run.
    std::uint64_t max_executions = 20'000'000;
    /// Stop at states that have been seen. Off only to test the explorer.
    bool prune = true;
    /// Move stores to memory at any step, not only where it can matter. On only to test the explorer.
    bool eager_drains = false;
    /// A result's `schedule`: run this execution alone, and trace it.
    std::string replay{};
};

struct result {
    bool failed = false;
    bool complete = false;  ///< all executions within the bound
    std::string what{};     ///< of the first failure found, with the fewest preemptions
    std::string trace{};
    std::string schedule{};
    int preemptions = 0;  ///< of the failing execution
    std::uint64_t executions = 0;
    std::uint64_t steps = 0;
    std::uint64_t states = 0;

    [[nodiscard]] bool ok() const noexcept { return complete && !failed; }
    friend std::ostream& operator<<(std::ostream& os, const result& r);
};

/// Fails the execution unless `holds`.
void check(bool holds, const char* what, const std::source_location& at = std::source_location::current());

/// In a loop that goes round until something changes: the thread is not scheduled again before another one has changed
/// memory since the last time here, unless nobody else can go on.
void yield_hint(const std::source_location& at = std::source_location::current());

/// Any number from 0 to n - 1: what the model leaves open, such as whether a timer has fired.
[[nodiscard]] int choose(int n, const std::source_location& at = std::source_location::current());

void fence(std::memory_order order, const std::source_location& at = std::source_location::current());

/// The thread that runs, from 0; -1 in a program's constructor and end().
[[nodiscard]] int this_thread() noexcept;

namespace detail {

using predicate = bool (*)(void*);
void wait(predicate ready, void* context, bool may_rest, const std::source_location& at);
void name(const void* begin, std::size_t bytes, const char* text, int number);

template <class F>
void wait_for(F& ready, bool may_rest, const std::source_location& at)
{
    wait([](void* f) -> bool { return (*static_cast<F*>(f))(); }, std::addressof(ready), may_rest, at);
}

/// A variable without scheduling points.
class passive {
public:
    passive(word value, bool checked) noexcept;
    passive(const passive&) = delete;
    passive& operator=(const passive&) = delete;
    ~passive();
    [[nodiscard]] word read(const std::source_location& at) const noexcept;
    void write(word value, const std::source_location& at) noexcept;

private:
    char unused_{};
};

template <class T, bool Checked>
class variable {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(word));

public:
    variable() noexcept : variable(T{}) {}
    explicit variable(T value) noexcept : value_(to_word(value), Checked) {}
    [[nodiscard]] T get(const std::source_location& at = std::source_location::current()) const noexcept
    {
        return from_word<T>(value_.read(at));
    }
    void set(T value, const std::source_location& at = std::source_location::current()) noexcept
    {
        value_.write(to_word(value), at);
    }

private:
    passive value_;
};

}  // namespace detail

/// As one atomic step: waits until `ready()` and goes on. `ready` only loads atomics and reads ghosts. A thread that
/// waits so for ever is deadlocked.
template <class F>
void block_until(F ready, const std::source_location& at = std::source_location::current())
{
    detail::wait_for(ready, false, at);
}
/// The same, but an execution may end with the thread still here: an idle worker that sleeps.
template <class F>
void rest_until(F ready, const std::source_location& at = std::source_location::current())
{
    detail::wait_for(ready, true, at);
}

/// Non-atomic data of the program: unordered accesses are a failure.
template <class T>
using plain = detail::variable<T, true>;
/// The checker's own notes on an execution, such as how often something happened: accesses are no steps and never race.
template <class T>
using ghost = detail::variable<T, false>;

/// A lock that works, for what stands under one. Acquired in one step; blocks.
class lock {
public:
    constexpr lock() noexcept
    {
        if (!std::is_constant_evaluated())
            detail::born(this, 0);
    }
    lock(const lock&) = delete;
    lock& operator=(const lock&) = delete;
    constexpr ~lock()
    {
        if (!std::is_constant_evaluated())
            detail::died(this);
    }
    void acquire(const std::source_location& at = std::source_location::current());
    [[nodiscard]] bool try_acquire(const std::source_location& at = std::source_location::current());
    void release(const std::source_location& at = std::source_location::current());

private:
    char unused_{};
};

/// Names a variable, or all variables inside of an object, for traces. A `number` from 0 is appended.
template <class T>
void name(const T& object, const char* text, int number = -1)
{
    detail::name(std::addressof(object), sizeof object, text, number);
}

namespace detail {

struct program {
    int threads;
    void* storage;
    void* context;
    void (*create)(const program&);
    void (*run)(void* self, int thread);
    void (*end)(void* self);
    void (*destroy)(void* self) noexcept;
    std::uint64_t (*fingerprint)(const void* self) noexcept;  ///< may be null
    const char* (*thread_name)(int);
};

result explore(const options& how, const program& what);

}  // namespace detail

/// Explores the program P, constructed from `arguments` for each execution. It may have a static thread_name(int) for
/// traces. Not reentrant.
template <class P, class... Args>
result explore(const options& how, const Args&... arguments)
{
    static_assert(P::threads >= 1 && P::threads <= max_threads);
    // One place for all executions: addresses in atomics are then the same in all.
    struct room {
        alignas(P) std::array<std::byte, sizeof(P)> bytes;
    };
    const auto storage = std::make_unique<room>();
    auto make = [&](void* at) { ::new (at) P(arguments...); };
    detail::program p{};
    p.threads = P::threads;
    p.storage = storage.get();
    p.context = &make;
    p.create = [](const detail::program& self) { (*static_cast<decltype(make)*>(self.context))(self.storage); };
    p.run = [](void* self, int thread) { static_cast<P*>(self)->run(thread); };
    p.end = [](void* self)
    {
        if constexpr (requires(P& program) { program.end(); })
            static_cast<P*>(self)->end();
    };
    p.destroy = [](void* self) noexcept { static_cast<P*>(self)->~P(); };
    if constexpr (requires(const P& program) { program.fingerprint(); })
        p.fingerprint = [](const void* self) noexcept { return static_cast<const P*>(self)->fingerprint(); };
    if constexpr (requires { P::thread_name(0); })
        p.thread_name = [](int thread) -> const char* { return P::thread_name(thread); };
    return detail::explore(how, p);
}

}  // namespace weft::model

/// The protocol is right within the bound.
#define EXPECT_EXPLORED(...)                                       \
    do {                                                           \
        const ::weft::model::result explored_result = __VA_ARGS__; \
        EXPECT_TRUE(explored_result.ok()) << explored_result;      \
    } while (false)
/// The protocol is wrong, and the failure's text contains `part`.
#define EXPECT_BROKEN(part, ...)                                                          \
    do {                                                                                  \
        const ::weft::model::result explored_result = __VA_ARGS__;                        \
        EXPECT_TRUE(explored_result.failed) << "no failure found\n" << explored_result;   \
        EXPECT_NE(explored_result.what.find(part), std::string::npos) << explored_result; \
    } while (false)
