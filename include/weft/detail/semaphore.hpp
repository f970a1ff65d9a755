// The semaphore behind every counting_semaphore<N>: its word, and its ways to wait.
//
// | bits  |         |                                                                                                |
// |-------|---------|------------------------------------------------------------------------------------------------|
// | 1..63 | permits | free ones                                                                                      |
// | 0     | waiting | somebody is queued. Then everybody goes by way of the queue's lock, and the permits and the    |
// |       |         | bit change under it alone                                                                      |
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"
#include "weft/detail/deadline.hpp"

namespace weft::detail {

class semaphore {
public:
    constexpr explicit semaphore(std::ptrdiff_t permits) noexcept : word_(static_cast<std::uint64_t>(permits) << 1) {}

    [[nodiscard]] bool try_acquire(std::uint64_t n) noexcept
    {
        std::uint64_t seen = word_.load(base::memory_order_relaxed);
        while ((seen & waiting) == 0 && seen >> 1 >= n) {
            // Pairs with release().
            if (word_.compare_exchange_weak(seen, seen - (n << 1), base::memory_order_acquire,
                                            base::memory_order_relaxed))
                return true;
        }
        return false;
    }
    /// False: not done, because of waiters or because there would be more than `max`.
    [[nodiscard]] bool try_release(std::uint64_t n, std::uint64_t max) noexcept
    {
        std::uint64_t seen = word_.load(base::memory_order_relaxed);
        while ((seen & waiting) == 0 && n <= max && seen >> 1 <= max - n) {
            if (word_.compare_exchange_weak(seen, seen + (n << 1), base::memory_order_release,
                                            base::memory_order_relaxed))
                return true;
        }
        return false;
    }
    /// Throws std::logic_error for n < 0 or n > max. False: `bound` has come first.
    WEFT_API bool acquire_slow(std::ptrdiff_t n, std::ptrdiff_t max, wait_bound bound);
    /// Throws std::logic_error for n < 0 or when there would be more than `max`.
    WEFT_API void release_slow(std::ptrdiff_t n, std::ptrdiff_t max);

private:
    static constexpr std::uint64_t waiting = 1;

    friend struct semaphore_queue;
    base::atomic<std::uint64_t> word_;
};

}  // namespace weft::detail
