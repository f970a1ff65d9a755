#include "rt/sched/section.hpp"

#include "base/check.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/sched/retake.hpp"
#include "sys/futex.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

void stop_here() noexcept
{
    this_m()->stopped.store(true, base::memory_order_release);
    for (const base::atomic<std::uint32_t> forever{0};;)
        sys::futex_wait(forever, 0);
}

namespace {

/// Ends with the section begun, or with the reason why that can't be.
section_word::next_step try_to_enter(m& self) noexcept
{
    constexpr int patience = 200;  // pauses, about 2-8 us: longer than a steal, shorter than a time slice
    for (;;) {
        switch (const section_word::next_step next = self.section.back_off(patience); next) {
            case section_word::next_step::retry:
                if (self.section.try_enter())
                    return next;
                break;
            case section_word::next_step::wait:
                sys::yield_thread();
                break;
            case section_word::next_step::gone:
            case section_word::next_step::stopped:
                return next;
            case section_word::next_step::forked:
                base::fatal(
                    "weft was used after fork(), in the child: of the threads that run goroutines only this one is "
                    "there; after fork() call only exec or _exit, or start processes before weft::run");
        }
    }
}

}  // namespace

void enter_slow(m& self) noexcept
{
    const section_word::next_step how = try_to_enter(self);
    if (how == section_word::next_step::stopped)
        stop_here();
    if (how == section_word::next_step::gone)
        get_p(self);
}

bool enter_to_leave_slow(m& self) noexcept
{
    return try_to_enter(self) == section_word::next_step::retry;
}

bool enter_with_p_slow(m& self) noexcept
{
    const section_word::next_step how = try_to_enter(self);
    if (how == section_word::next_step::stopped)
        stop_here();
    return how == section_word::next_step::retry;
}

}  // namespace weft::rt
