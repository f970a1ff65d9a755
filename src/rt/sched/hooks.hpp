// What the scheduler calls of the rooms above it, on unlikely paths only. One constant table, defined in
// boot/hooks.cpp: this room names what it needs, and knows nothing of those that provide it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/timer.hpp"
#include "rt/core/wait_reason.hpp"
#include "weft/go.hpp"
#include "weft/runtime.hpp"

namespace weft::rt {

class bubble;

/// What a watching M makes of the moment (boot/deadlock.cpp).
enum class outlook : std::uint8_t {
    going_on,  ///< an M is busy, or a timer is armed: the M that goes idle last then, watches then
    unknown,   ///< all is quiet, but a plain thread may do something: look again
};

struct upward_hooks {
    // boot
    void (*ensure_started)(const options& opt);
    outlook (*look_for_deadlock)() noexcept;

    // services/hibernate
    void (*thaw)(g& item) noexcept;
    void (*nudge_hibernator)(std::int64_t now, bool last) noexcept;
    void (*expect_to_touch)(const void* object) noexcept;

    // report
    void (*observe_park)(m& self) noexcept;
    bool (*must_move)(m& self, const g* next) noexcept;
    detail::task_body (*measure_depth)(g& item, detail::task_body body);

    // services/bubble: for a goroutine with g::bubbled
    void (*bubble_park)(m& self, bool inside, g* me, commit_fn commit, void* argument, wait_reason why) noexcept;
    void (*bubble_ready)(m* self, g* item) noexcept;
    void (*bubble_point)(g* me, bool often) noexcept;
    std::uint32_t (*bubble_draw)(g* me, std::uint32_t n) noexcept;
    std::int64_t (*bubble_now)(const bubble& in) noexcept;
    timer_heap& (*bubble_timers)(bubble& in) noexcept;
    void (*bubble_prepare)(bubble& in, g* fresh);
    void (*bubble_start)(bubble& in, void* storage, detail::task_body body, detail::storage_life life,
                         const attr* attributes, const void* started_at);
    void (*bubble_retain)(bubble& in) noexcept;
    void (*bubble_release)(bubble& in) noexcept;
    void (*bubble_arm)(bubble& in, m* self, timer& alarm) noexcept;
};
WEFT_HIDDEN extern const upward_hooks hooks;

}  // namespace weft::rt
