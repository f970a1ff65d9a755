// Starting goroutines: go, attr, yield, exit_goroutine and who am I.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weft/detail/config.hpp"
#include "weft/detail/task.hpp"

namespace weft {

/// The stack that a goroutine may use unless attr::stack_size, options::stack_size or WEFT_STACK says otherwise, in
/// bytes. It is address space, not memory: a page becomes memory when it is first touched.
inline constexpr std::size_t default_stack_size = std::size_t{192} << 10;

/// What a goroutine may be given beside its function.
struct attr {
    /// Shown in panic reports, dumps and stall reports. Copied by go().
    std::string_view name{};
    /// What the goroutine may use of its stack in bytes, 16 KiB to 8 GiB; default_stack_size stands for the process's
    /// default (options::stack_size, WEFT_STACK). Together with a guard of 64 KiB it is rounded up to a power of two,
    /// 128 KiB at least; from 1 MiB on the guard is part of the size. Address space only.
    std::size_t stack_size = default_stack_size;
    /// The goroutine has an OS thread of its own for all its life, as if it began with lock_thread().
    bool pinned = false;
    /// Whether its stack may be hibernated while it is parked for long (options::hibernate_after). False for one whose
    /// stack other threads hand to raw system calls while it is parked: those may fail with EFAULT.
    bool hibernate = true;
};

/// Starts a goroutine that calls `f(args...)` with decayed copies, as std::thread does. Usable from goroutines and
/// from plain threads; the first call in a process starts the runtime. Throws std::bad_alloc, std::runtime_error when
/// process exit has begun, std::system_error when the runtime can't start its first thread, and whatever copying or
/// moving `f` and `args` throws; nothing was started then. An exception that leaves `f` is a panic: a report on
/// stderr, then std::terminate.
template <class F, class... Args>
    requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
WEFT_ALWAYS_INLINE void go(F&& f, Args&&... args)
{
    if constexpr (sizeof...(Args) == 0) {
        detail::spawn(std::forward<F>(f), nullptr);
    } else {
        detail::spawn(detail::bound_call(std::forward<F>(f), std::forward<Args>(args)...), nullptr);
    }
}

/// go(f, args...) with attributes. Throws std::invalid_argument, which names the field, for attributes out of range.
template <class F, class... Args>
    requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
WEFT_ALWAYS_INLINE void go(const attr& attributes, F&& f, Args&&... args)
{
    if constexpr (sizeof...(Args) == 0)
        detail::spawn(std::forward<F>(f), &attributes);
    else
        detail::spawn(detail::bound_call(std::forward<F>(f), std::forward<Args>(args)...), &attributes);
}

/// Lets other goroutines run; the caller goes to the back of its queue. On a plain thread: std::this_thread::yield.
WEFT_API void yield();

/// Ends the calling goroutine: unwinds its stack, so destructors run, then never returns. They see
/// std::uncaught_exceptions() raised by one, so scope guards take it for a failure. A `catch (...)` on the way must
/// rethrow (as with pthread_exit); one that does not is reported as a panic. Inside a handler, the exception that is
/// handled is destroyed last, and std::current_exception() is null meanwhile; but in async() and jthread no
/// `catch (...)` may stand inside a handler on the way: libstdc++ ends the process there by std::terminate(), as it
/// does for pthread_exit. The main goroutine's end makes run() return 0; an async()'s future gets
/// std::future_errc::broken_promise. On a plain thread: throws std::logic_error.
[[noreturn]] WEFT_API void exit_goroutine();

/// The calling goroutine's id: 1, 2, 3 ..., never reused. 0 on a plain thread.
[[nodiscard]] WEFT_API std::uint64_t goroutine_id() noexcept;

/// How many bytes of stack the caller has left: on a goroutine above the guard of its stack, on a plain thread what
/// pthread_getattr_np() says (slow on the process's first thread: it reads a file). 0 where the caller stands on
/// another stack than its own, as in a signal handler. For recursion that wants to stop in time.
[[nodiscard]] WEFT_API std::size_t stack_remaining() noexcept;

/// Goroutines that were started and have not finished. Exact when nothing starts or ends one meanwhile.
[[nodiscard]] WEFT_API std::size_t num_goroutines() noexcept;

}  // namespace weft
