// decay: a thread that has free stacks give their memory back while nobody needs them. docs/design/stacks.md.
#pragma once

namespace weft::rt {

void start_decay() noexcept;

/// The slow way of poke_decay().
void poke_decay_slow() noexcept;

/// One look at all free stacks, those of idle Ps included. False: none has memory. For any thread.
bool decay_once() noexcept;

/// Whether the thread exists, for certain.
[[nodiscard]] bool decay_runs() noexcept;

}  // namespace weft::rt
