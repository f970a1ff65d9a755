// The channel: its state, and what is done with it under its lock.
//
// A waiter lies in the frame of the call that waits (wait), with one node for each channel it is queued on. Whoever
// takes a node out of a queue, under that channel's lock, and wins its wait owns the waiter: it moves the value
// straight from frame to frame and readies it. A wait on one channel without a deadline can be won only through its one
// node, so there taking the node is winning; others are won by one compare-exchange, of which the deadline is one more
// contender. A node whose wait has been won by another is dropped when it is met. The waiter itself takes its other
// nodes out, under their locks, before its frame goes away.
//
// Locks: a channel's; several only by select, in the order of their addresses. Nothing that can park, throw or run user
// code is done under them, except the noexcept moves of elements. Readying happens after the unlock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/atomic.hpp"
#include "base/cpu.hpp"
#include "chan/readiness.hpp"
#include "rt/rt.hpp"
#include "weft/detail/chan.hpp"

namespace weft::chans {

struct node;

/// A call that waits.
struct wait : rt::deadline_wait {
    enum : std::uint32_t { by_nobody = 0xffff'ffff, by_deadline = 0xffff'fffe };

    /// The index of the node by which it was won.
    base::atomic<std::uint32_t> winner{by_nobody};
    bool ok = false;     ///< by the winner: false if the channel was closed
    bool alone = false;  ///< one node, no deadline: nobody else can win it

    [[nodiscard]] bool win(std::uint32_t by) noexcept
    {
        if (alone) {
            winner.store(by, base::memory_order_relaxed);
            return true;
        }
        std::uint32_t seen = by_nobody;
        return winner.compare_exchange_strong(seen, by, base::memory_order_acq_rel, base::memory_order_relaxed);
    }
};

/// A wait's place in one queue. Guarded by that channel's lock.
struct node {
    node* next;
    node* previous;
    wait* of;
    void* slot;           ///< where the value is or goes
    std::uint32_t index;  ///< which case
    /// Written under the lock; the waiter may look without it: false stays.
    base::atomic<bool> queued;
};

/// A FIFO that nodes can leave from the middle.
class queue {
public:
    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
    void push_back(node& n) noexcept
    {
        n.next = nullptr;
        n.previous = last_;
        n.queued.store(true, base::memory_order_relaxed);
        (last_ == nullptr ? first_ : last_->next) = &n;
        last_ = &n;
    }
    void remove(node& n) noexcept
    {
        (n.previous == nullptr ? first_ : n.previous->next) = n.next;
        (n.next == nullptr ? last_ : n.next->previous) = n.previous;
        n.queued.store(false, base::memory_order_release);
    }
    /// The first that could be won; null without one. The others before it are out of the queue.
    [[nodiscard]] node* take() noexcept
    {
        while (node* const n = first_) {
            wait& of = *n->of;
            const std::uint32_t index = n->index;
            remove(*n);
            // Unless we win, its waiter may leave as soon as it sees that it is not queued any more.
            if (of.win(index))
                return n;
        }
        return nullptr;
    }

private:
    node* first_ = nullptr;
    node* last_ = nullptr;
};

enum class outcome : std::uint8_t { done, blocked, closed };

/// `refs` has counted the last handle: nobody waits and nobody will look.
struct core : detail::chan_shared {
    core(const detail::chan_element& element, std::uint32_t room, std::byte* storage) noexcept
        : ready(room > 0), capacity(room), size(element.size), ring(storage), move(element.move), kind(&element)
    {
    }

    readiness ready;
    rt::biased_lock lock;
    // -- under the lock
    queue receivers;
    queue senders;
    std::uint32_t head = 0;  ///< the oldest element's place
    std::uint32_t count = 0;
    // -- constant
    const std::uint32_t capacity;
    const std::uint32_t size;  ///< of an element in the ring
    std::byte* const ring;
    void (*const move)(void* to, void* from) noexcept;
    const detail::chan_element* const kind;
    // -- written under the lock, read by anybody
    base::atomic<bool> closed_now{false};
    base::atomic<std::uint32_t> counted{0};  ///< = count

    [[nodiscard]] static core& of(detail::chan_shared* c) noexcept { return *static_cast<core*>(c); }
    [[nodiscard]] static const core& of(const detail::chan_shared* c) noexcept { return *static_cast<const core*>(c); }

    // Under the lock. `woken`: whom the caller has to ready after the unlock.

    /// Sends from `value` if that needs no waiting.
    [[nodiscard]] WEFT_ALWAYS_INLINE outcome send_now(void* value, rt::g*& woken) noexcept
    {
        if (is_closed()) [[unlikely]]
            return outcome::closed;
        if (!receivers.empty()) {
            if (node* const n = receivers.take()) {
                transfer(n->slot, value);
                woken = finish(*n, true);
                publish();
                return outcome::done;
            }
            publish();
        }
        if (count == capacity)
            return outcome::blocked;
        std::uint32_t at = head + count;
        if (at >= capacity)
            at -= capacity;
        transfer(place(at), value);
        set_count(count + 1);
        publish();
        return outcome::done;
    }

