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
// code is done under them, except the noexcept moves of elements. Readying happens after the unlock, and so does the
// destruction of what a move has left in the ring: its place is free after that (leftover).
#pragma once

#include <chrono>
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
struct wait {
    enum : std::uint32_t { by_nobody = 0xffff'ffff, by_deadline = 0xffff'fffe };

    rt::g* who = nullptr;
    /// The index of the node by which it was won.
    base::atomic<std::uint32_t> winner{by_nobody};
    bool ok = false;     ///< by the winner: false if the channel was closed
    bool alone = false;  ///< one node, no deadline: nobody else can win it

    [[nodiscard]] WEFT_ALWAYS_INLINE bool win(std::uint32_t by) noexcept
    {
        if (alone)
            return true;
        std::uint32_t seen = by_nobody;
        return winner.compare_exchange_strong(seen, by, base::memory_order_acq_rel, base::memory_order_relaxed);
    }
};

/// One with a deadline.
struct timed_wait : rt::deadline_wait, wait {
    void arm(rt::g* caller, std::chrono::nanoseconds deadline, bool (*unlock)(rt::deadline_wait&) noexcept) noexcept
    {
        who = caller;
        waiter = caller;
        publish = unlock;
        alarm.when = deadline.count();
        alarm.expire = [](rt::timer& expired) noexcept -> rt::g*
        {
            auto& self = static_cast<timed_wait&>(rt::deadline_wait::of_alarm(expired));
            if (!self.win(by_deadline))
                return nullptr;
            self.timed_out = true;
            return self.who;
        };
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
    [[nodiscard]] node* front() const noexcept { return first_; }
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
    /// Takes the first out, which has a wait of its own. Precondition: not empty.
    WEFT_ALWAYS_INLINE void drop_front() noexcept
    {
        node* const second = first_->next;
        first_ = second;
        (second == nullptr ? last_ : second->previous) = nullptr;
    }
    /// The first that could be won; null without one. The others before it are out of the queue.
    [[nodiscard]] node* take() noexcept
    {
        while (node* const n = front()) {
            // Unless we win, its waiter may leave as soon as it sees that it is not queued any more.
            const bool won = n->of->win(n->index);
            remove(*n);
            if (won)
                return n;
        }
        return nullptr;
    }

private:
    node* first_ = nullptr;
    node* last_ = nullptr;
};

enum class outcome : std::uint8_t {
    done,
    blocked,
    closed,
    left_over,  ///< done, and after the unlock the leftover is to be cleared
};

/// A place of the ring whose element has been moved out, until its receiver, in whose frame this is, has destroyed what
/// is left there. Places become free in the order of the ring: one behind this does not before.
struct leftover {
    leftover* next;
    std::byte* place;
    std::uint32_t number;  ///< of the element, counted as they leave
};

/// How an element gets from one place to another.
enum class transport : std::uint8_t { eight_bytes, four_bytes, bytes, function };

struct core : detail::chan_shared {
    core(const detail::chan_element& element, std::uint32_t places, std::byte* storage) noexcept
        : ready(places > 0),
          by(transport_of(element)),
          room(places),
          capacity(places),
          size(element.size),
          head(storage),
          tail(storage),
          ring(storage),
          ring_end(storage + std::size_t{places} * element.size),
          kind(&element)
    {
    }

    readiness ready;
    rt::biased_lock lock;
    // -- constant
    const transport by;
    // -- written under the lock, read by anybody
    base::atomic<bool> closed_now{false};
    base::atomic<std::uint32_t> count{0};  ///< elements in the ring
    // -- under the lock
    std::uint32_t room;  ///< how many elements the ring may hold: `capacity` minus `held()`, and 0 once it is closed
    const std::uint32_t capacity;
    const std::uint32_t size;  ///< of an element
    std::uint32_t taken = 0;   ///< by receivers that had to clear their places
    std::byte* head;           ///< the oldest element's place
    std::byte* tail;           ///< the next one's
    queue receivers;
    queue senders;
    // -- constant
    std::byte* const ring;
    std::byte* const ring_end;
    const detail::chan_element* const kind;
    union {
        leftover* leaving = nullptr;  ///< under the lock: places that are not free yet, in the order of the ring
        core* next_to_free;           ///< once the last handle has gone (chan_free())
    };

