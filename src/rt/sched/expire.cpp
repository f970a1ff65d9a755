#include "rt/sched/expire.hpp"

#include "rt/core/thread_local.hpp"
#include "rt/sched/ready.hpp"
#include "rt/sched/run_queues.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/wake.hpp"

namespace weft::rt {

bool fire_timers(p& proc, timer_heap& heap, std::int64_t now) noexcept
{
    if (heap.earliest() > now)
        return false;
    g_list woken;
    heap.run_expired(now, woken);
    if (woken.empty())
        return false;
    ready_batch(this_m(), &proc, woken);
    return true;
}

void ready_batch(m* self, p* proc, g_list& woken) noexcept
{
    g_list shared;
    while (g* const item = woken.pop_front()) {
        if ((item->flags & g::special) != 0) [[unlikely]] {
            ready_special(self, item);
            continue;
        }
        if (proc != nullptr) {
            end_wait(*proc, item);
            item->expect_run();
            push_ready(*proc, item);
        } else {
            end_wait_outside(item);
            shared.push_back(item);
        }
    }
    if (!shared.empty())
        sched.global.push(shared);
    wake_if_needed();
}

}  // namespace weft::rt
