// The rooms above the scheduler, as it calls them.
#include "rt/sched/hooks.hpp"

#include "rt/boot/boot.hpp"
#include "rt/boot/deadlock.hpp"
#include "rt/report/observer.hpp"
#include "rt/report/stack_depth.hpp"
#include "rt/services/bubble/bubble.hpp"
#include "rt/services/hibernate/hibernate.hpp"
#include "rt/services/hibernate/hibernator.hpp"
#include "rt/services/scavenger.hpp"
#include "rt/stack/scavenging.hpp"

namespace weft::rt {

constinit const upward_hooks hooks{
    .ensure_started = &ensure_started,
    .look_for_deadlock = &look_for_deadlock,
    .thaw = &thaw,
    .nudge_hibernator = &nudge_hibernator,
    .expect_to_touch = &expect_to_touch,
    .observe_park = &observe_park,
    .must_move = &must_move,
    .measure_depth = &measure_depth,
    .bubble_park = [](m& self, bool inside, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
    { me->member->in->park(self, inside, me, commit, argument, why); },
    .bubble_ready = [](m* self, g* item) noexcept { item->member->in->ready(self, item); },
    .bubble_point = [](g* me, bool often) noexcept { me->member->in->point(me, often); },
    .bubble_draw = [](g* me, std::uint32_t n) noexcept { return me->member->in->draw(n); },
    .bubble_now = [](const bubble& in) noexcept { return in.now(); },
    .bubble_timers = [](bubble& in) noexcept -> timer_heap& { return in.timers(); },
    .bubble_prepare = [](bubble& in, g* fresh) { in.prepare(fresh); },
    .bubble_start = &start_in,
    .bubble_retain = [](bubble& in) noexcept { in.retain(); },
    .bubble_release = [](bubble& in) noexcept { in.release(); },
    .bubble_arm = [](bubble& in, m* self, timer& alarm) noexcept { in.arm_in_section(self, alarm); },
};

constinit const memory_hooks above_stacks{.wake_scavenger = &wake_scavenger_slow, .relieve = &relieve_slow};

}  // namespace weft::rt
