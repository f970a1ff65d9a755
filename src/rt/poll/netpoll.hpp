// netpoll: descriptors that goroutines wait for. docs/design/netpoll.md has the protocol; steps named as there.
//
// Each direction has a word, which says what is known and who waits:
//
// | word  | meaning                                       | who leaves it                                          |
// |-------|-----------------------------------------------|--------------------------------------------------------|
// | nil   | nothing is known, no waiter                   | poller: to ready; waiter: to itself, in its commit     |
// | ready | something has happened since the last look    | the caller that is about to look, or to wait: to nil   |
// | a g   | parked, or a plain thread that sleeps         | the taker, by one compare-exchange to nil, which owes  |
// |       |                                               | it ready(): poller, its deadline, close(),             |
// |       |                                               | set_deadline()                                         |
//
// A wait ends without saying why: the woken goroutine looks again. So one waiter of a direction is all that there may
// be (io::fd sees to it), and a wake-up too many does no harm.
//
// Descs are pooled and never freed, so that a late event can always be looked at; a generation tells it apart.
//
// Nothing here calls the scheduler: what takes a waiter returns it, and poll() returns what is to run. Waiting is in
// wait/poll_wait.hpp. Nothing is opened before the first wait.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.hpp"
#include "base/cpu.hpp"
#include "rt/core/g.hpp"
#include "rt/core/timer.hpp"
#include "sys/lock.hpp"
#include "sys/poll.hpp"

namespace weft::rt {

enum class poll_side : std::uint8_t { read, write };

class alignas(base::cache_line) poll_desc {
public:
    poll_desc() noexcept = default;
    poll_desc(const poll_desc&) = delete;
    poll_desc& operator=(const poll_desc&) = delete;

    /// Forgets that something has happened: the caller is about to look for itself.
    void look(poll_side s) noexcept
    {
        if (side(s).word.load(base::memory_order_relaxed) == ready_word)
            forget(s);
    }
    /// Whether something has happened since the last look(), or can't be told from what has happened already: without
    /// that, and when the last look has found nothing more, another look would find nothing.
    [[nodiscard]] bool may_have_more(poll_side s) const noexcept
    {
        return hung_up_.load(base::memory_order_acquire) || side(s).word.load(base::memory_order_acquire) == ready_word;
    }
    [[nodiscard]] std::int64_t deadline(poll_side s) const noexcept
    {
        return side(s).deadline.load(base::memory_order_relaxed);
    }
    /// The woken goroutine will touch `object` first. Before the first wait.
    void belongs_to(void* object) noexcept { link_.store(object, base::memory_order_relaxed); }
    [[nodiscard]] bool evicted() const noexcept { return evicted_.load(base::memory_order_acquire); }

    // --- for wait/poll_wait.cpp

    /// Whether a wait may park at once: nothing has happened, the kernel has been asked, and there is no deadline.
    [[nodiscard]] bool may_park(poll_side s) const noexcept
    {
        const direction& d = side(s);
        return d.word.load(base::memory_order_acquire) == nil_word &&
               d.deadline.load(base::memory_order_seq_cst) == never && !evicted() && asked(s);
    }
    /// Whether something has happened; forgets it.
    [[nodiscard]] bool take_ready(poll_side s) noexcept
    {
        if (side(s).word.load(base::memory_order_acquire) != ready_word)
            return false;
        forget(s);
        return true;
    }
    /// The deadline of a wait that begins.
    [[nodiscard]] std::int64_t begin_wait(poll_side s) const noexcept
    {
        return side(s).deadline.load(base::memory_order_seq_cst);
    }
    /// Makes `waiter`, whose side has the deadline `until`, the one that waits. False: it is to look instead.
    [[nodiscard]] WEFT_ALWAYS_INLINE bool publish(g* waiter, poll_side s, std::int64_t until) noexcept
    {
        direction& d = side(s);
        std::uintptr_t seen = nil_word;
        const auto self = reinterpret_cast<std::uintptr_t>(waiter);
        if (!d.word.compare_exchange_strong(seen, self, base::memory_order_seq_cst, base::memory_order_relaxed))  // W2
            return false;
        // From here on `waiter` may run already, and its frame be gone.
        if (evicted_.load(base::memory_order_seq_cst) || d.deadline.load(base::memory_order_seq_cst) != until) {  // W3
            seen = self;
            if (d.word.compare_exchange_strong(seen, nil_word, base::memory_order_seq_cst, base::memory_order_relaxed))
                return false;
        }
        return true;
    }
    /// Takes the waiter of a side. Null: there is none. The caller owes it ready().
    [[nodiscard]] g* take(poll_side s) noexcept;
    /// Takes `waiter`. False: it does not wait any more.
    [[nodiscard]] bool take_back(g* waiter, poll_side s) noexcept;
    /// D1 of netpoll.md; take() is next.
    void store_deadline(poll_side s, std::int64_t when) noexcept
    {
        side(s).deadline.store(when, base::memory_order_seq_cst);  // pairs with W3
    }
    /// C1 of netpoll.md: from now on no goroutine waits; take() of both sides is next.
    void forbid_waits() noexcept { evicted_.store(true, base::memory_order_seq_cst); }  // pairs with W3

