// readiness: what can be known of a channel without its lock, in one word.
//
//   bit 0   a receive would not wait
//   bit 1   a send would not wait (or would throw: closed)
//   2..31   how often one of the bits has changed, modulo 2^30
//
// Written under the channel's lock. Who sees a bit clear has seen a moment at which it was; who finds the same word
// later knows that it was clear all the time. By that select decides for its default case without a lock: it reads all
// words twice, and no change means that none was ready at the moment between the two rounds. A word only grows, so it
// need only keep their sum.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/cpu.hpp"

namespace weft::chans {

class readiness {
public:
    enum : std::uint32_t { can_recv = 1, can_send = 2 };

    explicit readiness(bool has_room) noexcept : word_(has_room ? can_send : 0U) {}

    [[nodiscard]] std::uint32_t read() const noexcept { return word_.load(base::memory_order_acquire); }
    /// Under the lock.
    WEFT_ALWAYS_INLINE void set(bool recv, bool send) noexcept
    {
        const std::uint32_t was = word_.load(base::memory_order_relaxed);
        const std::uint32_t now =
            static_cast<std::uint32_t>(recv) * can_recv + static_cast<std::uint32_t>(send) * can_send;
        if ((was & both) != now)
            word_.store((was | both) + 1 + now, base::memory_order_release);
    }
    /// Under the lock, of one bit alone: it was clear.
    WEFT_ALWAYS_INLINE void gain(std::uint32_t bit) noexcept { step(both + 1 + bit); }
    /// It was set.
    WEFT_ALWAYS_INLINE void lose(std::uint32_t bit) noexcept { step(both + 1 - bit); }

private:
    WEFT_ALWAYS_INLINE void step(std::uint32_t by) noexcept
    {
        word_.store(word_.load(base::memory_order_relaxed) + by, base::memory_order_release);
    }

    static constexpr std::uint32_t both = can_recv | can_send;
    base::atomic<std::uint32_t> word_;
};

}  // namespace weft::chans
