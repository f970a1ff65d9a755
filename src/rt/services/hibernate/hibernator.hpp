// Which goroutines are hibernated, and when: a thread of its own, "weft-cold", that visits all of them at intervals.
// The protocol for one of them is in hibernate.hpp.
//
// A goroutine that is parked is marked as settled at one visit, and hibernated at the next one if it still is: so it
// has been parked for options::hibernate_after at least, and no clock is read when one parks. What goroutines run pays
// nothing. The thread goes on until a visit finds nothing left to do, then sleeps for good. Sysmon, which is awake
// while anything runs, wakes it once in an interval, and a last time when it goes to sleep itself: what was parked by
// then is hibernated although nothing runs any more. It does not exist before there are enough stacks to be worth it.
//
// CPU: 3 % of one core while goroutines run, half a core while none does, all it can get while memory is short. In
// shortage those who need new stacks help: relieve().
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::rt {

/// When the runtime starts. `after`: ns; `eager`: everything that is parked, at once, whatever it costs (for tests).
void start_hibernator(std::int64_t after, bool eager) noexcept;
/// Whether its thread exists, for certain; for the count of the process's threads.
[[nodiscard]] bool hibernator_runs() noexcept;

/// By sysmon, at each look; `now` in ns. `last`: it will not look again before something has run.
void nudge_hibernator(std::int64_t now, bool last) noexcept;

/// The slow way of relieve() (stack/scavenging.hpp).
void relieve_slow() noexcept;

/// Hibernates all goroutines that are parked now and may be. Returns how many.
std::size_t hibernate_all() noexcept;

}  // namespace weft::rt
