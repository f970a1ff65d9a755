#include "rt/core/p.hpp"
#include "rt/rt.hpp"

namespace weft::rt {

std::size_t shard_hint() noexcept
{
    if (const m* const self = this_m(); self != nullptr)
        return self->proc->id;
    return reinterpret_cast<std::uintptr_t>(this_thread_key()) >> 12;  // thread-locals of two threads are pages apart
}

}  // namespace weft::rt
