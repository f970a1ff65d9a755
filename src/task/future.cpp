// The meeting of a future with its goroutine; the word's states are in weft/detail/task.hpp.
#include "weft/future.hpp"

#include <stdexcept>

#include "rt/rt.hpp"

namespace weft::detail {

/// Both ways to wait: what is published is the address of the waiter's g.
struct meeting_park : rt::deadline_wait {
    meeting* met = nullptr;
    bool taken = false;  ///< somebody else waits already

    bool install() noexcept
    {
        std::uintptr_t seen = meeting::pending;
        // Release: whoever reads our address sees our saved context. Acquire: of the result, when that has come first.
        if (met->word_.compare_exchange_strong(seen, reinterpret_cast<std::uintptr_t>(waiter),
                                               base::memory_order_acq_rel, base::memory_order_acquire))
            return true;
        // From here on we own ourselves still: the fields below are safe to write.
        taken = seen != meeting::done;
        return false;
    }
    static bool commit(rt::g*, void* self) noexcept { return static_cast<meeting_park*>(self)->install(); }
    static bool publish_it(rt::deadline_wait& self) noexcept { return static_cast<meeting_park&>(self).install(); }
    static rt::g* expire_it(rt::timer& alarm) noexcept
    {
        auto& self = static_cast<meeting_park&>(rt::deadline_wait::of_alarm(alarm));
        auto seen = reinterpret_cast<std::uintptr_t>(self.waiter);
        if (!self.met->word_.compare_exchange_strong(seen, meeting::pending, base::memory_order_acq_rel,
                                                     base::memory_order_relaxed))
            return nullptr;
        self.timed_out = true;
        return self.waiter;
    }
    void refuse_second() const
    {
        if (taken)
            throw std::logic_error(
                "weft::future: another goroutine or thread waits on this future already; only one may");
    }
};

void meeting::wait()
{
    meeting_park park;
    park.waiter = rt::current();
    park.met = this;
    rt::park(park.waiter, &meeting_park::commit, &park, rt::wait_reason::future);
    park.refuse_second();
}

bool meeting::wait_until(std::chrono::nanoseconds deadline)
{
    meeting_park park;
    park.waiter = rt::current();
    park.met = this;
    park.alarm.when = deadline.count();
    park.alarm.expire = &meeting_park::expire_it;
    park.publish = &meeting_park::publish_it;
    const bool readied = rt::park_until(park, rt::wait_reason::future);
    park.refuse_second();
    return readied;
}

void meeting::wake(std::uintptr_t waiter) noexcept
{
    rt::ready_by_ending(reinterpret_cast<rt::g*>(waiter));
}

}  // namespace weft::detail
