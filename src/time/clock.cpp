#include "weft/clock.hpp"

#include "rt/rt.hpp"

namespace weft {

clock::time_point clock::now() noexcept
{
    return time_point(duration(rt::now()));
}

namespace detail {

bool in_bubble() noexcept
{
    return rt::callers_bubble() != nullptr;
}

void sleep_until(std::chrono::nanoseconds deadline)
{
    if (deadline.count() <= rt::now())
        return;
    rt::deadline_wait wait;
    wait.waiter = rt::current();
    wait.alarm.when = deadline.count();
    wait.alarm.only_fires = true;  // nobody else knows of this wait
    wait.alarm.expire = [](rt::timer& alarm) noexcept
    {
        rt::deadline_wait& self = rt::deadline_wait::of_alarm(alarm);
        self.timed_out = true;
        return self.waiter;
    };
    wait.publish = [](rt::deadline_wait&) noexcept { return true; };
    rt::park_until(wait, rt::wait_reason::sleep);
}

}  // namespace detail
}  // namespace weft
