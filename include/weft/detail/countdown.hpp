// The word under wait_group and latch: a counter, and whether somebody waits for its zero.
//
// | bits   |             |                                                                                    |
// |--------|-------------|------------------------------------------------------------------------------------|
// | 32..63 | counter     | signed; negative only for the moment of a misuse that is undone                    |
// | 0      | has_waiters | set and cleared under the sema bucket's lock, exactly while a waiter is queued; so |
// |        |             | who brings the counter to zero with the bit set finds one, and until it has taken  |
// |        |             | that one the object lives                                                          |
#pragma once

#include <cstdint>

#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"
#include "weft/detail/deadline.hpp"

namespace weft::detail {

enum class countdown_owner : std::uint8_t { wait_group, latch };

class countdown {
public:
    constexpr countdown() noexcept = default;
    constexpr explicit countdown(std::uint32_t n) noexcept : state_(std::uint64_t{n} << 32) {}

    [[nodiscard]] bool zero() const noexcept
    {
        return state_.load(base::memory_order_acquire) >> 32 == 0;  // pairs with add()
    }
    /// Throws std::logic_error, and leaves the counter as it was, when it would leave 0 to 2^31-1.
    void add(int n, countdown_owner owner)
    {
        const std::uint64_t delta = static_cast<std::uint64_t>(static_cast<std::int64_t>(n)) << 32;
        const std::uint64_t now = state_.fetch_add(delta, base::memory_order_acq_rel) + delta;
        const auto count = static_cast<std::int32_t>(now >> 32);
        // Zero with a waiter, or a sign: an increment never makes zero, a decrement never a larger count.
        if (count < 0 || (count == 0 && now != 0)) [[unlikely]]
            add_slow(n, now, owner);
    }
    /// Parks until the counter is zero: true. False: `bound` has come first.
    WEFT_API bool wait_slow(wait_bound bound, countdown_owner owner);
    /// The end of a wait_group whose counter is not zero: a panic, unless the process exits.
    WEFT_API void abandon() const noexcept;

private:
    static constexpr std::uint64_t has_waiters = 1;
    WEFT_API void add_slow(int n, std::uint64_t now, countdown_owner owner);

    friend struct countdown_queue;
    base::atomic<std::uint64_t> state_{0};
};

}  // namespace weft::detail
