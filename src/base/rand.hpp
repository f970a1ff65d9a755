// A small fast generator for choices that need no quality: where a thief begins to look.
#pragma once

#include <cstdint>

namespace weft::base {

/// Steele, Lea, Flood: SplitMix64 ("Fast splittable pseudorandom number generators", OOPSLA 2014).
class rand {
public:
    explicit constexpr rand(std::uint64_t seed) noexcept : state_(seed) {}

    constexpr std::uint64_t next() noexcept
    {
        state_ += 0x9e3779b97f4a7c15;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    /// Uniform in [0, n), n > 0; the bias of the multiplication is below n / 2^32.
    constexpr std::uint32_t below(std::uint32_t n) noexcept
    {
        return static_cast<std::uint32_t>(((next() >> 32) * n) >> 32);
    }

private:
    std::uint64_t state_;
};

}  // namespace weft::base
