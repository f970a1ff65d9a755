// How much work a test does: less under the sanitizers and under emulation, so that every build runs every test.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace weft::test {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool under_tsan = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool under_tsan = true;
#else
inline constexpr bool under_tsan = false;
#endif
#else
inline constexpr bool under_tsan = false;
#endif

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool under_asan = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool under_asan = true;
#else
inline constexpr bool under_asan = false;
#endif
#else
inline constexpr bool under_asan = false;
#endif

inline constexpr bool under_sanitizer = under_tsan || under_asan;

/// Whether WEFT_TEST_SLOW=1: an emulator or another machine on which everything takes tens of times longer.
inline bool slow()
{
    static const bool is = []
    {
        const char* const set = std::getenv("WEFT_TEST_SLOW");
        return set != nullptr && std::strcmp(set, "1") == 0;
    }();
    return is;
}

/// A number of things to do, `n` on a plain build; never below 8 unless `n` is.
inline std::size_t scaled(std::size_t n)
{
    std::size_t divisor = 1;
    if (under_asan)
        divisor = 10;
    if (under_tsan)
        divisor = 20;
    if (slow())
        divisor = std::max<std::size_t>(divisor, 50);
    return std::max(n / divisor, std::min<std::size_t>(n, 8));
}

/// A number of goroutines that own a stack at the same time, `n` on a plain build. At most 20,000: without guard
/// markers (old kernels, WEFT_DEBUG=noguardmarker) each stack takes two of 65,530 mappings. TSan gives up at 8,128
/// fibers and reuses those of finished goroutines late, hence the lower limit there.
inline std::size_t scaled_live(std::size_t n)
{
    return std::min(scaled(n), std::size_t{under_tsan ? 3'000U : 20'000U});
}

}  // namespace weft::test
