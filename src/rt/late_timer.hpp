// late_timer: a timer whose expiry starts a goroutine (rt/unstarted.hpp). docs/design/timers.md
//
// Arming and disarming exclude each other by the owner's lock. That lock is taken inside a section, so that an M that
// the process's exit stops is not stopped with it held; `expire` does not take it.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "rt/m.hpp"
#include "rt/timer.hpp"
#include "rt/unstarted.hpp"

namespace weft::rt {

/// Arms a timer that no wait belongs to, inside the caller's section (null: a plain thread, and the runtime has
/// started).
void arm_inside(m* self, timer& alarm) noexcept;

class late_timer {
public:
    late_timer() noexcept { alarm_.expire = &expire; }
    late_timer(const late_timer&) = delete;
    late_timer& operator=(const late_timer&) = delete;

    /// Starts `call` at `when` (ns of the monotonic clock). Precondition: not armed. `call` keeps this object alive.
    void arm_inside(m* self, std::int64_t when, unstarted&& call) noexcept
    {
        alarm_.when = when;
        call_ = std::move(call);
        rt::arm_inside(self, alarm_);
    }
    /// Afterwards it does not fire. Returns what it would have started; empty: it was not armed, or has fired. To be
    /// dropped after the lock and the section.
    [[nodiscard]] unstarted disarm() noexcept { return timer_heap::disarm(alarm_) ? std::move(call_) : unstarted(); }

private:
    static g* expire(timer& alarm) noexcept { return reinterpret_cast<late_timer&>(alarm).call_.start(); }

    timer alarm_;
    unstarted call_;
};

}  // namespace weft::rt
