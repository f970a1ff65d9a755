#include "rt/sched/procs.hpp"

#include <new>
#include <stdexcept>
#include <string>

#include "base/check.hpp"
#include "rt/sched/idle_ms.hpp"
#include "rt/sched/run_queues.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/sysmon.hpp"
#include "rt/sched/wake.hpp"
#include "rt/stack/scavenging.hpp"
#include "sys/membarrier.hpp"

namespace weft::rt {

void own_p(m& self, p& proc) noexcept
{
    proc.steal_lock.lock();
    self.proc = &proc;
    self.section.come_back();
    proc.owner.store(&self, base::memory_order_release);  // pairs with sysmon.cpp's loads: the M may be new
    proc.steal_lock.unlock();
}

void disown_p(m& self, p& proc) noexcept
{
    proc.steal_lock.lock();
    proc.owner.store(nullptr, base::memory_order_relaxed);
    proc.steal_lock.unlock();
    self.proc = nullptr;
}

void list_idle_p(p& proc, bool was_spinning) noexcept
{
    // Nobody steals from a P without an owner, and a dead one nobody takes: what it still has goes to all.
    g_list left;
    take_all(proc, left);
    if (!left.empty())
        sched.global.push(left);
    if (proc.stacks.size() != 0)
        wake_scavenger();
    if (proc.id >= sched.procs.load(base::memory_order_relaxed)) {
        proc.state.store(p_state::dead, base::memory_order_relaxed);
        if (was_spinning)
            sched.idle.end_spin();
        return;
    }
    proc.state.store(p_state::idle, base::memory_order_relaxed);
    proc.next_idle = sched.idle_ps;
    sched.idle_ps = &proc;
    sched.idle.add_idle(was_spinning);
}

p* take_idle_p(bool to_spin) noexcept
{
    p* const proc = sched.idle_ps;
    if (proc != nullptr) {
        sched.idle_ps = proc->next_idle;
        proc->state.store(p_state::running, base::memory_order_relaxed);
        sched.idle.take_idle(to_spin);
        wake_sysmon();
    }
    return proc;
}

void retire_p(m& self) noexcept
{
    p& proc = *self.proc;
    disown_p(self, proc);
    sched.lock.lock();
    // Idle, not dead, when max_procs has grown again meanwhile.
    list_idle_p(proc, self.spinning);
    sched.lock.unlock();
    self.spinning = false;
    // Also without work of our own: while we counted as spinning, others did not wake anybody.
    sys::heavy_fence();
    if (any_work())
        wake_one();
}

int set_procs(int n)
{
    if (n < 0)
        throw std::invalid_argument("weft::max_procs: " + std::to_string(n) +
                                    " is negative; pass 0 to ask, 1 or more to set");
    if (n > max_procs_limit)
        throw std::invalid_argument("weft::max_procs: " + std::to_string(n) + " is above max_procs_limit (" +
                                    std::to_string(max_procs_limit) + ")");
    sched.lock.lock();
    const auto before = static_cast<int>(sched.procs.load(base::memory_order_relaxed));
    if (n == 0 || n == before) {
        sched.lock.unlock();
        return before;
    }
    const auto wanted = static_cast<std::uint32_t>(n);
    std::uint32_t made = sched.made.load(base::memory_order_relaxed);
    while (made < wanted) {
        p* const fresh = new (std::nothrow) p(made);
        if (fresh == nullptr) {
            sched.lock.unlock();
            throw std::bad_alloc();
        }
        sched.all[made].store(fresh, base::memory_order_release);
        sched.made.store(++made, base::memory_order_release);
    }
    sched.procs.store(wanted, base::memory_order_relaxed);
    // Shrinking: idle ones go now, running ones when their M next looks (next_fair, find_runnable).
    for (p** at = &sched.idle_ps; *at != nullptr;) {
        p* const proc = *at;
        if (proc->id >= wanted) {
            *at = proc->next_idle;
            proc->state.store(p_state::dead, base::memory_order_relaxed);
            sched.idle.take_idle(false);
        } else {
            at = &proc->next_idle;
        }
    }
    // Growing: the lowest number on top of the list.
    for (std::uint32_t i = wanted; i-- > 0;)
        if (p& proc = sched.at(i); proc.state.load(base::memory_order_relaxed) == p_state::dead)
            list_idle_p(proc, false);
    if (n < before)
        review_idle_ms();
    sched.lock.unlock();
    start_sysmon();
    if (any_work())
        wake_if_needed();
    return before;
}

}  // namespace weft::rt