    /// Receives to `to` if that needs no waiting.
    [[nodiscard]] WEFT_ALWAYS_INLINE outcome recv_now(void* to, rt::g*& woken) noexcept
    {
        if (count > 0) {
            std::byte* const oldest = place(head);
            transfer(to, oldest);
            if (kind->destroy != nullptr)
                drop_moved(oldest);
            if (++head == capacity)
                head = 0;
            // Who waits to send waited for this place, and comes behind all that are in the buffer.
            if (node* const n = senders.empty() ? nullptr : senders.take()) {
                std::uint32_t at = head + count - 1;
                if (at >= capacity)
                    at -= capacity;
                transfer(place(at), n->slot);
                woken = finish(*n, true);
            } else {
                set_count(count - 1);
            }
            publish();
            return outcome::done;
        }
        if (!senders.empty()) {
            if (node* const n = senders.take()) {
                transfer(to, n->slot);
                woken = finish(*n, true);
                publish();
                return outcome::done;
            }
            publish();
        }
        return is_closed() ? outcome::closed : outcome::blocked;
    }

    void enqueue(queue& in, node& n) noexcept
    {
        in.push_back(n);
        publish();
    }
    /// Takes `n` out if it is still in.
    void dequeue(queue& from, node& n) noexcept
    {
        if (n.queued.load(base::memory_order_relaxed)) {
            from.remove(n);
            publish();
        }
    }
    [[nodiscard]] bool is_closed() const noexcept { return closed_now.load(base::memory_order_relaxed); }
    /// Precondition: not closed. `woken`: all that waited.
    void close(rt::g_list& woken) noexcept
    {
        closed_now.store(true, base::memory_order_release);
        for (queue* const q : {&receivers, &senders})
            while (node* const n = q->take())
                woken.push_back(finish(*n, false));
        publish();
    }
    /// By the last to know the channel.
    void destroy_elements() noexcept
    {
        if (kind->destroy == nullptr)
            return;
        for (; count > 0; --count) {
            kind->destroy(place(head));
            if (++head == capacity)
                head = 0;
        }
    }
    /// Tells the waiter of a node that was won how it ended. From the ready() that follows on, its frame is its own.
    [[nodiscard]] static rt::g* finish(const node& n, bool ok) noexcept
    {
        n.of->ok = ok;
        return n.of->waiter;
    }
    void publish() noexcept
    {
        const bool closed = is_closed();
        ready.set(count > 0 || !senders.empty() || closed, count < capacity || !receivers.empty() || closed);
    }

private:
    [[nodiscard]] std::byte* place(std::uint32_t at) const noexcept { return ring + std::size_t{at} * size; }
    void set_count(std::uint32_t n) noexcept
    {
        count = n;
        counted.store(n, base::memory_order_relaxed);
    }
    WEFT_ALWAYS_INLINE void transfer(void* to, void* from) const noexcept
    {
        if (move != nullptr)
            move(to, from);
        else if (size == sizeof(std::uint64_t))
            std::memcpy(to, from, sizeof(std::uint64_t));
        else
            std::memcpy(to, from, size);
    }
    /// Ends the life of what an element was moved from. A box's pointer has no life of its own.
    void drop_moved(std::byte* at) const noexcept
    {
        if (move != nullptr)
            kind->destroy(at);
    }
};

/// begin_section(), for a call that may wait: throws std::bad_alloc on a plain thread without memory.
[[nodiscard]] WEFT_ALWAYS_INLINE rt::m* begin()
{
    rt::explore_point();
    rt::m* const self = rt::begin_section();
    if (self == nullptr) [[unlikely]]
        (void)rt::current();
    return self;
}
/// Readies `woken`, if anybody, and ends the section.
WEFT_ALWAYS_INLINE void end(rt::m* self, rt::g* woken) noexcept
{
    if (woken == nullptr) {
        rt::end_section(self);
    } else if (self == nullptr || (woken->flags & rt::g::special) != 0) [[unlikely]] {
        rt::end_section(self);
        rt::ready(woken);
    } else {
        rt::ready_inside(*self, woken);
        rt::leave(*self);
    }
}
/// Who waits; after begin().
[[nodiscard]] WEFT_ALWAYS_INLINE rt::g* caller(const rt::m* self) noexcept
{
    return self != nullptr ? self->current : rt::current();
}
/// For rt::timer: the deadline of a wait.
rt::g* expire(rt::timer& alarm) noexcept;

}  // namespace weft::chans
