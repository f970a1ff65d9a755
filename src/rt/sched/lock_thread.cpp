#include "rt/sched/lock_thread.hpp"

#include "rt/core/m.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/sched/switch.hpp"

namespace weft::rt {

void lock_thread() noexcept
{
    m* const self = this_m();
    if (self == nullptr)
        return;
    g* const me = self->current;
    if (me->lock_depth++ == 0) {
        me->home = self;
        me->flags |= g::locked;
        set_locked(*self, me);
    }
}

bool unlock_thread() noexcept
{
    m* const self = this_m();
    if (self == nullptr)
        return true;
    g* const me = self->current;
    if (me->lock_depth == 0)
        return false;
    if (--me->lock_depth == 0) {
        me->flags &= static_cast<std::uint8_t>(~(g::locked | g::pinned));
        set_locked(*self, nullptr);
    }
    return true;
}

}  // namespace weft::rt
