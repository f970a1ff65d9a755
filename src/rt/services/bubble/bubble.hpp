// bubble: goroutines with a clock of their own, which jumps when all of them wait for each other or for it; and, with a
// seed, with an order of running that is drawn. Under weft/testing.hpp. docs/design/bubble.md has the protocol.
//
// Who belongs: the goroutine that the bubble begins with, and what members start. The rest of the runtime knows of a
// member by the flags g::bubbled and g::explored, tested where a_thread is tested anyway, and calls what is below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>

#include "base/atomic.hpp"
#include "base/rand.hpp"
#include "rt/core/bubble_member.hpp"
#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/timer.hpp"
#include "rt/core/wait_reason.hpp"
#include "sys/lock.hpp"

namespace weft::rt {

/// What has come of a bubble (bubble.hpp).
struct bubble_end {
    std::exception_ptr failure;  ///< the first exception that has left a goroutine of it
    std::string deadlock;        ///< who waits for what, a line each; empty if all goroutines have ended
};

class bubble {
public:
    /// `seed`: that of an exploration; null for an ordinary bubble.
    explicit bubble(const std::uint64_t* seed) noexcept;
    bubble(const bubble&) = delete;
    bubble& operator=(const bubble&) = delete;

    /// References: one of who has made it, one of each spawn_timer that belongs to it.
    void retain() noexcept { refs_.fetch_add(1, base::memory_order_relaxed); }
    void release() noexcept
    {
        if (refs_.fetch_sub(1, base::memory_order_acq_rel) == 1)
            delete this;
    }

    [[nodiscard]] std::int64_t now() const noexcept { return now_.load(base::memory_order_relaxed); }
    [[nodiscard]] timer_heap& timers() noexcept { return timers_; }

    /// Gives a goroutine that nobody else sees yet its place, g::member. Throws std::bad_alloc.
    void prepare(g* fresh);
    /// Makes one that has its place a member, before anybody else sees it.
    void add(g* fresh) noexcept;
    /// A timer whose `expire` starts a goroutine with a place here, armed inside the section of `self`, a member's.
    void arm_in_section(m* self, timer& alarm) noexcept;
    /// Runs a member that add() has made, the section being `self`'s; null: outside of one.
    void start(m* self, g* fresh) noexcept;
    /// For the member's goroutine: its body has returned.
    void remove(bubble_member* member) noexcept;
    /// The same: an exception has left its body.
    void failed(std::exception_ptr what) noexcept;

    /// A member's part of park_in_section(), or of park() where enter_to_leave() has said false.
    void park(m& self, bool inside, g* me, commit_fn commit, void* argument, wait_reason why) noexcept;
    /// A member's part of ready(): `item` was won. Inside the section of `self`, or outside of one (null).
    void ready(m* self, g* item) noexcept;

    /// For an explored member: another one may run instead now. `often`: yield(); else it depends on the seed.
    void point(g* me, bool often) noexcept;
    [[nodiscard]] std::uint32_t draw(std::uint32_t n) noexcept;

    /// testing::settle(), for a member.
    void settle(g* me) noexcept;
    /// For the one who has made the bubble: waits until all members have ended or are blocked for good.
    void wait_for_end() noexcept;
    /// After wait_for_end(): takes what has come of it. True: goroutines are left that point to this object, so it must
    /// stay for good; none of them runs again.
    [[nodiscard]] bool take_end(bubble_end& end);

private:
    struct handing;
    struct parking;
    struct handover;
    ~bubble() = default;
    static bool commit_member(g* parked, void* argument) noexcept;
    static bool commit_handover(g* parked, void* argument) noexcept;
    static bool commit_wait(g* waiter, void* argument) noexcept;

    // Under lock_:
    [[nodiscard]] bool explored() const noexcept { return explored_; }
    void adopt(bubble_member& member) noexcept;
    void admit(g* fresh, g_list& out) noexcept;
    void make_runnable(g* item, g_list& out) noexcept;
    void queue(g* item, g_list& out) noexcept;
    [[nodiscard]] g* take_runnable(std::size_t at) noexcept;
    void advance(handing& out) noexcept;
    void fire(g_list& out) noexcept;
    void abandon_all();
    void drop_timers() noexcept;

    static void hand_over(m* self, handing& out) noexcept;

    base::atomic<std::uint32_t> refs_{1};
    sys::lock_word lock_;  ///< a leaf but for the scheduler's queues; nobody parks with it held
    const bool explored_;
    bool running_ = false;     ///< explored: one of them has been handed to the scheduler and has not come back
    bool over_ = false;        ///< nobody will ever act again
    bool deadlocked_ = false;  ///< over_, with members left
    std::size_t alive_ = 0;    ///< members
    std::size_t active_ = 0;   ///< members that are not durably blocked, and whoever moves the clock
    bubble_member* members_ = nullptr;
    g_list runnable_;     ///< explored: those whose turn may be next
    g_list settling_;     ///< in settle()
    g* owner_ = nullptr;  ///< in wait_for_end()
    std::exception_ptr failure_;
    base::rand random_;         ///< explored
    std::uint32_t one_in_ = 1;  ///< explored: how rarely somebody loses the turn at a point
    timer_heap timers_;
    base::atomic<std::int64_t> now_;
};

/// Runs `body(argument)` in a new bubble until all is over; with a `seed`, explored. Throws std::logic_error inside of
/// another one, and as detail::task_new() and task_start() do.
bubble_end run_bubble(void (*body)(void*), void* argument, const std::uint64_t* seed);
/// Parks until all other goroutines of the caller's bubble are durably blocked. Throws std::logic_error outside of one.
void settle();
/// The one that the calling goroutine is in; null outside, and on plain threads.
[[nodiscard]] const bubble* callers_bubble() noexcept;

/// task_start() for a goroutine of `in`; outside of a section.
void start_in(bubble& in, void* storage, detail::task_body body, detail::storage_life life, const attr* attributes,
              const void* started_at);

}  // namespace weft::rt
