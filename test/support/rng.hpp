// A small seeded generator for tests: cheap to copy into every goroutine.
#pragma once

#include <cstdint>

namespace weft::test {

/// SplitMix64 (Steele, Lea, Flood 2014): any seed is good, and split() gives an independent sequence.
class rng {
public:
    explicit rng(std::uint64_t seed) noexcept : state_(seed) {}

    std::uint64_t next() noexcept
    {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31);
    }
    /// Uniform enough in [0, n), n > 0.
    std::uint64_t below(std::uint64_t n) noexcept { return next() % n; }
    bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }
    rng split() noexcept { return rng(next()); }

private:
    std::uint64_t state_;
};

}  // namespace weft::test
