// Plain threads as waiters: what stands for one parks by blocking the thread on a futex.
#pragma once

#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/wait_reason.hpp"

namespace weft::rt {

/// park() of what stands for the calling thread.
void park_thread(g* self, commit_fn commit, void* argument, wait_reason why) noexcept;

// The steps of a park, for waits with a deadline:
/// Publishes `self`. False: it need not wait.
[[nodiscard]] bool park_thread_commit(g* self, commit_fn commit, void* argument) noexcept;
/// Sleeps once, without a deadline.
void block_thread(const g* self) noexcept;
[[nodiscard]] bool thread_was_readied(const g* self) noexcept;
void thread_resumed(g* self) noexcept;

/// ready() of a plain thread.
void ready_thread(g* self) noexcept;

}  // namespace weft::rt
