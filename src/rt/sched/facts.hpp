// What the layers above ask the scheduler of the moment: the time, a random number, whether spinning pays.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "rt/core/m.hpp"

namespace weft::rt {

/// Uniform in [0, n), n > 0; for choices, not for secrets. `self`: see park_in_section().
[[nodiscard]] std::uint32_t random_below(m* self, std::uint32_t n) noexcept;

/// The caller's time in ns: the monotonic clock, or that of its bubble.
[[nodiscard]] std::int64_t now() noexcept;

/// Counts for code that may spin for a while before it parks.
[[nodiscard]] bool worth_spinning() noexcept;

/// While it lives, the calling goroutine keeps the turn in an exploration: explore_point(), and so ready(), does
/// nothing. For code that another goroutine waits for with its thread, which must not park. May be nested.
class no_explore_points {
public:
    no_explore_points() noexcept : member_(base::exploring() ? begin() : nullptr) {}
    no_explore_points(const no_explore_points&) = delete;
    no_explore_points& operator=(const no_explore_points&) = delete;
    ~no_explore_points()
    {
        if (member_ != nullptr) [[unlikely]]
            end();
    }

private:
    /// Null: the caller is no goroutine of an exploration.
    static bubble_member* begin() noexcept;
    void end() noexcept;

    bubble_member* member_;
};

}  // namespace weft::rt
