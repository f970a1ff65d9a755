#include "rt/sched/spawn.hpp"

#include <new>
#include <stdexcept>
#include <string>

#include "rt/core/bubble_member.hpp"
#include "rt/core/current.hpp"
#include "rt/core/explore.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/sched/finish.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/retake.hpp"
#include "rt/sched/run_queues.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/section.hpp"
#include "rt/sched/wake.hpp"
#include "rt/stack/stack.hpp"

namespace weft::rt {

namespace {

/// Copies what `attributes` say into `item`. Throws std::invalid_argument, std::bad_alloc.
WEFT_NOINLINE void apply(g& item, const attr& attributes)
{
    const std::size_t size = attributes.stack_size;
    if (size < min_stack || size > max_stack)
        throw std::invalid_argument("weft::attr::stack_size is " + std::to_string(size) +
                                    (size > max_stack ? " (negative, or too large)" : "") +
                                    "; it must be from 16 KiB (16384) to 8 GiB (8589934592) bytes");
    item.stack_class = stack_class_of(size);
    if (attributes.pinned)
        item.flags |= g::pinned;
    if (!attributes.hibernate)
        item.flags |= g::not_hibernated;
    if (!attributes.name.empty()) {
        if (item.extra == nullptr)
            item.extra = new g_extra;
        item.extra->name = attributes.name;
        item.extra->seen = {item.extra->name.data(), item.extra->name.size()};
    }
}

/// What a goroutine is before its start. Throws as apply().
WEFT_ALWAYS_INLINE void prepare(g& item, detail::task_body body, detail::storage_life life, const attr* attributes,
                                const void* started_at)
{
    item.flags = g::no_stack;
    item.stack_class = default_stack_class;
    if (attributes != nullptr)
        apply(item, *attributes);
    if (life == detail::storage_life::kept)
        item.flags |= g::kept;
    item.body = body;
    item.lock_depth = 0;
    item.started_at = started_at;
}

WEFT_NOINLINE void check_not_exiting()
{
    if (!sched.stopping.load(base::memory_order_relaxed))
        return;
    if (on_goroutine() && current() != sched.exiting.load(base::memory_order_relaxed))
        stop_here();  // one of those that have not met the stop yet
    throw std::runtime_error("weft: no goroutine can be started any more: the process is exiting");
}

WEFT_NOINLINE void stock_ids(p& proc) noexcept
{
    constexpr std::uint64_t stock = 256;
    proc.next_id = sched.ids.fetch_add(stock, base::memory_order_relaxed);
    proc.end_id = proc.next_id + stock;
}

/// task_start() for those without a P.
WEFT_NOINLINE void start_outside(g* item) noexcept
{
    item->id = sched.ids.fetch_add(1, base::memory_order_relaxed);
    sched.started_outside.fetch_add(1, base::memory_order_relaxed);
    sched.global.push(item);
    wake_if_needed();
}

/// task_new() for those without a P: `self`, whose P was taken away, or a plain thread (null). Who starts goroutines
/// for longer than a slice loses the P to those that it has started, which have caught up when a P is idle: then it
/// goes on with that one, where a start costs a tenth.
WEFT_NOINLINE g* new_outside(m* self)
{
    hooks.ensure_started(options{});
    if (self == nullptr || sched.idle.read().idle == 0 || !take_any_p(*self))
        return take_global_g();
    g* const item = self->proc->gs.take();
    leave(*self);
    return item;
}

/// task_start() in any case.
WEFT_NOINLINE void start_any(g* item, detail::task_body body, detail::storage_life life, const attr* attributes,
                             const void* started_at)
{
    if (sched.start_hooks.load(base::memory_order_relaxed) != 0) [[unlikely]] {
        check_not_exiting();
        if (bubble* const b = bubble_of_caller(); b != nullptr) {
            hooks.bubble_start(*b, item->storage, body, life, attributes, started_at);
            explore_point();
            return;
        }
        body = hooks.measure_depth(*item, body);
    }
    prepare(*item, body, life, attributes, started_at);
    item->move_to(g_state::dead, g_state::runnable);
    m* const self = begin_section_with_p();
    if (self == nullptr) {
        start_outside(item);
        return;
    }
    p& proc = *self->proc;
    if (proc.next_id == proc.end_id)
        stock_ids(proc);
    item->id = proc.next_id++;
    proc.started.add();
    if (push_fresh(proc, item) > 1 || !proc.ready.empty())
        wake_if_needed();
    leave(*self);
}

/// The end of a start that another M is to know of.
WEFT_NOINLINE void wake_and_leave(m& self) noexcept
{
    wake_one();
    leave(self);
}

}  // namespace

void prepare_goroutine(g& item, detail::task_body body, detail::storage_life life, const attr* attributes,
                       const void* started_at)
{
    prepare(item, body, life, attributes, started_at);
}

}  // namespace weft::rt

// The entry points themselves, not wrappers: they are the hot half of go().
namespace weft::detail {

// Not inlined, for this_m_inline(): not by link-time optimisation either.
WEFT_NOINLINE void* task_new()
{
    using namespace rt;
    g* item;
    if (m* const self = this_m_inline(); self != nullptr && enter_with_p(*self)) [[likely]] {
        item = self->proc->gs.take();
        leave(*self);
    } else {
        item = new_outside(self);
    }
    if (item == nullptr)
        throw std::bad_alloc();
    return item->storage;
}

// As task_new(). The common case, on a goroutine and without attributes, calls nothing.
WEFT_NOINLINE void task_start(void* storage, task_body body, storage_life life, const attr* attributes)
{
    using namespace rt;
    g* const item = g::of_storage(storage);
    const void* const started_at = __builtin_return_address(0);
    m* const self = this_m_inline();
    if (self == nullptr || attributes != nullptr || sched.start_hooks.load(base::memory_order_relaxed) != 0)
        [[unlikely]]
        return start_any(item, body, life, attributes, started_at);
    prepare(*item, body, life, nullptr, started_at);
    if (!self->section.try_enter_simply()) [[unlikely]] {
        leave(*self);
        return start_any(item, body, life, nullptr, started_at);
    }
    p& proc = *self->proc;
    const std::uint64_t id = proc.next_id;
    item->id = id;
    const std::uint32_t queued = id != proc.end_id ? proc.fresh.try_push_back(item) : 0;
    if (queued == 0) [[unlikely]] {
        leave(*self);
        return start_any(item, body, life, nullptr, started_at);
    }
    item->move_to(g_state::dead, g_state::runnable);
    proc.next_id = id + 1;
    proc.started.add();
    // One alone will run as soon as we park, and if we do not, sysmon gets it stolen: as with runnext, waking another M
    // for it costs more than it gains nearly always.
    if (queued > 1 || !proc.ready.empty()) {
        base::light_fence();  // as in wake_if_needed()
        if (sched.idle.needs_waking()) [[unlikely]]
            return wake_and_leave(*self);
    }
    leave(*self);
}

bool task_is_callers(const void* storage) noexcept
{
    const rt::m* const self = rt::this_m();
    return self != nullptr && self->current != nullptr && self->current->storage == storage;
}

void task_drop(void* storage) noexcept
{
    using namespace rt;
    g* const item = g::of_storage(storage);
    if (m* const self = begin_section_with_p(); self != nullptr) {
        drop_in_section(*self, item);
        leave(*self);
        return;
    }
    drop_extra(item);
    item->state.store(g_state::dead, base::memory_order_relaxed);
    give_global_g(item);
}

}  // namespace weft::detail
