// The word of shared_mutex.
//
// | bits   |       |                                                                                              |
// |--------|-------|----------------------------------------------------------------------------------------------|
// | 32..63 | count | readers: those inside, and those who came in an odd phase and wait for it to end             |
// | 0..31  | phase | odd: a writer is inside, or waits for the readers who came before it; even: no writer.       |
// |        |       | Changed only by who holds the mutex of the writers                                           |
//
// A reader who finds an even phase is inside; one who finds an odd phase is inside as soon as the phase is another one.
// So nobody has to be told apart when a phase ends: whoever is counted then is inside. The count is in the high half
// so that a misuse that takes it below zero leaves the phase alone.
#pragma once

#include <cstdint>

#include "weft/detail/atomic.hpp"

namespace weft::detail {

class shared_word {
public:
    /// A moment of the word.
    struct view {
        std::uint64_t bits;
        [[nodiscard]] std::uint32_t readers() const noexcept { return static_cast<std::uint32_t>(bits >> 32); }
        [[nodiscard]] std::uint32_t phase() const noexcept { return static_cast<std::uint32_t>(bits); }
        [[nodiscard]] bool writer() const noexcept { return (bits & 1) != 0; }
    };

    /// Acquire: pairs with end_writer().
    [[nodiscard]] view look() const noexcept { return {bits_.load(base::memory_order_acquire)}; }

    /// Counts a reader; what was before. Pairs with end_writer().
    [[nodiscard]] view add_reader() noexcept { return {bits_.fetch_add(reader, base::memory_order_acquire)}; }
    /// The same unless there is a writer: false.
    [[nodiscard]] bool try_add_reader() noexcept
    {
        std::uint64_t seen = bits_.load(base::memory_order_relaxed);
        while ((seen & 1) == 0) {
            if (bits_.compare_exchange_weak(seen, seen + reader, base::memory_order_acquire,
                                            base::memory_order_relaxed))
                return true;
        }
        return false;
    }
    /// Pairs with begin_writer() and try_begin_writer().
    view remove_reader() noexcept { return {bits_.fetch_sub(reader, base::memory_order_release)}; }

    /// even -> odd, unless there are readers: false. By the holder of the writers' mutex.
    [[nodiscard]] bool try_begin_writer() noexcept
    {
        std::uint64_t seen = bits_.load(base::memory_order_relaxed);
        return (seen >> 32) == 0 && (seen & 1) == 0 &&
               bits_.compare_exchange_strong(seen, seen + 1, base::memory_order_acquire, base::memory_order_relaxed);
    }
    /// even -> odd; the readers to wait for. Under the bucket's lock too.
    [[nodiscard]] std::uint32_t begin_writer() noexcept
    {
        return view{bits_.fetch_add(1, base::memory_order_acquire)}.readers();
    }
    /// odd -> even unless there are readers: false.
    [[nodiscard]] bool try_end_writer(view seen) noexcept
    {
        return seen.readers() == 0 &&
               bits_.compare_exchange_strong(seen.bits, seen.bits + end_of(seen), base::memory_order_release,
                                             base::memory_order_relaxed);
    }
    /// odd -> even: all who are counted are inside. Under the bucket's lock.
    void end_writer() noexcept
    {
        const view now{bits_.load(base::memory_order_relaxed)};  // the phase is ours; the count may change meanwhile
        bits_.fetch_add(end_of(now), base::memory_order_release);
    }

private:
    static constexpr std::uint64_t reader = std::uint64_t{1} << 32;
    /// What makes the phase of `now` the next one, without a carry into the count.
    [[nodiscard]] static std::uint64_t end_of(view now) noexcept
    {
        return now.phase() == 0xffff'ffff ? std::uint64_t{0} - 0xffff'ffff : 1;
    }

    base::atomic<std::uint64_t> bits_{0};
};

}  // namespace weft::detail
