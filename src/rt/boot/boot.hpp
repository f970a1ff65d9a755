// Start and stop of the runtime.
//
// It starts at the first run() or go(). It stops when the process exits: a handler of atexit() takes every M out of
// the game (section_word::stop_for_good), so that static destructors run with no goroutine beside them. The handler is
// registered again at the end of each run(), so that it comes before the destructors of what main's goroutine has made.
/// exit() was called on a goroutine. It alone goes on, as if it were a plain thread: what it waits for is not run by
/// the scheduler any more, and what is queued behind it never runs.
/// An M meets the stop at its next call of ours. One whose goroutine blocks or computes may not make one soon: it is
/// left alone. One that only waits for a CPU is waited for, since it would run beside static destructors. `begin`: when
/// `used_at_stop` was read.
/// Goroutines that are left when the process exits have not leaked what they own, nor what is named after them.
#pragma once

#include "weft/runtime.hpp"

namespace weft::rt {

/// Starts the runtime if that has not happened. Throws as run() does.
void ensure_started(const options& opt);

}  // namespace weft::rt
