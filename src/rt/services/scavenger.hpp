// decay: a thread that has free stacks give their memory back while nobody needs them. docs/design/stacks.md.
#pragma once

namespace weft::rt {

void start_scavenger() noexcept;

/// The slow way of wake_scavenger().
void wake_scavenger_slow() noexcept;

/// One look at all free stacks, those of idle Ps included. False: none has memory. For any thread.
bool scavenge_once() noexcept;

/// Whether the thread exists, for certain.
[[nodiscard]] bool scavenger_runs() noexcept;

}  // namespace weft::rt
