#include "rt/sched/facts.hpp"

#include "base/cpu.hpp"
#include "base/rand.hpp"
#include "rt/core/bubble_member.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/scheduler.hpp"
#include "sys/clock.hpp"
#include "weft/detail/explore.hpp"

namespace weft::rt {

std::uint32_t random_below(m* self, std::uint32_t n) noexcept
{
    if (self != nullptr) {
        if (base::exploring() && (self->current->flags & g::explored) != 0) [[unlikely]]
            return hooks.bubble_draw(self->current, n);
        return self->random.below(n);
    }
    static base::atomic<std::uint64_t> drawn{0};
    return base::rand(static_cast<std::uint64_t>(sys::monotonic_now()) + drawn.fetch_add(1, base::memory_order_relaxed))
        .below(n);
}

bool worth_spinning() noexcept
{
    const m* const self = this_m();
    if (base::exploring() && self != nullptr && (self->current->flags & g::explored) != 0)
        return false;  // whoever could end the wait does not run meanwhile
    return sched.procs.load(base::memory_order_relaxed) > 1 && (self == nullptr || !self->proc->has_work());
}

bubble_member* no_explore_points::begin() noexcept
{
    const m* const self = this_m();
    g* const me = self != nullptr ? self->current : nullptr;
    if (me == nullptr || (me->flags & (g::explored | g::a_thread)) != g::explored)
        return nullptr;
    ++me->member->keeps_turn;
    return me->member;
}

void no_explore_points::end() noexcept
{
    --member_->keeps_turn;
}

std::int64_t now() noexcept
{
    bubble* const b = bubble_of_caller();
    return b != nullptr ? hooks.bubble_now(*b) : sys::monotonic_now();
}

}  // namespace weft::rt

namespace weft::detail {

void explore_point_slow() noexcept
{
    const rt::m* const self = rt::this_m();
    rt::g* const me = self != nullptr ? self->current : nullptr;
    if (me != nullptr && (me->flags & (rt::g::explored | rt::g::a_thread)) == rt::g::explored &&
        me->member->keeps_turn == 0)
        rt::hooks.bubble_point(me, false);
}

}  // namespace weft::detail
