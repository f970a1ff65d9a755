#include "rt/core/current.hpp"

#include <cstdint>
#include <new>

#include "rt/core/m.hpp"
#include "rt/core/p.hpp"
#include "rt/core/thread_local.hpp"

namespace weft::rt {

g* current()
{
    if (const m* const self = this_m(); self != nullptr)
        return self->current;
    g* const item = this_thread_g();
    if (item == nullptr)
        throw std::bad_alloc();
    return item;
}

bool on_goroutine() noexcept
{
    const m* const self = this_m();
    return self != nullptr && self->current != nullptr;
}

const void* caller() noexcept
{
    const m* const self = this_m();
    return self != nullptr && self->current != nullptr ? self->current : this_thread_key();
}

std::size_t shard_hint() noexcept
{
    if (const m* const self = this_m(); self != nullptr)
        return self->proc->id;
    return reinterpret_cast<std::uintptr_t>(this_thread_key()) >> 12;  // thread-locals of two threads are pages apart
}

}  // namespace weft::rt
