// netpoll: goroutines wait for descriptors. docs/design/netpoll.md has the protocol; steps named as there.
//
// A poll_desc stands for an open descriptor. Each direction has a word, which says what is known and who waits:
//
// | word  | meaning                                       | who leaves it                                          |
// |-------|-----------------------------------------------|--------------------------------------------------------|
// | nil   | nothing is known, nobody waits                | poller: to ready; waiter: to itself, in its commit     |
// | ready | something has happened since the last look    | who is about to look, or to wait: to nil               |
// | a g   | parked, or a plain thread that sleeps         | who takes it, by one compare-exchange to nil, and owes |
// |       |                                               | it ready(): poller, its deadline, close(),             |
// |       |                                               | set_deadline()                                         |
//
// A wait ends without saying why: who has been woken looks again. So one waiter of a direction is all that there may
// be (io::fd sees to it), and a wake-up too many does no harm.
//
// Descs are pooled and never freed, so that a late event can always be looked at; a generation tells it apart.
// The poller never calls the scheduler: poll() returns who is to run. Nothing is opened before the first wait.
#pragma once

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
    /// Parks the caller until it should look again, which proves nothing: 0. Else ETIMEDOUT (the deadline has passed),
    /// ECANCELED (evict()), or an errno of the kernel's, which does not take the descriptor (EPERM: a regular file), or
    /// has no memory. One caller a side at a time.
    [[nodiscard]] int wait(poll_side s) noexcept;

    /// wait() for `time` ns at most: 0 too when they are over.
    [[nodiscard]] int wait_for(poll_side s, std::int64_t time) noexcept;
    /// Parks the caller for `time` ns: 0; or until wait() would say ETIMEDOUT or ECANCELED.
    [[nodiscard]] int pause(poll_side s, std::int64_t time) noexcept;

    /// When waits of the side end with ETIMEDOUT, in ns of rt::now(). Who waits goes by it at once.
    void set_deadline(poll_side s, std::int64_t when) noexcept;
    [[nodiscard]] std::int64_t deadline(poll_side s) const noexcept
    {
        return side(s).deadline.load(base::memory_order_relaxed);
    }
    /// Whether the deadline has passed.
    [[nodiscard]] bool expired(poll_side s) const noexcept
    {
        const std::int64_t when = deadline(s);
        return when != never && has_passed(when);
    }

    /// Who has been woken will touch `object` first. Before anybody waits.
    void belongs_to(void* object) noexcept { link_.store(object, base::memory_order_relaxed); }

    /// From now on nobody waits: who does is woken, and gets ECANCELED.
    void evict() noexcept;
    [[nodiscard]] bool evicted() const noexcept { return evicted_.load(base::memory_order_acquire); }

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
    [[nodiscard]] static bool has_passed(std::int64_t when) noexcept;
    void forget(poll_side s) noexcept;
    /// Whether the caller need not park: 0, an errno, or -1: it must.
    [[nodiscard]] int settled(poll_side s, std::int64_t until) noexcept;
    [[nodiscard]] int how_ended(poll_side s) const noexcept;
    [[nodiscard]] static constexpr std::uint8_t event_of(poll_side s) noexcept
    {
        return s == poll_side::read ? sys::poll_event::readable : sys::poll_event::writable;
    }
    /// Whether the kernel tells of the side.
    [[nodiscard]] bool asked(poll_side s) const noexcept
    {
        return (asked_.load(base::memory_order_relaxed) & event_of(s)) != 0;
    }
    /// Has the kernel tell of it: 0 or an errno.
    [[nodiscard]] int ask(poll_side s) noexcept;
    [[nodiscard]] static bool publish(poll_desc& desc, g* who, poll_side s, std::int64_t until) noexcept;
    template <poll_side S>
    static bool publish_forever(g* who, void* desc) noexcept;
    [[nodiscard]] static bool (*forever(poll_side s) noexcept)(g* who, void* desc) noexcept;
    [[nodiscard]] g* report(poll_side s) noexcept;
    /// Asks the caches for what report() and its waiter will touch.
    void expect_report() const noexcept;
    [[nodiscard]] g* take(poll_side s) noexcept;
    void wake(poll_side s) noexcept;

    [[nodiscard]] int wait_until(poll_side s, std::int64_t end) noexcept;
    void park_until(g* me, poll_side s, std::int64_t deadline, std::int64_t end) noexcept;

    struct timed_parking;

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

/// The five functions: init() is called by the first wait, by itself.
class netpoll {
public:
    /// A desc for `fd`, which the kernel hears of when somebody first waits. Null: no memory.
    [[nodiscard]] static poll_desc* open(int fd) noexcept;
    /// Before the descriptor is closed. Nobody waits on it, or will.
    static void close(poll_desc& desc) noexcept;
    /// Appends who is to be made runnable. Waits until `until` (ns; 0: not at all; never) for something to happen;
    /// waiting is for the timekeeper alone (find.cpp). False: nothing has.
    static bool poll(std::int64_t until, g_list& out) noexcept;
    /// poll(0) if nobody polls and the last one is `period` ns ago.
    /// `few`: uses little of the stack.
    static void poll_after(std::int64_t now, std::int64_t period, bool few, g_list& out) noexcept
    {
        const std::int64_t at = polled_at_.load(base::memory_order_relaxed);
        if (at != 0 && now - at >= period)
            poll_again(at, now, few, out);
    }
    /// Ends each poll() that waits, or is about to, until whoever is meant has called take_interrupt(): once for each.
    static void interrupt() noexcept;
    static void take_interrupt() noexcept;

    /// Whether the kernel watches any descriptor.
    [[nodiscard]] static bool in_use() noexcept { return watched_.load(base::memory_order_relaxed) != 0; }

private:
    friend class poll_desc;
    [[nodiscard]] static int init() noexcept;
    static void poll_again(std::int64_t last, std::int64_t now, bool few, g_list& out) noexcept;
    template <std::size_t Most>
    static int wait_and_deliver(std::int64_t until, g_list& out) noexcept;
    static void deliver(const sys::poll_report& r, g_list& out) noexcept;

    static constinit base::atomic<std::uint32_t> watched_;   ///< descs that the kernel knows
    static constinit base::atomic<std::int64_t> polled_at_;  ///< ns; 0: somebody waits in poll()
};

}  // namespace weft::rt