    [[nodiscard]] static core& of(detail::chan_shared* c) noexcept { return *static_cast<core*>(c); }
    [[nodiscard]] static const core& of(const detail::chan_shared* c) noexcept { return *static_cast<const core*>(c); }

    // Under the lock. `woken`: whom the caller has to ready after the unlock.

    // For words, four or eight bytes, what needs no call:

    enum class word_end : std::uint8_t {
        done,
        handed,   ///< done, and `woken` is to be readied
        blocked,  ///< the caller has to wait
        other,    ///< nothing has been done: closed, or met somebody whom others may win
    };
    [[nodiscard]] WEFT_ALWAYS_INLINE bool of_words() const noexcept { return by <= transport::four_bytes; }
    [[nodiscard]] WEFT_ALWAYS_INLINE word_end send_word(void* value, rt::g*& woken) noexcept
    {
        if (const node* const first = receivers.front(); first != nullptr) {
            if (!first->of->alone) [[unlikely]]
                return word_end::other;
            receivers.drop_front();
            copy_word(first->slot, value);
            if (capacity == 0 && receivers.empty())
                ready.lose(readiness::can_send);
            woken = finish(*first, true);
            return word_end::handed;
        }
        const std::uint32_t n = count.load(base::memory_order_relaxed);
        if (n >= room) [[unlikely]]
            return is_closed() ? word_end::other : word_end::blocked;
        copy_word(tail, value);
        step(tail);
        added(n);
        return word_end::done;
    }
    [[nodiscard]] WEFT_ALWAYS_INLINE word_end recv_word(void* to, rt::g*& woken) noexcept
    {
        const std::uint32_t n = count.load(base::memory_order_relaxed);
        const node* const first = senders.front();
        if (n != 0) {
            if (first != nullptr) [[unlikely]]
                return word_end::other;
            copy_word(to, head);
            step(head);
            removed(n);
            return word_end::done;
        }
        if (first == nullptr)
            return is_closed() ? word_end::other : word_end::blocked;
        if (!first->of->alone) [[unlikely]]
            return word_end::other;
        senders.drop_front();
        copy_word(to, first->slot);
        if (senders.empty())
            ready.lose(readiness::can_recv);
        woken = finish(*first, true);
        return word_end::handed;
    }

    /// Sends from `value` if that needs no waiting.
    [[nodiscard]] WEFT_ALWAYS_INLINE outcome send_now(void* value, rt::g*& woken) noexcept
    {
        if (is_closed())
            return outcome::closed;
        if (!receivers.empty()) {
            if (node* const n = receivers.take()) {
                hand_to(*n, value);
                woken = finish(*n, true);
                return outcome::done;
            }
            publish();
        }
        const std::uint32_t n = count.load(base::memory_order_relaxed);
        if (n == room)
            return outcome::blocked;
        put(value, n);
        return outcome::done;
    }
    /// Receives to `to` if that needs no waiting. `left`: set when it says so.
    [[nodiscard]] WEFT_ALWAYS_INLINE outcome recv_now(void* to, rt::g*& woken, leftover& left) noexcept
    {
        const std::uint32_t n = count.load(base::memory_order_relaxed);
        if (n != 0) {
            if (by == transport::function && kind->destroy != nullptr) {  // a box's pointer has no life of its own
                move_out(to, n, left);
                return outcome::left_over;
            }
            get(to, n);
            // Who waits to send waited for this place, and comes behind all that are in the buffer.
            if (node* const w = senders.empty() ? nullptr : senders.take()) {
                put(w->slot, n - 1);
                woken = finish(*w, true);
            }
            return outcome::done;
        }
        if (!senders.empty()) {
            if (node* const w = senders.take()) {
                hand_from(*w, to);
                woken = finish(*w, true);
                return outcome::done;
            }
            publish();
        }
        return is_closed() ? outcome::closed : outcome::blocked;
    }

