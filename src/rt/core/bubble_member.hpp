// bubble_member: the place of a goroutine in its bubble (services/bubble), which g::member points to.
#pragma once

#include <cstdint>

#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/thread_local.hpp"

namespace weft::rt {

class bubble;

/// A goroutine's place in its bubble. Made when it starts, gone when its body has returned.
struct bubble_member {
    bubble* in;
    g* who;
    detail::task_body body;  ///< what g::body was; that is now the bubble's
    bubble_member* previous = nullptr;
    bubble_member* next = nullptr;
    std::uint32_t keeps_turn = 0;  ///< explored: how many no_explore_points (sched/facts.hpp) it is in
};

/// The bubble that the calling goroutine is in; null outside, and on plain threads.
[[nodiscard]] inline bubble* bubble_of_caller() noexcept
{
    const m* const self = this_m();
    const bool member = self != nullptr && self->current != nullptr && (self->current->flags & g::bubbled) != 0;
    return member ? self->current->member->in : nullptr;
}

}  // namespace weft::rt
