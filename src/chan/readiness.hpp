// readiness: what can be known of a channel without its lock, in one word.
//
//   bit 0   a receive would not wait
//   bit 1   a send would not wait (or would throw: closed)
//   2..31   how often one of the bits has become 1, modulo 2^30
//
// Written under the channel's lock. Who sees a bit clear has seen a moment at which it was; who finds the whole word
// with as many rises later knows that the clear bits were clear all the time. By that select decides for its default
// case without a lock: it reads all words twice, and no rise means that none was ready at the moment between the two
// rounds.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"

namespace weft::chans {

class readiness {
public:
    enum : std::uint32_t { can_recv = 1, can_send = 2 };

    explicit readiness(bool has_room) noexcept : word_(has_room ? can_send : 0U) {}

    [[nodiscard]] std::uint32_t read() const noexcept { return word_.load(base::memory_order_acquire); }
    [[nodiscard]] static std::uint32_t rises(std::uint32_t word) noexcept { return word / one_rise; }
    /// Under the lock.
    void set(bool recv, bool send) noexcept
    {
        const std::uint32_t was = word_.load(base::memory_order_relaxed);
        const std::uint32_t now = (recv ? can_recv : 0U) | (send ? can_send : 0U);
        if ((was & both) == now)
            return;
        const std::uint32_t rise = (now & ~was) != 0 ? one_rise : 0U;
        word_.store((was & ~both) + rise + now, base::memory_order_release);
    }

private:
    static constexpr std::uint32_t both = can_recv | can_send;
    static constexpr std::uint32_t one_rise = 4;
    base::atomic<std::uint32_t> word_;
};

}  // namespace weft::chans
