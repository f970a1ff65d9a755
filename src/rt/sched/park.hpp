// Parking: the caller leaves its stack until it is passed to ready().
#pragma once

#include <cstdint>
#include <type_traits>

#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/timer.hpp"
#include "rt/core/wait_reason.hpp"

namespace weft::rt {

/// Suspends the caller (current()) and then runs `commit(caller, argument)`, see commit_fn. Returns when somebody has
/// passed the caller to ready(), or at once when commit says false.
void park(g* self, commit_fn commit, void* argument, wait_reason why) noexcept;

/// park() in the section that begin_section() began: `self` is what it has returned. The section has ended when this
/// returns.
void park_in_section(m* self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept;

/// The same for whoever has been published in a section that section_word::try_enter_simply() began, to those alone who
/// wait for its end (biased_lock::held_by_section_of()). Precondition: not g::special.
void park_published(m* self, g* me, wait_reason why) noexcept;

/// How a wait with a deadline ends early.
struct deadline_wait {
    timer alarm{};  ///< set alarm.when and alarm.expire; expire returns the waiter if it won it back
    g* waiter = nullptr;
    /// As a commit_fn. Called with the alarm's heap locked, so that nothing fires before it has returned.
    bool (*publish)(deadline_wait&) noexcept = nullptr;
    bool timed_out = false;  ///< set by expire

    /// For expire: the wait whose alarm this is.
    static deadline_wait& of_alarm(timer& alarm) noexcept { return reinterpret_cast<deadline_wait&>(alarm); }
};
static_assert(std::is_standard_layout_v<deadline_wait>, "of_alarm: the alarm is the first member");
/// park() until ready() or the deadline. True: readied; false: `expire` won.
bool park_until(deadline_wait& wait, wait_reason why) noexcept;

/// The same in a section, see park_in_section().
bool park_until_in_section(m* self, deadline_wait& wait, wait_reason why) noexcept;

/// park() without looking at what is special of `me`, in the section of `self`, which it ends.
void switch_out(m& self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept;
/// The same where enter_to_leave() has said false.
void switch_out_without_p(m& self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept;

/// What of a parking there is to do without a P, outside of a section: the rest is the scheduler's loop's. There its
/// state becomes waiting, when its context is saved: hibernate() has no section to wait for.
void leave_without_p(m* self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept;

/// A commit_fn: the goroutine does not wait, it only needs another M. Not counted as a park.
bool queue_for_all(g* parked, void* argument) noexcept;

}  // namespace weft::rt
