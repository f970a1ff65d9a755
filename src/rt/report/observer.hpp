// What WEFT_DEBUG and options::dump_on_sigquit switch on while the program runs: a thread of its own, "weft-observer",
// which prints dumps, reports of stalls and the scheduler's lines; and a look at each park.
//
// Not sysmon: writing to stderr may block for as long as its reader likes, and asking a thread for its stack takes as
// long as that thread is off its CPU. sysmon, which gives Ps to others, must not wait for either.
//
// Parks are looked at on g0: with m::observed set, every goroutine that parks goes there (next_direct()), by the same
// test that sends those of locked threads there. So the options cost nothing where they are off.
#pragma once

#include <cstdint>

#include "rt/core/m.hpp"

namespace weft::rt {

/// Starts what the options want. Called once, when the runtime starts, before its first M.
void start_observer(bool dump_on_sigquit) noexcept;
/// Whether its thread exists, for certain; for the count of the process's threads.
[[nodiscard]] bool observer_runs() noexcept;
/// In the child of a fork: SIGQUIT ends it again, since nobody is there who could print.
void stop_observer_in_child() noexcept;

/// On g0 of a watched M, when it has just been switched to and nobody else can see the goroutine that has parked.
void observe_park(m& self) noexcept;
/// On g0 of a watched M, which is about to run `next`: whether another M is to run it, since it has parked on this one.
[[nodiscard]] bool must_move(m& self, const g* next) noexcept;

}  // namespace weft::rt
