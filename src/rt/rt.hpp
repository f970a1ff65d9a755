// The waist: all that the layers above see of the scheduler.
//
// Everything here works on goroutines and on plain threads, unless it says otherwise; a plain thread is represented by
// a g of its own and blocks where a goroutine parks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <type_traits>

#include "rt/core/biased_lock.hpp"
#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/core/timer.hpp"
#include "rt/poll/netpoll.hpp"
#include "rt/sched/deferred_goroutine.hpp"
#include "rt/sched/section.hpp"
#include "rt/wait/cancel.hpp"
#include "rt/wait/sema.hpp"
#include "rt/wait/sema_wait.hpp"
#include "rt/wait/spawn_timer.hpp"
#include "weft/detail/explore.hpp"
#include "weft/go.hpp"

namespace weft::rt {

/// The calling goroutine, or what stands for the calling thread. Throws std::bad_alloc (plain threads only).
[[nodiscard]] g* current();
/// Whether the caller runs on a goroutine.
[[nodiscard]] bool on_goroutine() noexcept;
/// An address that stands for the calling goroutine or thread, and for no other while it lives.
[[nodiscard]] const void* caller() noexcept;

/// As weft::stack_remaining().
[[nodiscard]] std::size_t stack_remaining() noexcept;

/// The number of the caller's P, or one that stands for the plain thread. A hint for spreading data: by the time of its
/// use it may be somebody else's.
[[nodiscard]] std::size_t shard_hint() noexcept;

/// Suspends the caller (current()) and then runs `commit(caller, argument)`, see commit_fn. Returns when somebody has
/// passed the caller to ready(), or at once when commit says false.
void park(g* self, commit_fn commit, void* argument, wait_reason why) noexcept;

/// park() in the section that begin_section() began: `self` is what it has returned. The section has ended when this
/// returns.
void park_inside(m* self, g* me, commit_fn commit, void* argument, wait_reason why) noexcept;

/// The same for whoever has been published in a section that claim::try_enter_simply() began, to those alone who wait
/// for its end (biased_lock::held_by_section_of()). Precondition: not g::special.
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

/// The same in a section, see park_inside().
bool park_until_inside(m* self, deadline_wait& wait, wait_reason why) noexcept;

/// Makes a parked goroutine runnable, or wakes a plain thread. The caller must have won it: one ready() a park().
void ready(g* item) noexcept;
/// ready() by a goroutine that may not be one any more: its control block belongs to who is woken (storage_life::kept).
/// The caller does not park here in an exploration.
void ready_by_ending(g* item) noexcept;
/// ready() inside a section. Precondition: not g::special.
void ready_inside(m& self, g* item) noexcept;
/// waiting -> runnable, by the owner of `proc`, who then queues it.
WEFT_ALWAYS_INLINE void end_wait(p& proc, g* item) noexcept
{
    item->move_to(g_state::waiting, g_state::runnable);
    proc.readies.add();
}
/// The common case of ready_inside() alone. False: nothing has been done.
[[nodiscard]] WEFT_ALWAYS_INLINE bool try_ready_inside(m& self, g* item) noexcept
{
    p& proc = *self.proc;
    if ((item->flags & g::special) != 0 || proc.has_next()) [[unlikely]]
        return false;
    end_wait(proc, item);
    proc.runnext.store(item, base::memory_order_relaxed);
    return true;
}
/// ready() for many, linked by g::next; the list is empty afterwards.
void ready(g_list& items) noexcept;

/// Goes to the back of the queue.
void yield() noexcept;

/// What must be known of a goroutine after its body has run, when its control block may be somebody else's already.
struct goroutine_end {
    char* stack_top;
    std::uint8_t stack_class;
    bool kept;
};
[[nodiscard]] inline goroutine_end end_of(const g& item) noexcept
{
    return {item.stack_top, item.stack_class, (item.flags & g::kept) != 0};
}
/// Ends the calling goroutine where it stands, as if its body had returned; `end` is from before its destructors ran.
[[noreturn]] void end_goroutine(const goroutine_end& end) noexcept;

void lock_thread() noexcept;
/// False: there was no lock_thread() before.
[[nodiscard]] bool unlock_thread() noexcept;

/// Uniform in [0, n), n > 0; for choices, not for secrets. `self`: see park_inside().
[[nodiscard]] std::uint32_t random_below(m* self, std::uint32_t n) noexcept;

/// The caller's time in ns: the monotonic clock, or that of its bubble.
[[nodiscard]] std::int64_t now() noexcept;

/// In a testing::explore(), lets another goroutine run or not. ready() and park() do it themselves; for operations that
/// need neither. No lock may be held, nor a section.
WEFT_ALWAYS_INLINE void explore_point() noexcept
{
    detail::explore_point();
}

/// What has come of a bubble (bubble.hpp).
struct bubble_end {
    std::exception_ptr failure;  ///< the first exception that has left a goroutine of it
    std::string deadlock;        ///< who waits for what, a line each; empty if all goroutines have ended
};
/// Runs `body(argument)` in a new bubble until all is over; with a `seed`, explored. Throws std::logic_error inside of
/// another one, and as detail::task_new() and task_start() do.
bubble_end run_bubble(void (*body)(void*), void* argument, const std::uint64_t* seed);
/// Parks until all other goroutines of the caller's bubble are durably blocked. Throws std::logic_error outside of one.
void settle();
class bubble;
/// The one that the calling goroutine is in; null outside, and on plain threads.
[[nodiscard]] const bubble* callers_bubble() noexcept;

/// Counts for code that may spin for a while before it parks.
[[nodiscard]] bool worth_spinning() noexcept;

/// Before the kernel is given memory that may lie in the stack of another, hibernated goroutine, where it would fail
/// with EFAULT: puts that back. Not for long, but for long enough. False: nothing was missing.
bool bring_back(std::span<const std::byte> memory) noexcept;

/// For reports: the frames of `function`, which calls what parks, say nothing and are left out. Before main().
bool hide_from_reports(const void* function) noexcept;

/// Hibernates all goroutines that are parked now and may be (hibernator.hpp). Returns how many.
std::size_t hibernate_all() noexcept;

/// A panic of the calling goroutine: reports `what` and terminates.
[[noreturn]] void panic(const char* what) noexcept;

}  // namespace weft::rt
