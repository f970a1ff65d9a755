// A goroutine's beginning and the reuse of its control block.
#include <new>
#include <stdexcept>
#include <string>

#include "rt/rt.hpp"
#include "rt/sched.hpp"
#include "rt/stack.hpp"

namespace weft::rt {

namespace {

/// Copies what `attributes` say into `item`. Throws std::invalid_argument, std::bad_alloc.
void apply(g& item, const attr& attributes)
{
    const std::size_t size = attributes.stack_size;
    if (size < min_stack || size > max_stack)
        throw std::invalid_argument("weft::attr::stack_size is " + std::to_string(size) +
                                    (size > max_stack ? " (negative, or too large)" : "") +
                                    "; it must be from 16 KiB (16384) to 8 GiB (8589934592) bytes");
    item.stack_class = stack_class_of(size);
    if (attributes.pinned)
        item.flags |= g::pinned;
    if (!attributes.name.empty())
        item.extra = new g_extra{std::string(attributes.name)};
}

/// start_g() for those without a P.
void start_outside(g* item) noexcept
{
    item->id = sched.ids.fetch_add(1, base::memory_order_relaxed);
    sched.started_outside.fetch_add(1, base::memory_order_relaxed);
    sched.global.push(item);
    wake_if_needed();
}

}  // namespace

g* new_g()
{
    g* item;
    if (m* const self = this_m(); self != nullptr) [[likely]] {
        enter(*self);
        item = self->proc->gs.take();
        leave(*self);
    } else {
        ensure_started(options{});
        item = take_global_g();
    }
    if (item == nullptr)
        throw std::bad_alloc();
    if (sched.stopping.load(base::memory_order_relaxed)) [[unlikely]] {
        drop_g(item);
        throw std::runtime_error("weft: no goroutine can be started any more: the process is exiting");
    }
    return item;
}

void start_g(g* item, detail::task_body body, detail::storage_life life, const attr* attributes, const void* started_at)
{
    item->flags = g::no_stack;
    item->stack_class = default_stack_class;
    item->extra = nullptr;
    if (attributes != nullptr)
        apply(*item, *attributes);
    if (life == detail::storage_life::kept)
        item->flags |= g::kept;
    item->body = body;
    item->lock_depth = 0;
    item->started_at = started_at;
    item->move_to(g_state::idle, g_state::runnable);
    m* const self = this_m();
    if (self == nullptr) {
        start_outside(item);
        return;
    }
    enter(*self);
    p& proc = *self->proc;
    if (proc.next_id == proc.end_id) [[unlikely]] {
        constexpr std::uint64_t stock = 256;
        proc.next_id = sched.ids.fetch_add(stock, base::memory_order_relaxed);
        proc.end_id = proc.next_id + stock;
    }
    item->id = proc.next_id++;
    proc.started.add();
    push_fresh(proc, item);
    wake_if_needed();
    leave(*self);
}

void drop_inside(m& self, g* item) noexcept
{
    if (item->extra != nullptr) [[unlikely]] {
        delete item->extra;
        item->extra = nullptr;
    }
    item->state.store(g_state::idle, base::memory_order_relaxed);
    self.proc->gs.give(item);
}

void drop_g(g* item) noexcept
{
    if (m* const self = this_m(); self != nullptr) {
        enter(*self);
        drop_inside(*self, item);
        leave(*self);
        return;
    }
    delete item->extra;
    item->extra = nullptr;
    item->state.store(g_state::idle, base::memory_order_relaxed);
    give_global_g(item);
}

}  // namespace weft::rt
