// sysmon: a thread without a P that watches the Ps.
//
// What it does:
//   - A goroutine that was readied into an empty runnext, or started with nothing else queued, wakes nobody: nearly
//     always its maker parks within a microsecond, and waking an M costs more than that. When its maker does not park,
//     and another P is idle, sysmon sees to it that it is stolen.
//   - A P whose goroutine has made no scheduling decision for a slice, or is in blocking(), while others wait and no
//     other P is idle, is taken away and handed to another M: docs/design/retake.md. It keeps a spare M ready for that.
//   - Descriptors are polled when nobody else has done so for long.
//   - The hibernator is asked for a visit when something has run, at last when nothing runs any more.
//
// How long it sleeps between looks: 20 us for a millisecond or so after it was poked by a blocking() that keeps others
// waiting; 50 us to 1 ms while some Ps are busy and some are idle; a quarter of a slice while all are busy, or a slice
// when all have made many decisions between looks for some time: a look costs 30 us of the core on which it interrupts
// somebody; for good while none is busy.
#pragma once

#include "base/cpu.hpp"
#include "rt/core/m.hpp"
#include "rt/sched/scheduler.hpp"

namespace weft::rt {

// --- sysmon.cpp
/// A spinning M goes to sleep although there is work, because it did not pay. Its count in the idle word stays, so that
/// nobody is woken for such work, and sysmon takes it back with the check that is due then.
void leave_spin_to_sysmon() noexcept;
void start_sysmon() noexcept;
/// A P has become busy.
void wake_sysmon() noexcept;
/// It had better look soon; `blocked`: the caller, if that is about to block.
void poke_sysmon_slow(m* blocked) noexcept;
WEFT_ALWAYS_INLINE void poke_sysmon(m* blocked) noexcept
{
    base::light_fence();  // pairs with sleep_for_a_while()
    if (sched.sysmon_nap.load(base::memory_order_relaxed) == nap_of_sysmon::long_one) [[unlikely]]
        poke_sysmon_slow(blocked);
}
/// Whether its thread exists, for certain.
[[nodiscard]] bool sysmon_runs() noexcept;

}  // namespace weft::rt
