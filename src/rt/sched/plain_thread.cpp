#include "rt/sched/plain_thread.hpp"

#include "base/check.hpp"
#include "rt/sched/scheduler.hpp"
#include "sys/clock.hpp"
#include "sys/futex.hpp"

namespace weft::rt {

bool park_thread_commit(g* self, commit_fn commit, void* argument) noexcept
{
    self->awake.store(0, base::memory_order_relaxed);
    self->move_to(g_state::running, g_state::waiting);
    if (commit(self, argument))
        return true;
    self->move_to(g_state::waiting, g_state::running);
    return false;
}

void thread_resumed(g* self) noexcept
{
    self->why.store(wait_reason::none, base::memory_order_relaxed);
    self->move_to(g_state::waiting, g_state::running);
}

bool thread_was_readied(const g* self) noexcept
{
    return self->awake.load(base::memory_order_acquire) != 0;  // pairs with ready()
}

/// Sleeps once, without a deadline.
void block_thread(const g* self) noexcept
{
    if (sched.exiting.load(base::memory_order_relaxed) != self) [[likely]] {
        sys::futex_wait(self->awake, 0);
        return;
    }
    // Static destructors and exit handlers: goroutines have stopped, only another plain thread could still wake us.
    constexpr std::int64_t patience = 10'000'000'000;  // ns
    if (!sys::futex_wait_until(self->awake, 0, sys::monotonic_now() + patience) && !thread_was_readied(self))
        base::fatal(
            "while the process exits, a static destructor or an exit handler has waited for 10 s for what only a "
            "goroutine could do; they have stopped. Join them before main returns or exit is called");
}

void park_thread(g* self, commit_fn commit, void* argument, wait_reason why) noexcept
{
    // One that waits for the outside may go on at any time, as one with a deadline: it is not counted.
    const bool outside = ends_from_outside(why);
    self->why.store(outside ? wait_reason::none : why, base::memory_order_relaxed);
    if (!park_thread_commit(self, commit, argument)) {
        self->why.store(wait_reason::none, base::memory_order_relaxed);
        return;
    }
    if (!outside)
        sched.thread_parks.fetch_add(1, base::memory_order_seq_cst);
    while (!thread_was_readied(self))
        block_thread(self);
    thread_resumed(self);
}

void ready_thread(g* self) noexcept
{
    if (self->why.load(base::memory_order_relaxed) != wait_reason::none)
        sched.thread_readies.fetch_add(1, base::memory_order_seq_cst);
    self->awake.store(1, base::memory_order_release);
    sys::futex_wake(&self->awake, 1);  // the thread may be gone by now; its g is still memory
}

}  // namespace weft::rt
