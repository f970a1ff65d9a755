// wait_word: who ends a wait. A waiter can be taken by its queue, by its deadline and by a cancellation, which know
// nothing of each other: one compare-exchange on this word, in the waiter's frame, decides. docs/design/sync.md.
//
// | state     | the waiter                  | who may take it                       | what he who takes it owes it   |
// |-----------|-----------------------------|---------------------------------------|--------------------------------|
// | queued    | parked, or about to be when | the holder of the queue's lock, alone | ready()                        |
// |           | the queue's lock is dropped |                                       |                                |
// | preparing | can be found, still runs    | queue, cancellation                   | nothing: it will not park      |
// | waiting   | parked                      | queue, deadline, cancellation         | ready()                        |
// | granted   | taken by its queue          | final, unless passed on to a queue    |                                |
// | timed_out | taken by its deadline       | final                                 |                                |
// | canceled  | taken by a cancellation     | final                                 |                                |
//
// Who loses leaves the waiter alone: a queue drops it, a deadline or a cancellation does nothing.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"

namespace weft::rt {

enum class wait_state : std::uint8_t { queued, preparing, waiting, granted, timed_out, canceled };

class wait_word {
public:
    enum class won : std::uint8_t {
        no,       ///< another one was first
        running,  ///< and the waiter has not parked, and will not
        parked,   ///< and must be passed to ready()
    };

    /// By the waiter, before it can be found.
    void begin(wait_state first) noexcept { state_.store(first, base::memory_order_relaxed); }

    /// preparing -> waiting, by the waiter's commit. False: it has been taken and need not park.
    [[nodiscard]] bool publish() noexcept
    {
        wait_state seen = wait_state::preparing;
        // Release: pairs with take(), who sees our saved context. Acquire: of what the taker has done before.
        return state_.compare_exchange_strong(seen, wait_state::waiting, base::memory_order_acq_rel,
                                              base::memory_order_acquire);
    }

    /// Whoever wins decides how the wait ends. For granted the queue's lock must be held.
    [[nodiscard]] won take(wait_state outcome) noexcept
    {
        wait_state seen = state_.load(base::memory_order_relaxed);
        if (seen == wait_state::queued && outcome == wait_state::granted) {
            state_.store(outcome, base::memory_order_relaxed);  // nobody else may; ready() orders
            return won::parked;
        }
        while (seen == wait_state::waiting || seen == wait_state::preparing) {
            // Acquire: pairs with publish(). Release: pairs with the failing publish() of one who will not park.
            if (state_.compare_exchange_weak(seen, outcome, base::memory_order_acq_rel, base::memory_order_relaxed))
                return seen == wait_state::waiting ? won::parked : won::running;
        }
        return won::no;
    }

    /// granted -> queued, by who has taken a parked waiter and puts it into another queue, under that queue's lock. A
    /// deadline or cancellation of the former wait that comes now finds nothing to take.
    void requeue() noexcept { state_.store(wait_state::queued, base::memory_order_relaxed); }

    /// By the waiter, when it runs again.
    [[nodiscard]] wait_state outcome() const noexcept { return state_.load(base::memory_order_relaxed); }

private:
    base::atomic<wait_state> state_{wait_state::queued};
};

}  // namespace weft::rt