    /// Whether the kernel tells of the side.
    [[nodiscard]] bool asked(poll_side s) const noexcept
    {
        return (asked_.load(base::memory_order_relaxed) & event_of(s)) != 0;
    }

    struct answer {
        int error;   ///< an errno; 0: the kernel tells of the side from now on
        bool first;  ///< and of no other descriptor until now
    };
    /// Has the kernel tell of the side.
    [[nodiscard]] answer ask(poll_side s) noexcept;

private:
    friend class netpoll;
    struct direction {
        base::atomic<std::uintptr_t> word{nil_word};
        base::atomic<std::int64_t> deadline{never};
    };
    static constexpr std::uintptr_t nil_word = 0;
    static constexpr std::uintptr_t ready_word = 1;

    direction& side(poll_side s) noexcept { return sides_[static_cast<std::size_t>(s)]; }
    [[nodiscard]] const direction& side(poll_side s) const noexcept { return sides_[static_cast<std::size_t>(s)]; }
    void forget(poll_side s) noexcept;
    [[nodiscard]] static constexpr std::uint8_t event_of(poll_side s) noexcept
    {
        return s == poll_side::read ? sys::poll_event::readable : sys::poll_event::writable;
    }
    [[nodiscard]] g* report(poll_side s) noexcept;
    /// Asks the caches for what report() and its waiter will touch.
    void expect_report() const noexcept;

    direction sides_[2];
    base::atomic<std::uint32_t> generation_{0};
    base::atomic<bool> evicted_{false};
    base::atomic<bool> hung_up_{false};    ///< `hangup` has been seen: no later edge need come
    base::atomic<std::uint8_t> asked_{0};  ///< what the kernel was asked to tell; written under lock_
    std::uint32_t index_ = 0;              ///< in the table; never changes
    int fd_ = -1;
    sys::lock_word lock_;
    base::atomic<void*> link_{nullptr};  ///< in the pool: the next one; in use: what it belongs_to()
};

/// The poller.
class netpoll {
public:
    /// A desc for `fd`, which the kernel hears of when a goroutine first waits. Null: no memory.
    [[nodiscard]] static poll_desc* open(int fd) noexcept;
    /// Before the descriptor is closed. No goroutine waits on it, or will.
    static void close(poll_desc& desc) noexcept;
    /// Opens the kernel's poller, once; by the first wait. Returns an errno.
    [[nodiscard]] static int init() noexcept;
    [[nodiscard]] static bool is_open() noexcept;
    /// Appends what is to be made runnable. Waits until `until` (ns; 0: not at all; never) for something to happen;
    /// waiting is for the timekeeper alone (sched/sleep.cpp). False: nothing has.
    static bool poll(std::int64_t until, g_list& out) noexcept;
    /// poll(0) if no other M polls and the last one is `period` ns ago.
    /// `few`: uses little of the stack.
    static void poll_after(std::int64_t now, std::int64_t period, bool few, g_list& out) noexcept
    {
        const std::int64_t at = polled_at_.load(base::memory_order_relaxed);
        if (at != 0 && now - at >= period)
            poll_again(at, now, few, out);
    }
    /// Ends each poll() that waits, or is about to, until the one that is meant has called take_interrupt(): once for
    /// each.
    static void interrupt() noexcept;
    static void take_interrupt() noexcept;

    /// Whether the kernel watches any descriptor.
    [[nodiscard]] static bool in_use() noexcept { return registered_.load(base::memory_order_relaxed) != 0; }

private:
    friend class poll_desc;
    static void poll_again(std::int64_t last, std::int64_t now, bool few, g_list& out) noexcept;
    template <std::size_t Most>
    static int wait_and_deliver(std::int64_t until, g_list& out) noexcept;
    static void deliver(const sys::poll_report& r, g_list& out) noexcept;

    static constinit base::atomic<std::uint32_t> registered_;  ///< descs that the kernel knows
    static constinit base::atomic<std::int64_t> polled_at_;    ///< ns; 0: an M waits in poll()
};

}  // namespace weft::rt
