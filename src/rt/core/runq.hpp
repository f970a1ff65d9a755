// runq: a ring of runnable goroutines, plain memory. Its owner P's M touches it inside its claim, a thief with the M
// claimed (section_word.hpp); so nothing here is an atomic read-modify-write. head and tail are atomic words only so
// that others may look whether there is anything to steal.
#pragma once

#include <array>
#include <cstdint>

#include "base/atomic.hpp"

namespace weft::rt {

struct g;

template <std::uint32_t Capacity>
class runq {
public:
    static constexpr std::uint32_t capacity = Capacity;
    static_assert((capacity & (capacity - 1)) == 0, "head and tail wrap");

    /// Racy when called by others: a hint, but never less than nothing, because head is read first and only grows.
    [[nodiscard]] WEFT_ALWAYS_INLINE std::uint32_t size() const noexcept
    {
        const std::uint32_t h = head_.load(base::memory_order_acquire);
        return tail_.load(base::memory_order_relaxed) - h;
    }
    [[nodiscard]] WEFT_ALWAYS_INLINE bool empty() const noexcept { return size() == 0; }
    [[nodiscard]] WEFT_ALWAYS_INLINE bool full() const noexcept { return size() >= capacity; }

    /// Precondition: not full.
    WEFT_ALWAYS_INLINE void push_back(g* item) noexcept { put(tail_.load(base::memory_order_relaxed), item); }
    /// push_back() if there is room; the size afterwards, 0 when it was full.
    [[nodiscard]] WEFT_ALWAYS_INLINE std::uint32_t try_push_back(g* item) noexcept
    {
        const std::uint32_t t = tail_.load(base::memory_order_relaxed);
        const std::uint32_t n = t - head_.load(base::memory_order_relaxed);
        if (n >= capacity) [[unlikely]]
            return 0;
        put(t, item);
        return n + 1;
    }
    /// Precondition of these: not empty.
    [[nodiscard]] WEFT_ALWAYS_INLINE g* front() const noexcept
    {
        return ring_[head_.load(base::memory_order_relaxed) % capacity];
    }
    WEFT_ALWAYS_INLINE g* pop_front() noexcept
    {
        const std::uint32_t h = head_.load(base::memory_order_relaxed);
        g* const item = ring_[h % capacity];
        head_.store(h + 1, base::memory_order_relaxed);
        return item;
    }
    WEFT_ALWAYS_INLINE g* pop_back() noexcept
    {
        const std::uint32_t t = tail_.load(base::memory_order_relaxed) - 1;
        tail_.store(t, base::memory_order_relaxed);
        return ring_[t % capacity];
    }
    /// push_back(item), then pop_front(), where there is a front and `fits(front)`: never overflows. Else null, and
    /// nothing has been done.
    template <class Fits>
    WEFT_ALWAYS_INLINE g* rotate_if(g* item, Fits fits) noexcept
    {
        const std::uint32_t h = head_.load(base::memory_order_relaxed);
        const std::uint32_t t = tail_.load(base::memory_order_relaxed);
        if (h == t)
            return nullptr;
        g* const first = ring_[h % capacity];
        if (!fits(first)) [[unlikely]]
            return nullptr;
        ring_[t % capacity] = item;
        head_.store(h + 1, base::memory_order_relaxed);
        tail_.store(t + 1, base::memory_order_release);
        return first;
    }
    /// The `i`th of the newest, from 0. Precondition: there are more than `i`.
    [[nodiscard]] WEFT_ALWAYS_INLINE g* newest(std::uint32_t i) const noexcept
    {
        return ring_[(tail_.load(base::memory_order_relaxed) - 1 - i) % capacity];
    }
    /// Moves the `n` oldest to the back of `to`; there must be as many, and room for them.
    void move_front(runq& to, std::uint32_t n) noexcept
    {
        for (std::uint32_t i = 0; i < n; ++i)
            to.push_back(pop_front());
    }

private:
    WEFT_ALWAYS_INLINE void put(std::uint32_t at, g* item) noexcept
    {
        ring_[at % capacity] = item;
        tail_.store(at + 1, base::memory_order_release);
    }

    base::atomic<std::uint32_t> head_{0};
    base::atomic<std::uint32_t> tail_{0};
    std::array<g*, capacity> ring_{};
};

}  // namespace weft::rt
