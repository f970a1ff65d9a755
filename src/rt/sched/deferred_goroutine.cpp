#include "rt/sched/deferred_goroutine.hpp"

#include "rt/core/bubble_member.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/spawn.hpp"

namespace weft::rt {

void deferred_goroutine::prepare(void* storage, detail::task_body body, const void* started_at)
{
    g* const item = g::of_storage(storage);
    if (sched.start_hooks.load(base::memory_order_relaxed) != 0) [[unlikely]]
        body = hooks.measure_depth(*item, body);
    prepare_goroutine(*item, body, detail::storage_life::of_run, nullptr, started_at);
    if (bubble* const b = bubble_of_caller(); b != nullptr) [[unlikely]]
        hooks.bubble_prepare(*b, item);
}

void deferred_goroutine::drop(void* storage) noexcept
{
    const g& item = *g::of_storage(storage);
    if ((item.flags & g::bubbled) != 0) [[unlikely]]
        delete item.member;
    detail::task_drop(storage);
}

g* deferred_goroutine::start() noexcept
{
    g* const item = g::of_storage(storage_);
    storage_ = nullptr;
    item->id = sched.ids.fetch_add(1, base::memory_order_relaxed);
    sched.started_outside.fetch_add(1, base::memory_order_relaxed);
    sched.parks_outside.fetch_add(1, base::memory_order_release);
    item->move_to(g_state::dead, g_state::waiting, base::memory_order_release);  // pairs with hibernate(): has no stack
    return item;
}

}  // namespace weft::rt
