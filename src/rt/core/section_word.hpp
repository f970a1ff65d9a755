// claim: who may touch a P's queues, its owner M or a thief, at no cost to the owner.
//
// The word pair of one M. `in_section_` is written by the M alone, `request_` by thieves (and by the M when it
// revokes). An asymmetric Dekker: the owner's side is a store, a compiler barrier and a load; the thief pays with
// membarrier(2). docs/design/section.md has the interleavings; test/model/section_word_test.cpp explores them.
//
//   owner                                   thief (one at a time: it holds the P's steal lock)
//   E1 in_section_ = 1                          T1 request_: open -> requested
//   E2 light fence                        T2 heavy fence
//   E3 request_ == open? else back off        T3 until in_section_ == 0 (bounded; else T6)
//   E4 ... its section ...                  T4 request_: requested -> busy (fails: the owner revoked it)
//   E5 in_section_ = 0 (release)                T5 ... its section ...; request_ = open (release)
//                                           T6 request_: requested -> open; gives up
//
// A retaker (retake.cpp) does what a thief does, but ends at T5 with request_ = gone: the P is no longer this M's. From
// then on the M is outside for good and runs on without a P, until it has another one: come_back().
//
// `in_section_` says two things. To thieves: not 0, keep off. To those who take a biased lock away from the M
// (biased_lock.hpp): 1, a section goes on that may hold it; an M on g0, where a section may last long, says 2 (rest()).
//
// Exclusion: after T2 either the owner's E3 comes later and sees the request, or its E1 is visible to T3. A back-off
// leaves (in_section_ = 0), so the thief gets its turn; an owner that has waited long takes a request back that is not
// busy yet, so a thief that the kernel has descheduled holds nobody up, except in the few dozen instructions of T5.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/cpu.hpp"

namespace weft::rt {

class section_word {
public:
    /// Owner: begins a section. True: the fast way. False: call enter_contended() until it says true.
    [[nodiscard]] bool try_enter() noexcept
    {
        in_section_.store(1, base::memory_order_relaxed);  // pairs with wait_outside()
        base::light_fence();
        return request_.load(base::memory_order_acquire) == open;  // pairs with release()
    }
    /// Owner: begins a section, if that is as simple as it nearly always is. False: exit() is next, whatever the
    /// reason.
    [[nodiscard]] WEFT_ALWAYS_INLINE bool try_enter_simply() noexcept
    {
        in_section_.store(1, base::memory_order_relaxed);  // pairs with wait_outside(), may_hold_locks()
        return !base::light_fence_or_unusual() && request_.load(base::memory_order_acquire) == open;
    }
    /// Owner: ends its section.
    void exit() noexcept { in_section_.store(0, base::memory_order_release); }
    /// Owner, on g0: the section goes on, perhaps for long, and no lock is held by it (biased_lock.hpp).
    void rest() noexcept { in_section_.store(resting, base::memory_order_release); }
    /// Anybody, after a heavy fence: false once, and what was held by sections that began before is free, and whoever
    /// has left a stack in them has left it.
    [[nodiscard]] bool may_hold_locks() const noexcept { return in_section_.load(base::memory_order_acquire) == 1; }

    /// Owner, after a failed try_enter(): lets the thief have its turn. What it returns is what the caller does next.
    enum class next_step {
        retry,    ///< try_enter() again
        wait,     ///< a thief is in its section: pause, then look again
        gone,     ///< the P has been taken away: another one must be had first
        stopped,  ///< the runtime has stopped: never enter again
        forked,   ///< this process is the child of a fork()
    };
    [[nodiscard]] next_step back_off(int patience) noexcept
    {
        exit();
        for (int i = 0; i < patience; ++i) {
            const std::uint32_t seen = request_.load(base::memory_order_acquire);
            if (seen == open)
                return next_step::retry;
            if (seen == gone)
                return next_step::gone;
            if (seen == stop)
                return next_step::stopped;
            if (seen == fork)
                return next_step::forked;
            base::pause();
        }
        std::uint32_t seen = requested;
        if (request_.compare_exchange_strong(seen, open, base::memory_order_acq_rel, base::memory_order_acquire))
            return next_step::retry;
        return next_step::wait;
    }

    /// Thief, first step (T1). False: the M has been stopped, and stays so.
    [[nodiscard]] bool request() noexcept
    {
        std::uint32_t seen = open;
        // Acquire and release: what the last thief did to the queues is handed on through us to the owner.
        return request_.compare_exchange_strong(seen, requested, base::memory_order_acq_rel,
                                                base::memory_order_relaxed);
    }
    /// Thief, after its heavy fence (T3, T4). True: the thief's section has begun.
    [[nodiscard]] bool wait_outside(int patience) noexcept
    {
        std::uint32_t seen = requested;
        for (int i = 0; i < patience; ++i) {
            if (in_section_.load(base::memory_order_acquire) == 0)
                return request_.compare_exchange_strong(seen, busy, base::memory_order_acq_rel,
                                                        base::memory_order_relaxed);
            base::pause();
        }
        (void)request_.compare_exchange_strong(seen, open, base::memory_order_acq_rel, base::memory_order_relaxed);
        return false;
    }
    /// Thief: ends its section.
    void release() noexcept { request_.store(open, base::memory_order_release); }

    /// Retaker, in place of release(): the M has no P any more.
    void take_away() noexcept { request_.store(gone, base::memory_order_release); }
    /// The M itself: whether it has no P.
    [[nodiscard]] bool without_p() const noexcept { return request_.load(base::memory_order_acquire) == gone; }
    /// The M itself, inside, whose P somebody else has already or is about to have: it goes on without, or its thread
    /// ends.
    void give_up() noexcept
    {
        if (request_.load(base::memory_order_relaxed) == open)
            request_.store(gone, base::memory_order_relaxed);
        exit();
    }
    /// The M itself: whether it is outside. On g0 that means: it has no P, or is stopped.
    [[nodiscard]] bool outside() const noexcept { return in_section_.load(base::memory_order_relaxed) == 0; }
    /// By whoever gives an M without a P one: the M itself, or another while it sleeps. Begins the M's section. Before
    /// the M is published as the P's owner.
    void come_back() noexcept
    {
        if (!without_p())
            return;  // has had one until now, and is inside; or it is stopped
        in_section_.store(resting, base::memory_order_relaxed);
        request_.store(open, base::memory_order_release);
    }

    /// Takes the M out for good: process exit. In place of release(), or before the M is known to be outside.
    void stop_for_good() noexcept { request_.store(stop, base::memory_order_seq_cst); }
    /// In the child of a fork, by its only thread.
    void mark_forked() noexcept { request_.store(fork, base::memory_order_seq_cst); }

private:
    enum : std::uint32_t {
        open = 0,       ///< nobody wants the P's queues
        requested = 1,  ///< a thief waits for the owner to be outside; the owner may take the request back
        busy = 2,       ///< a thief is at work; the owner waits
        gone = 3,       ///< the M has no P: nobody's turn but come_back()'s
        stop = 4,       ///< process exit has begun; final
        fork = 5,       ///< child of a fork; final
    };
    static constexpr std::uint32_t resting = 2;
    base::atomic<std::uint32_t> in_section_{0};  ///< 0: outside; 1 or resting: inside
    base::atomic<std::uint32_t> request_{gone};
};

}  // namespace weft::rt
