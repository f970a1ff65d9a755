// spawn_timer: a timer whose expiry starts a goroutine (rt/sched/deferred_goroutine.hpp). docs/design/timers.md
//
// It belongs to the bubble in which it was made, if any (rt/services/bubble/bubble.hpp): it lies in that one's heap and
// follows its clock. Armed in there alone; disarmed by anybody, also when the bubble has ended and dropped what it
// would have started.
//
// Arming and disarming exclude each other by the owner's lock. That lock is taken inside a section, so that an M that
// the process's exit stops is not stopped with it held; `expire` does not take it.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "rt/core/m.hpp"
#include "rt/core/timer.hpp"
#include "rt/sched/deferred_goroutine.hpp"
#include "rt/sched/timekeeper.hpp"

namespace weft::rt {

class bubble;
/// The bubble in which it was made, kept in memory; null: outside of one.
class bubble_ref {
public:
    bubble_ref() noexcept;
    bubble_ref(const bubble_ref&) = delete;
    bubble_ref& operator=(const bubble_ref&) = delete;
    ~bubble_ref();
    [[nodiscard]] bubble* get() const noexcept { return in_; }

private:
    bubble* const in_;
};

class spawn_timer {
public:
    spawn_timer() noexcept { alarm_.expire = &expire; }
    spawn_timer(const spawn_timer&) = delete;
    spawn_timer& operator=(const spawn_timer&) = delete;

    /// The one it belongs to; null: none.
    [[nodiscard]] const bubble* belongs_to() const noexcept { return in_.get(); }
    /// Starts `call` at `when` (ns of the caller's clock). Preconditions: not armed; the caller, who has made `call`,
    /// is in belongs_to(). `call` keeps this object alive.
    void arm_in_section(m* self, std::int64_t when, deferred_goroutine&& call) noexcept
    {
        alarm_.when = when;
        call_ = std::move(call);
        if (in_.get() != nullptr) [[unlikely]]
            arm_in_bubble(self);
        else
            rt::arm_in_section(self, alarm_);
    }
    /// False: nothing has been done. See timer_heap::put_off().
    [[nodiscard]] bool put_off(std::int64_t when) noexcept
    {
        return in_.get() == nullptr && timer_heap::put_off(alarm_, when);
    }
    /// Afterwards it does not fire. Returns what it would have started; empty: it was not armed, or has fired. To be
    /// dropped after the lock and the section.
    [[nodiscard]] deferred_goroutine disarm() noexcept
    {
        return timer_heap::disarm(alarm_) ? std::move(call_) : deferred_goroutine();
    }
    /// Of one that was taken out of its heap: what it would have started.
    [[nodiscard]] static deferred_goroutine call_of(timer& alarm) noexcept
    {
        return std::move(reinterpret_cast<spawn_timer&>(alarm).call_);
    }

private:
    static g* expire(timer& alarm) noexcept { return reinterpret_cast<spawn_timer&>(alarm).call_.start(); }
    void arm_in_bubble(m* self) noexcept;

    timer alarm_;
    deferred_goroutine call_;
    bubble_ref in_;
};

}  // namespace weft::rt
