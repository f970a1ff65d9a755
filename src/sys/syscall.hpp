// System calls of hot paths, straight to the kernel.
//
// Each of libc's wrappers that may block is a cancellation point: in a process with threads that is two locked
// operations and 60 instructions a call. Here a call is the instruction alone, and no point of cancellation, which no
// function of ours could be anyway: they are noexcept, and pthread_cancel() unwinds. errno is left as it is.
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>

#include "sys/sanitizer.hpp"
#include "weft/detail/config.hpp"

namespace weft::sys {

namespace detail {

WEFT_ALWAYS_INLINE long in_register(const volatile void* pointer) noexcept
{
    return reinterpret_cast<long>(pointer);
}
WEFT_ALWAYS_INLINE long in_register(std::nullptr_t) noexcept
{
    return 0;
}
template <class T>
    requires std::integral<T> || std::is_enum_v<T>
WEFT_ALWAYS_INLINE long in_register(T number) noexcept
{
    return static_cast<long>(number);
}

/// What the kernel says: a result or a negative errno.
WEFT_ALWAYS_INLINE long call_kernel(long number, long a, long b, long c, long d, long e, long f) noexcept
{
#if defined(__x86_64__)
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    asm volatile("syscall"
                 : "+a"(number)
                 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return number;
#else
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    register long x5 asm("x5") = f;
    asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
    return x0;
#endif
}

}  // namespace detail

/// Under a sanitizer libc's wrappers are called, as it watches those.
inline constexpr bool direct_calls = !address_sanitizer && !thread_sanitizer;

/// System call `number` with up to six arguments: its result or a negative errno.
template <class... Arguments>
WEFT_ALWAYS_INLINE long direct_call(long number, Arguments... arguments) noexcept
{
    static_assert(sizeof...(Arguments) <= 6);
    const auto call = [number](long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0)
    { return detail::call_kernel(number, a, b, c, d, e, f); };
    return call(detail::in_register(arguments)...);
}

}  // namespace weft::sys
