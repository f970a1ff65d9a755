// fd_word: who uses a descriptor, in one word. docs/design/netpoll.md, "Closing".
//
// | bits   | name           | meaning                                                                                 |
// |--------|----------------|-----------------------------------------------------------------------------------------|
// | 0      | closed         | close() has begun: nobody begins any more                                               |
// | 1, 2   | reading,       | somebody has the direction. With the bit below set it is not given back but handed on   |
// |        | writing        |                                                                                         |
// | 3, 4   | read_queue,    | somebody may be queued for it; set and cleared under the lock of the queue's bucket     |
// |        | write_queue    |                                                                                         |
// | 8 - 63 | uses           | calls that may touch the descriptor: who has a direction, who only looks (use()), and   |
// |        |                | the one that closes. Who brings it to zero with `closed` set closes the descriptor      |
//
// Queued ones have no use; it is handed on with the direction.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"

namespace weft::io {

class fd_word {
public:
    enum class admission : std::uint8_t {
        mine,  ///< the direction is the caller's, and it has a use
        busy,  ///< somebody else has it
        closed,
    };
    enum class rest : std::uint8_t {
        none,      ///< nothing is left to do
        hand_on,   ///< nothing was changed: somebody may be queued
        was_last,  ///< the caller closes the descriptor
    };
    /// `side`: 0 to read, 1 to write. False: it is not as simple, see begin_or_queue().
    [[nodiscard]] WEFT_ALWAYS_INLINE bool try_begin(unsigned side) noexcept
    {
        std::uint64_t seen = word_.load(base::memory_order_relaxed);
        if ((seen & (closed | taken(side))) != 0) [[unlikely]]
            return false;
        // Acquire: what the last one of this direction has done. Pairs with end().
        return word_.compare_exchange_strong(seen, (seen | taken(side)) + one_use, base::memory_order_acquire,
                                             base::memory_order_relaxed);
    }
    /// Takes the direction, or announces that the caller queues: busy. Under the lock of the bucket.
    [[nodiscard]] admission begin_or_queue(unsigned side) noexcept
    {
        std::uint64_t seen = word_.load(base::memory_order_relaxed);
        for (;;) {
            if ((seen & closed) != 0)
                return admission::closed;
            const bool busy = (seen & taken(side)) != 0;
            const std::uint64_t next = busy ? seen | queued(side) : (seen | taken(side)) + one_use;
            if (word_.compare_exchange_weak(seen, next, base::memory_order_acquire, base::memory_order_relaxed))
                return busy ? admission::busy : admission::mine;
        }
    }
    /// end(), where nobody is queued and nobody closes. False: it is not as simple.
    [[nodiscard]] WEFT_ALWAYS_INLINE bool try_end(unsigned side) noexcept
    {
        std::uint64_t seen = word_.load(base::memory_order_relaxed);
        if ((seen & (closed | queued(side))) != 0) [[unlikely]]
            return false;
        return word_.compare_exchange_strong(seen, (seen & ~taken(side)) - one_use, base::memory_order_acq_rel,
                                             base::memory_order_relaxed);
    }
    /// Gives the direction and its use back.
    [[nodiscard]] rest end(unsigned side) noexcept
    {
        std::uint64_t seen = word_.load(base::memory_order_relaxed);
        std::uint64_t next;
        do {
            if ((seen & queued(side)) != 0)
                return rest::hand_on;
            next = (seen & ~taken(side)) - one_use;
            // Release: for try_begin(), and for who closes. Acquire: of all others' uses, when we close.
        } while (!word_.compare_exchange_weak(seen, next, base::memory_order_acq_rel, base::memory_order_relaxed));
        return is_over(next) ? rest::was_last : rest::none;
    }
    /// Nobody is queued any more. Under the lock of the bucket.
    void forget_queue(unsigned side) noexcept { word_.fetch_and(~queued(side), base::memory_order_relaxed); }

    /// A use without a direction. False: closed.
    [[nodiscard]] bool use() noexcept
    {
        std::uint64_t seen = word_.load(base::memory_order_relaxed);
        do {
            if ((seen & closed) != 0)
                return false;
        } while (
            !word_.compare_exchange_weak(seen, seen + one_use, base::memory_order_acquire, base::memory_order_relaxed));
        return true;
    }
    /// Ends a use. True: the caller closes the descriptor.
    [[nodiscard]] bool end_use() noexcept
    {
        return is_over(word_.fetch_sub(one_use, base::memory_order_acq_rel) - one_use);
    }
    /// Nobody begins any more; the caller has a use. False: closed already.
    [[nodiscard]] bool close() noexcept
    {
        std::uint64_t seen = word_.load(base::memory_order_relaxed);
        do {
            if ((seen & closed) != 0)
                return false;
        } while (!word_.compare_exchange_weak(seen, (seen | closed) + one_use, base::memory_order_acq_rel,
                                              base::memory_order_relaxed));
        return true;
    }
    [[nodiscard]] bool is_closed() const noexcept { return (word_.load(base::memory_order_acquire) & closed) != 0; }

private:
    static constexpr std::uint64_t closed = 1;
    static constexpr std::uint64_t one_use = 256;
    static constexpr std::uint64_t taken(unsigned side) noexcept { return std::uint64_t{2} << side; }
    static constexpr std::uint64_t queued(unsigned side) noexcept { return std::uint64_t{8} << side; }
    static constexpr bool is_over(std::uint64_t w) noexcept { return (w & closed) != 0 && w < one_use; }

    base::atomic<std::uint64_t> word_{0};
};

}  // namespace weft::io
