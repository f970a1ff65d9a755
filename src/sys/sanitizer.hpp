// Telling the sanitizers which stack runs. Empty in ordinary builds.
//
// ASan keeps a fake stack and the bounds of the real one per thread; TSan keeps a shadow call stack and a vector clock
// per fiber. A switch synchronises (flag 0): the scheduler's own data, which is plain memory owned by whoever holds
// the P, passes from one goroutine to the next by program order of the OS thread, and TSan must see that. The price:
// a race between two goroutines is found when they run on different Ms, not when one M ran both in a row.
#pragma once

#include <cstddef>

#include "weft/detail/config.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WEFT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TSAN 1
#endif
#endif

#ifdef WEFT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef WEFT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace weft::sys {

#ifdef WEFT_ASAN
inline constexpr bool address_sanitizer = true;
#else
inline constexpr bool address_sanitizer = false;
#endif
#ifdef WEFT_TSAN
inline constexpr bool thread_sanitizer = true;
#else
inline constexpr bool thread_sanitizer = false;
#endif

/// A sanitizer that the program is built with and weft is not, in words for its user.
struct sanitizer_mismatch {
    const char* sanitizer;  ///< as -fsanitize= names it
    const char* effect;
    const char* cure;
};
/// Null: there is none.
[[nodiscard]] const sanitizer_mismatch* sanitizer_of_program_alone() noexcept;

/// OS threads that the sanitizer itself keeps in the process.
inline constexpr int sanitizer_threads = thread_sanitizer ? 1 : 0;

/// Before a switch. `fake` keeps the leaving stack's fake frames; null: it is left for good. Returns nothing; the
/// bounds are those of the stack that is entered.
WEFT_ALWAYS_INLINE void before_switch([[maybe_unused]] void** fake, [[maybe_unused]] const void* low,
                                      [[maybe_unused]] std::size_t size, [[maybe_unused]] void* fiber) noexcept
{
#ifdef WEFT_ASAN
    __sanitizer_start_switch_fiber(fake, low, size);
#endif
#ifdef WEFT_TSAN
    __tsan_switch_to_fiber(fiber, 0);
#endif
}

/// After a switch, on the stack that was entered. `fake` as before_switch() left it for this stack; null on a new one.
WEFT_ALWAYS_INLINE void after_switch([[maybe_unused]] void* fake) noexcept
{
#ifdef WEFT_ASAN
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

/// Before a stack with its end at `top` is left for good by a function near there. ASan's frames expect the shadow of
/// their variables to be clean, and those that never return would leave their red zones to whoever uses the stack next.
WEFT_ALWAYS_INLINE void forget_frames([[maybe_unused]] const void* top) noexcept
{
#ifdef WEFT_ASAN
    constexpr std::size_t below = 1024;  // bytes; the caller's own frame
    const char* const low = static_cast<const char*>(__builtin_frame_address(0)) - below;
    __asan_unpoison_memory_region(low, static_cast<std::size_t>(static_cast<const char*>(top) - low));
#endif
}

/// At the end of the process somebody looks for memory that nothing points to.
#ifdef WEFT_ASAN
inline constexpr bool leak_checker = true;
#else
inline constexpr bool leak_checker = false;
#endif

/// For good: what is pointed to from there is not leaked.
inline void keep_reachable([[maybe_unused]] const void* low, [[maybe_unused]] std::size_t size) noexcept
{
#ifdef WEFT_ASAN
    __lsan_register_root_region(low, size);
#endif
}

inline void* new_fiber() noexcept
{
#ifdef WEFT_TSAN
    return __tsan_create_fiber(0);
#else
    return nullptr;
#endif
}

inline void delete_fiber([[maybe_unused]] void* fiber) noexcept
{
#ifdef WEFT_TSAN
    if (fiber != nullptr)
        __tsan_destroy_fiber(fiber);
#endif
}

inline void* this_fiber() noexcept
{
#ifdef WEFT_TSAN
    return __tsan_get_current_fiber();
#else
    return nullptr;
#endif
}

}  // namespace weft::sys
