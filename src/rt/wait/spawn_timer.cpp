#include "rt/wait/spawn_timer.hpp"

#include "base/check.hpp"
#include "rt/core/bubble_member.hpp"
#include "rt/sched/hooks.hpp"

namespace weft::rt {

bubble_ref::bubble_ref() noexcept : in_(bubble_of_caller())
{
    if (in_ != nullptr)
        hooks.bubble_retain(*in_);
}

bubble_ref::~bubble_ref()
{
    if (in_ != nullptr)
        hooks.bubble_release(*in_);
}

void spawn_timer::arm_in_bubble(m* self) noexcept
{
    base::check(in_.get() == bubble_of_caller(), "a timer is armed in the bubble it belongs to");
    hooks.bubble_arm(*in_.get(), self, alarm_);
}

}  // namespace weft::rt
