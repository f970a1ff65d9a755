#include "rt/sched/run_queues.hpp"

namespace weft::rt {

void take_all(p& proc, g_list& out) noexcept
{
    if (g* const next = proc.take_next())
        out.push_back(next);
    while (!proc.ready.empty())
        out.push_back(proc.ready.pop_front());
    while (!proc.fresh.empty())
        out.push_back(proc.fresh.pop_front());
}

}  // namespace weft::rt
