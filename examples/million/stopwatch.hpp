// Timing of small costs.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>

namespace million {

/// Calls `work()`, which does a thing `times` times; seconds for one. The median of some rounds.
template <class Work>
[[nodiscard]] double seconds_each(int times, Work&& work)
{
    std::array<double, 5> rounds{};
    for (double& seconds : rounds) {
        const auto began = std::chrono::steady_clock::now();
        work();
        seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    }
    std::nth_element(rounds.begin(), rounds.begin() + rounds.size() / 2, rounds.end());
    return rounds[rounds.size() / 2] / times;
}

}  // namespace million