    // Precondition of these: send_now(), or recv_now(), has said blocked. Both queues have somebody only when one
    // select both sends and receives.
    WEFT_ALWAYS_INLINE void wait_to_send(node& n) noexcept
    {
        if (capacity == 0 && senders.empty())
            ready.gain(readiness::can_recv);
        senders.push_back(n);
    }
    WEFT_ALWAYS_INLINE void wait_to_recv(node& n) noexcept
    {
        if (capacity == 0 && receivers.empty())
            ready.gain(readiness::can_send);
        receivers.push_back(n);
    }

    // Precondition of these: the other side's waiter has been won and is out of its queue. In a channel with a buffer
    // the readiness stays: who waits to receive finds it empty, and who waits to send is served from there.
    WEFT_ALWAYS_INLINE void hand_to(const node& receiver, void* value) noexcept
    {
        transfer(receiver.slot, value);
        if (capacity == 0 && receivers.empty())
            ready.lose(readiness::can_send);
    }
    WEFT_ALWAYS_INLINE void hand_from(const node& sender, void* to) noexcept
    {
        transfer(to, sender.slot);
        if (senders.empty())
            ready.lose(readiness::can_recv);
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
        room = 0;
        for (queue* const q : {&receivers, &senders})
            while (node* const n = q->take())
                woken.push_back(finish(*n, false));
        publish();
    }
    /// What recv_now() left over has been destroyed: its place is free, once those before it are, and goes to who has
    /// waited for it. `woken`: as for close().
    void cleared(const leftover& left, rt::g_list& woken) noexcept
    {
        leftover** at = &leaving;
        while (*at != &left)
            at = &(*at)->next;
        *at = left.next;
        set_room();
        for (std::uint32_t n = count.load(base::memory_order_relaxed); n < room && !senders.empty(); ++n) {
            node* const w = senders.take();
            if (w == nullptr)
                break;
            put(w->slot, n);
            woken.push_back(finish(*w, true));
        }
        publish();
    }
    [[nodiscard]] bool holds_what_needs_destroying() const noexcept
    {
        return kind->destroy != nullptr && count.load(base::memory_order_relaxed) != 0;
    }
    /// By the last to know the channel. Precondition: holds_what_needs_destroying().
    void destroy_elements() noexcept
    {
        for (std::uint32_t n = count.load(base::memory_order_relaxed); n > 0; --n) {
            kind->destroy(head);
            step(head);
        }
    }
    /// Tells the waiter of a node that was won how it ended. From the ready() that follows on, its frame is its own.
    [[nodiscard]] static rt::g* finish(const node& n, bool ok) noexcept
    {
        n.of->ok = ok;
        return n.of->who;
    }
    void publish() noexcept
    {
        const bool closed = is_closed();
        const std::uint32_t n = count.load(base::memory_order_relaxed);
        ready.set(n != 0 || !senders.empty() || closed, n < room || !receivers.empty() || closed);
    }

private:
    [[nodiscard]] static transport transport_of(const detail::chan_element& element) noexcept
    {
        if (element.move != nullptr)
            return transport::function;
        if (element.size == sizeof(std::uint64_t))
            return transport::eight_bytes;
        return element.size == sizeof(std::uint32_t) ? transport::four_bytes : transport::bytes;
    }
    WEFT_ALWAYS_INLINE void transfer(void* to, void* from) const noexcept
    {
        switch (by) {
            case transport::eight_bytes:
                std::memcpy(to, from, sizeof(std::uint64_t));
                break;
            case transport::four_bytes:
                std::memcpy(to, from, sizeof(std::uint32_t));
                break;
            case transport::bytes:
                std::memcpy(to, from, size);
                break;
            case transport::function:
                kind->move(to, from);
                break;
        }
    }
    /// transfer() for words.
    WEFT_ALWAYS_INLINE void copy_word(void* to, const void* from) const noexcept
    {
        if (by == transport::eight_bytes) [[likely]]
            std::memcpy(to, from, sizeof(std::uint64_t));
        else
            std::memcpy(to, from, sizeof(std::uint32_t));
    }
    WEFT_ALWAYS_INLINE void step(std::byte*& place) const noexcept
    {
        std::byte* const next = place + size;
        place = next == ring_end ? ring : next;
    }
    /// `n` elements are in the ring, and there is room.
    WEFT_ALWAYS_INLINE void put(void* value, std::uint32_t n) noexcept
    {
        transfer(tail, value);
        step(tail);
        added(n);
    }
    WEFT_ALWAYS_INLINE void added(std::uint32_t n) noexcept
    {
        count.store(n + 1, base::memory_order_relaxed);
        if (n == 0 || n + 1 == room)
            ready.set(true, n + 1 != room);
    }
    WEFT_ALWAYS_INLINE void removed(std::uint32_t n) noexcept
    {
        count.store(n - 1, base::memory_order_relaxed);
        if (n == 1 || n == capacity)
            ready.set(n != 1 || is_closed(), true);
    }
    /// `n` elements are in the ring, and n > 0.
    WEFT_ALWAYS_INLINE void get(void* to, std::uint32_t n) noexcept
    {
        transfer(to, head);
        step(head);
        removed(n);
    }
    /// get() of what leaves something to destroy behind.
    WEFT_NOINLINE void move_out(void* to, std::uint32_t n, leftover& left) noexcept
    {
        kind->move(to, head);
        left = {nullptr, head, taken++};
        leftover** at = &leaving;
        while (*at != nullptr)
            at = &(*at)->next;
        *at = &left;
        step(head);
        count.store(n - 1, base::memory_order_relaxed);
        set_room();
        publish();
    }
    /// Places from the oldest that is not free yet to `head`.
    [[nodiscard]] std::uint32_t held() const noexcept { return leaving == nullptr ? 0 : taken - leaving->number; }
    void set_room() noexcept
    {
        if (!is_closed())
            room = capacity - held();
    }
};

/// Readies a goroutine or a thread.
WEFT_ALWAYS_INLINE void ready_one(rt::m* self, rt::g* woken) noexcept
{
    if (self == nullptr || (woken->flags & rt::g::special) != 0 || !rt::enter_with_p(*self)) [[unlikely]] {
        rt::ready(woken);
        return;
    }
    rt::ready_in_section(*self, woken);
    rt::leave(*self);
}

/// Without a lock, for recv_now()'s caller: the destructor is the user's code, and may use this channel.
WEFT_NOINLINE inline void clear(core& c, const leftover& left) noexcept
{
    c.kind->destroy(left.place);
    rt::m* const self = rt::this_m();
    c.lock.lock(self);
    rt::g_list woken;
    c.cleared(left, woken);
    c.lock.unlock();
    if (woken.size() == 1)
        ready_one(self, woken.pop_front());
    else
        rt::ready(woken);
}

/// What is to be done after the unlock that follows send_now() or recv_now(): returns what came of them, `left_over`
/// being done now.
[[nodiscard]] WEFT_ALWAYS_INLINE outcome settle(core& c, outcome o, rt::m* self, rt::g* woken,
                                                const leftover& left) noexcept
{
    if (woken != nullptr)
        ready_one(self, woken);
    if (o != outcome::left_over)
        return o;
    clear(c, left);
    return outcome::done;
}

}  // namespace weft::chans
