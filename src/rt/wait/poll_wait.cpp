#include "rt/wait/poll_wait.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "rt/core/current.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/park.hpp"
#include "rt/sched/ready.hpp"
#include "rt/sched/timekeeper.hpp"

namespace weft::rt {

namespace {

/// A plain thread relies on the runtime to poll for it. Returns an errno.
int start_runtime() noexcept
{
    try {
        hooks.ensure_started(options{});
        return 0;
    } catch (const std::system_error& e) {
        return e.code().value();
    } catch (...) {
        return ENOMEM;
    }
}

/// A commit_fn for a wait without a deadline.
template <poll_side S>
WEFT_HOT bool publish_forever(g* who, void* desc) noexcept
{
    return static_cast<poll_desc*>(desc)->publish(who, S, never);
}

WEFT_ALWAYS_INLINE commit_fn forever(poll_side s) noexcept
{
    return s == poll_side::read ? &publish_forever<poll_side::read> : &publish_forever<poll_side::write>;
}

struct timed_parking : deadline_wait {
    poll_desc* desc = nullptr;
    poll_side s = poll_side::read;
    std::int64_t deadline = never;  ///< of the side; the alarm may be set to less

    static bool publish_it(deadline_wait& self) noexcept
    {
        const auto& w = static_cast<const timed_parking&>(self);
        return w.desc->publish(w.waiter, w.s, w.deadline);
    }
    static g* expire_it(timer& alarm) noexcept
    {
        auto& w = static_cast<timed_parking&>(deadline_wait::of_alarm(alarm));
        if (!w.desc->take_back(w.waiter, w.s))
            return nullptr;
        w.timed_out = true;
        return w.waiter;
    }
};

/// Whether the caller need not park: 0, an errno, or -1: it must.
int known_outcome(poll_desc& desc, poll_side s, std::int64_t until) noexcept
{
    if (desc.evicted())
        return ECANCELED;
    if (desc.take_ready(s))
        return 0;
    return until != never && until <= now() ? ETIMEDOUT : -1;
}

// W4. The word may be nil though something has happened: the caller is to look, whatever has woken it.
int how_ended(const poll_desc& desc, poll_side s) noexcept
{
    return desc.evicted() ? ECANCELED : poll_deadline_passed(desc, s) ? ETIMEDOUT : 0;
}

/// Has the kernel tell of the side: 0 or an errno.
int ask(poll_desc& desc, poll_side s) noexcept
{
    if (desc.asked(s))
        return 0;
    if (!netpoll::is_open() && !on_goroutine())
        if (const int error = start_runtime(); error != 0)
            return error;
    const poll_desc::answer told = desc.ask(s);
    if (told.first)
        poke_timekeeper();
    return told.error;
}

void park_until(poll_desc& desc, g* me, poll_side s, std::int64_t deadline, std::int64_t end) noexcept
{
    if (end == never) {
        park(me, forever(s), &desc, wait_reason::io);
        return;
    }
    timed_parking w;
    w.waiter = me;
    w.desc = &desc;
    w.s = s;
    w.deadline = deadline;
    w.alarm.when = end;
    w.alarm.expire = &timed_parking::expire_it;
    w.publish = &timed_parking::publish_it;
    (void)rt::park_until(w, wait_reason::io);
}

/// What stands for the caller. Null: no memory.
g* try_current() noexcept
{
    try {
        return current();
    } catch (...) {
        return nullptr;
    }
}

int wait_until(poll_desc& desc, poll_side s, std::int64_t end) noexcept
{
    g* const me = try_current();
    if (me == nullptr)
        return ENOMEM;
    const std::int64_t until = desc.begin_wait(s);
    if (const int how = known_outcome(desc, s, until); how >= 0)  // W1
        return how;
    if (const int error = ask(desc, s); error != 0)
        return error;
    park_until(desc, me, s, until, std::min(until, end));
    return how_ended(desc, s);
}

void wake(poll_desc& desc, poll_side s) noexcept
{
    if (g* const waiter = desc.take(s))
        ready(waiter);
}

}  // namespace

// Not inlined, for this_m_inline(): not by link-time optimisation either.
WEFT_HOT WEFT_NOINLINE int poll_wait(poll_desc& desc, poll_side s) noexcept
{
    m* const self = this_m_inline();
    if (self == nullptr || !desc.may_park(s)) [[unlikely]]
        return wait_until(desc, s, never);
    park(self->current, forever(s), &desc, wait_reason::io);
    return how_ended(desc, s);
}

int poll_wait_for(poll_desc& desc, poll_side s, std::int64_t time) noexcept
{
    return wait_until(desc, s, now() + time);
}

int poll_pause(poll_desc& desc, poll_side s, std::int64_t time) noexcept
{
    g* const me = try_current();
    if (me == nullptr)
        return ENOMEM;
    for (const std::int64_t end = now() + time;;) {
        const std::int64_t until = desc.begin_wait(s);
        const int how = known_outcome(desc, s, until);
        if (how > 0)
            return how;
        if (now() >= end)
            return 0;
        park_until(desc, me, s, until, std::min(until, end));
    }
}

void set_poll_deadline(poll_desc& desc, poll_side s, std::int64_t when) noexcept
{
    desc.store_deadline(s, when);  // D1
    wake(desc, s);                 // D2
}

void evict_waiters(poll_desc& desc) noexcept
{
    desc.forbid_waits();          // C1
    wake(desc, poll_side::read);  // C2
    wake(desc, poll_side::write);
}

}  // namespace weft::rt
