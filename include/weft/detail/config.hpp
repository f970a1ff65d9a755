// Export macro and the compilers' dialects. Included by every public header.
#pragma once

// What weft cannot do without. A header that is not there ends the compilation: the one #error is not followed by pages
// of what it leads to.
#if !defined(__linux__)
#error "weft runs on Linux only"
#include <weft: see the error above>
#elif !defined(__x86_64__) && !defined(__aarch64__)
#error "weft has a context switch for x86-64 and aarch64 only"
#include <weft: see the error above>
#elif __cplusplus < 202002L
#error "weft needs C++20: compile with -std=c++20 or later (CMake: target_compile_features(TARGET PRIVATE cxx_std_20))"
#include <weft: see the error above>
#elif !defined(__cpp_exceptions)
#error "weft needs exceptions: compile without -fno-exceptions"
#include <weft: see the error above>
#endif

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0

/// What user code may link against; everything else in the library is hidden.
#define WEFT_API __attribute__((visibility("default")))

/// The library's own variables: position-independent code reaches them without a look-up in the GOT.
#define WEFT_HIDDEN __attribute__((visibility("hidden")))

#define WEFT_NOINLINE __attribute__((noinline))
/// Runs for each operation: all such functions lie together, in few pages.
#define WEFT_HOT __attribute__((hot))
#define WEFT_ALWAYS_INLINE inline __attribute__((always_inline))
