#include "rt/sched/section.hpp"

#include "base/check.hpp"
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
claim::turn try_to_enter(m& self) noexcept
{
    constexpr int patience = 200;  // pauses, about 2-8 us: longer than a steal, shorter than a time slice
    for (;;) {
        switch (const claim::turn next = self.own.back_off(patience); next) {
            case claim::turn::retry:
                if (self.own.try_enter())
                    return next;
                break;
            case claim::turn::wait:
                sys::yield_thread();
                break;
            case claim::turn::gone:
            case claim::turn::stopped:
                return next;
            case claim::turn::forked:
                base::fatal(
                    "weft was used after fork(), in the child: of the threads that run goroutines only this one is "
                    "there; after fork() call only exec or _exit, or start processes before weft::run");
        }
    }
}

}  // namespace

void enter_slow(m& self) noexcept
{
    const claim::turn how = try_to_enter(self);
    if (how == claim::turn::stopped)
        stop_here();
    if (how == claim::turn::gone)
        get_p(self);
}

bool enter_to_leave_slow(m& self) noexcept
{
    return try_to_enter(self) == claim::turn::retry;
}

bool enter_with_p_slow(m& self) noexcept
{
    const claim::turn how = try_to_enter(self);
    if (how == claim::turn::stopped)
        stop_here();
    return how == claim::turn::retry;
}

}  // namespace weft::rt
