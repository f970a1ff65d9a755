// cancel: what must be told of a cancellation, and how it is told.
//
// A cancel_list belongs to what can be canceled, once (a context's node); the hooks on it belong to whoever wants to
// know: a waiter that gives up early, a child context. Under the list's lock: the links of all hooks, `firing_` and the
// step from "not fired" to a reason. No hook fires with the lock held, and firing never parks (in an exploration
// neither: no_explore_points), so the lock is a leaf: anybody may take it, with a sema bucket or a channel locked as
// well.
//
//   owner of a hook                               fire_all()
//   A1 add(): lock; fired? refuse. Else queue     F1 lock; fired already? done. Else fired
//   A2 ...                                        F2 take out the first hook, firing_ = hook; unlock
//   A3 remove(): lock; queued? take it out.       F3 hook.fire(hook)
//      Else while firing_ == hook: let it end     F4 lock; firing_ = none; on with F2 until there is none
//
// Each hook that add() has taken is fired or removed, not both: F2 and A3 are under the lock. After remove() nobody
// refers to the hook: F3 of it was waited for. Called inside fire() itself, remove() does not wait; F4 does not look at
// the hook. A hook that is added when it is too late is refused, so who waits looks at the result of add() before it
// parks, and no cancellation is missed.
//
// A waiter that can be canceled. Its word says who has taken it: open, parked, or won. It adds the hook before it
// parks and removes it afterwards, in its own frame:
//
//   waiter                                        fire(), a waker, a deadline
//   W1 word = open; add(hook); refused: give up   R1 exchange the word for "won by me"; was it won before, go away
//   W2 park; commit: compare-exchange the word    R2 it was parked: ready(waiter). It was open: its commit will see
//      from open to parked; fails: do not wait
//   W3 remove(hook); look at who has won
//
// Where the waiter is published to wakers in W2 alone, they find it parked, and only the hook needs the state open.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "sys/lock.hpp"

namespace weft::rt {

enum class cancel_reason : std::uint8_t { none, canceled, deadline_exceeded };

/// Lies with its owner. All but `fire` belongs to the list while it is queued.
struct cancel_hook {
    cancel_hook* next = nullptr;
    cancel_hook* previous = nullptr;
    /// Called once, by the goroutine or thread that cancels, with no lock held. Must not park, nor throw, nor call what
    /// is not the library's. The hook may be gone once its owner could know that it has fired.
    void (*fire)(cancel_hook&) noexcept = nullptr;
    bool queued = false;
};

class cancel_list {
public:
    constexpr cancel_list() noexcept = default;
    cancel_list(const cancel_list&) = delete;
    cancel_list& operator=(const cancel_list&) = delete;

    /// False: canceled already, and nothing was added.
    [[nodiscard]] bool add(cancel_hook& hook) noexcept;
    /// Afterwards nobody refers to `hook`: it was taken out, or its fire() has ended, unless this is called inside it.
    /// Nothing happens to one that was never added. The list must outlive the call.
    void remove(cancel_hook& hook) noexcept;
    /// Cancels: fires all hooks, in the order in which they were added. `record(argument)` is called before anybody can
    /// see the reason, with the lock held. False: canceled already (perhaps by somebody who is at it still); nothing
    /// was done. The list must outlive the call.
    bool fire_all(cancel_reason why, void (*record)(void*) noexcept = nullptr, void* argument = nullptr) noexcept;

    /// Not none: canceled, and what `record` has written can be read.
    [[nodiscard]] cancel_reason reason() const noexcept { return reason_.load(base::memory_order_acquire); }

private:
    void unlink(cancel_hook& hook) noexcept;

    sys::lock_word lock_;
    base::atomic<cancel_reason> reason_{cancel_reason::none};  ///< written under lock_
    cancel_hook* first_ = nullptr;                             ///< guarded by lock_
    cancel_hook* last_ = nullptr;                              ///< guarded by lock_
    cancel_hook* firing_ = nullptr;                            ///< guarded by lock_
    const void* fired_by_ = nullptr;                           ///< rt::caller(); guarded by lock_
};

}  // namespace weft::rt
