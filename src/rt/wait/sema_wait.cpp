#include "rt/wait/sema_wait.hpp"

#include "rt/core/g.hpp"
#include "rt/core/timer.hpp"
#include "rt/core/wait_reason.hpp"
#include "rt/sched/park.hpp"
#include "rt/sched/ready.hpp"
#include "rt/wait/cancel.hpp"
#include "rt/wait/sema.hpp"
#include "rt/wait/wait_word.hpp"

namespace weft::rt {

namespace {

/// A wait with an alarm. `bucket` is null, or locked until the waiter's context is saved.
struct bounded_wait : deadline_wait {
    sema_waiter* me = nullptr;
    sema_bucket* bucket = nullptr;

    bool install() noexcept
    {
        // With a bucket, nobody who takes us once we are published lets us go before its lock is free: a grant needs
        // that lock, and we take it after any other end. Without one nothing of ours may be touched afterwards.
        sema_bucket* const locked = bucket;
        const bool published = me->word.publish();
        if (locked != nullptr)
            locked->unlock();
        return published;
    }
    static bool commit(g*, void* self) noexcept { return static_cast<bounded_wait*>(self)->install(); }
    static bool publish_it(deadline_wait& self) noexcept { return static_cast<bounded_wait&>(self).install(); }
    static g* expire_it(timer& alarm) noexcept
    {
        auto& self = static_cast<bounded_wait&>(deadline_wait::of_alarm(alarm));
        if (self.me->word.take(wait_state::timed_out) == wait_word::won::no)
            return nullptr;
        self.timed_out = true;
        return self.waiter;
    }
};

/// The hook of a wait that can be canceled, for as long as the wait lasts.
struct cancel_scope : cancel_hook {
    cancel_scope(sema_waiter& waiter, cancel_list* from) noexcept : me(&waiter), list(from)
    {
        if (list == nullptr)
            return;
        fire = [](cancel_hook& hook) noexcept { sema_cancel(*static_cast<cancel_scope&>(hook).me); };
        if (!list->add(*this))
            sema_cancel(*me);
    }
    cancel_scope(const cancel_scope&) = delete;
    cancel_scope& operator=(const cancel_scope&) = delete;
    ~cancel_scope()
    {
        if (list != nullptr)
            list->remove(*this);
    }

    sema_waiter* me;
    cancel_list* list;
};

void park_bounded(sema_waiter& me, sema_bucket* bucket, const wait_limit& limit, wait_reason why) noexcept
{
    const cancel_scope hook(me, limit.canceler);
    bounded_wait wait;
    wait.waiter = me.who;
    wait.me = &me;
    wait.bucket = bucket;
    if (limit.deadline == never) {
        park(me.who, &bounded_wait::commit, &wait, why);
        return;
    }
    wait.alarm.when = limit.deadline;
    wait.alarm.expire = &bounded_wait::expire_it;
    wait.publish = &bounded_wait::publish_it;
    (void)park_until(wait, why);  // the word says how it ended
}

}  // namespace

wait_state sema_wait(sema_bucket& bucket, sema_waiter& me, const wait_limit& limit, wait_reason why) noexcept
{
    if (limit.none()) {
        me.word.begin(wait_state::queued);
        park(me.who, &sema_bucket::unlock_commit, &bucket, why);
        return wait_state::granted;
    }
    me.word.begin(wait_state::preparing);
    park_bounded(me, &bucket, limit, why);
    const wait_state how = me.word.outcome();
    if (how != wait_state::granted)
        bucket.lock();
    return how;
}

wait_state sema_wait_unlocked(sema_waiter& me, const wait_limit& limit, wait_reason why) noexcept
{
    park_bounded(me, nullptr, limit, why);
    return me.word.outcome();
}

void sema_cancel(sema_waiter& me) noexcept
{
    g* const who = me.who;
    if (me.word.take(wait_state::canceled) == wait_word::won::parked)
        ready(who);
}

}  // namespace weft::rt
