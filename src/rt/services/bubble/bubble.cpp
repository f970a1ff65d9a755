// docs/design/bubble.md: the counter, the jump of the clock, the turn of an exploration.
#include "rt/services/bubble/bubble.hpp"

#include <memory>
#include <stdexcept>
#include <utility>

#include "base/check.hpp"
#include "rt/core/bubble_member.hpp"
#include "rt/core/current.hpp"
#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/p.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/core/timer.hpp"
#include "rt/core/wait_reason.hpp"
#include "rt/sched/facts.hpp"
#include "rt/sched/hooks.hpp"
#include "rt/sched/park.hpp"
#include "rt/sched/plain_thread.hpp"
#include "rt/sched/ready.hpp"
#include "rt/sched/run_queues.hpp"
#include "rt/sched/scheduler.hpp"
#include "rt/sched/section.hpp"
#include "rt/sched/spawn.hpp"
#include "rt/sched/timekeeper.hpp"
#include "rt/sched/wake.hpp"
#include "rt/wait/sema.hpp"
#include "rt/wait/spawn_timer.hpp"
#include "sys/sanitizer.hpp"

namespace weft::rt {

namespace {

/// For commit functions: the M, if it has a P.
m* m_with_p() noexcept
{
    m* const self = this_m();
    return self->section.outside() ? nullptr : self;
}

// ns; midnight of 2000-01-01 in UTC where the epoch is 1970, as in Go's synctest. Far from any uptime, so that a
// deadline that was computed outside shows as one.
constexpr std::int64_t first_moment = 946'684'800'000'000'000;

/// Bubbles that somebody still points to, kept for good; reachable for leak checkers.
bubble* kept_bubbles[64];
std::size_t kept_count = 0;
sys::lock_word kept_lock;

/// What others must know while a bubble is there.
class presence {
public:
    explicit presence(bool explored) noexcept : explored_(explored)
    {
        sched.start_hooks.fetch_add(1, base::memory_order_relaxed);
        if (explored_)
            base::unusual.fetch_add(base::one_exploration, base::memory_order_relaxed);
    }
    ~presence()
    {
        sched.start_hooks.fetch_sub(1, base::memory_order_relaxed);
        if (explored_)
            base::unusual.fetch_sub(base::one_exploration, base::memory_order_relaxed);
    }
    presence(const presence&) = delete;
    presence& operator=(const presence&) = delete;

private:
    const bool explored_;
};

void keep(bubble* b) noexcept
{
    kept_lock.lock();
    kept_bubbles[kept_count++ % std::size(kept_bubbles)] = b;
    kept_lock.unlock();
}

void member_main(void* storage)
{
    // Not from `g` afterwards: once the body has returned, that may be somebody else's.
    struct at_end {
        bubble_member* member;
        ~at_end() { member->in->remove(member); }
    } const end{g::of_storage(storage)->member};
    try {
        end.member->body(storage);
    } catch (...) {
        std::exception_ptr what = std::current_exception();
        if (!what)
            throw;  // exit_goroutine() is no exception object, and goes on
        end.member->in->failed(std::move(what));
    }
}

bool is_member_of(const g& item, const bubble& b) noexcept
{
    return (item.flags & g::bubbled) != 0 && item.member->in == &b;
}

}  // namespace

/// What is to be done once the lock is released.
struct bubble::handing {
    g_list runnable;     ///< to the scheduler
    g* owner = nullptr;  ///< to be woken
};

bubble::bubble(const std::uint64_t* seed) noexcept
    : explored_(seed != nullptr), random_(seed != nullptr ? *seed : 0), now_(first_moment)
{
    // Some mistakes want many changes of turn, some want few at the right place.
    if (explored_)
        one_in_ = 2U << random_.below(4);
}

// --- members

void bubble::adopt(bubble_member& member) noexcept
{
    member.next = members_;
    if (members_ != nullptr)
        members_->previous = &member;
    members_ = &member;
    ++alive_;
    ++active_;
}

void bubble::prepare(g* fresh)
{
    fresh->member = new bubble_member{this, fresh, fresh->body};
    fresh->body = &member_main;
    fresh->flags |= static_cast<std::uint8_t>(explored_ ? g::bubbled | g::explored : g::bubbled);
}

void bubble::add(g* fresh) noexcept
{
    lock_.lock();
    adopt(*fresh->member);
    lock_.unlock();
}

/// A goroutine that a timer has started.
void bubble::admit(g* fresh, g_list& out) noexcept
{
    fresh->why.store(wait_reason::none, base::memory_order_relaxed);
    adopt(*fresh->member);
    make_runnable(fresh, out);
}

void bubble::start(m* self, g* fresh) noexcept
{
    handing out;
    lock_.lock();
    queue(fresh, out.runnable);
    advance(out);
    lock_.unlock();
    hand_over(self, out);
}

void bubble::remove(bubble_member* member) noexcept
{
    m* const self = begin_section_with_p();  // the clock may move on, and timers expire inside sections
    handing out;
    lock_.lock();
    if (member->next != nullptr)
        member->next->previous = member->previous;
    (member->previous != nullptr ? member->previous->next : members_) = member->next;
    --alive_;
    --active_;
    running_ = false;
    advance(out);
    lock_.unlock();
    hand_over(self, out);
    end_section(self);
    // The bubble may be gone.
    delete member;
}

void bubble::failed(std::exception_ptr what) noexcept
{
    lock_.lock();
    if (!failure_)
        failure_.swap(what);
    lock_.unlock();
}

// --- parking

struct bubble::parking {
    commit_fn commit;
    void* argument;
    bubble* in;
    bool durable;
};

bool bubble::commit_member(g* parked, void* argument) noexcept
{
    const parking p = *static_cast<const parking*>(argument);  // its frame may go with the next line
    if (!p.commit(parked, p.argument))
        return false;
    bubble& b = *p.in;
    handing out;
    b.lock_.lock();
    if (p.durable)
        --b.active_;
    b.running_ = false;
    b.advance(out);
    b.lock_.unlock();
    hand_over(m_with_p(), out);
    return true;
}

void bubble::park(m& self, bool inside, g* me, commit_fn commit, void* argument, wait_reason why) noexcept
{
    parking p{commit, argument, this, is_durable(why)};
    if (inside)
        switch_out(self, me, &commit_member, &p, why);
    else
        switch_out_without_p(self, me, &commit_member, &p, why);
}

void bubble::ready(m* self, g* item) noexcept
{
    handing out;
    lock_.lock();
    if (!deadlocked_) {  // else it is not to run again
        make_runnable(item, out.runnable);
        advance(out);
    }
    lock_.unlock();
    hand_over(self, out);
}

void bubble::make_runnable(g* item, g_list& out) noexcept
{
    end_wait_outside(item);
    if (!is_member_of(*item, *this)) {
        out.push_back(item);
        return;
    }
    if (is_durable(item->why.load(base::memory_order_relaxed)))
        ++active_;
    queue(item, out);
}

void bubble::queue(g* item, g_list& out) noexcept
{
    (explored_ ? runnable_ : out).push_back(item);
}

void bubble::hand_over(m* self, handing& out) noexcept
{
    if (out.runnable.empty() && out.owner == nullptr)
        return;
    m* const entered = self == nullptr ? begin_section_with_p() : nullptr;
    m* const here = self != nullptr ? self : entered;
    if (g* const owner = out.owner; owner != nullptr) {
        if ((owner->flags & g::a_thread) != 0) {
            ready_thread(owner);
        } else {
            end_wait_outside(owner);
            out.runnable.push_back(owner);
        }
    }
    if (here == nullptr || here->proc == nullptr)  // a plain thread, or the timekeeper, which has no P
        sched.global.push(out.runnable);
    else
        while (g* const item = out.runnable.pop_front())
            push_ready(*here->proc, item);
    wake_if_needed();
    end_section(entered);
}

// --- all blocked

void bubble::advance(handing& out) noexcept
{
    for (;;) {
        if (explored_) {
            if (running_)
                return;
            if (!runnable_.empty()) {
                out.runnable.push_back(take_runnable(random_.below(static_cast<std::uint32_t>(runnable_.size()))));
                running_ = true;
                return;
            }
        }
        if (active_ != 0 || over_)
            return;
        if (!settling_.empty()) {
            while (g* const item = settling_.pop_front())
                make_runnable(item, out.runnable);
        } else if (alive_ != 0 && timers_.earliest() != never) {
            fire(out.runnable);
        } else {
            over_ = true;
            deadlocked_ = alive_ != 0;
            out.owner = std::exchange(owner_, nullptr);
        }
    }
}

void bubble::fire(g_list& out) noexcept
{
    ++active_;  // us: nobody else finds that all are blocked
    const std::int64_t next = timers_.earliest();
    if (next > now())
        now_.store(next, base::memory_order_relaxed);
    lock_.unlock();  // what expires may take locks
    g_list woken;
    timers_.run_expired(now(), woken);
    lock_.lock();
    --active_;
    while (g* const item = woken.pop_front()) {
        if ((item->flags & g::no_stack) != 0)
            admit(item, out);
        else
            make_runnable(item, out);
    }
}

void bubble::arm_in_section(m* self, timer& alarm) noexcept
{
    if (alarm.when > now()) {
        timers_.lock();
        (void)timers_.arm(alarm);  // nobody sleeps until then: advance() looks
        timers_.unlock();
        return;
    }
    // Due already. It does not wait until all are blocked: somebody may run until it has done its work.
    handing out;
    lock_.lock();
    admit(alarm.expire(alarm), out.runnable);
    lock_.unlock();
    hand_over(self, out);
}

namespace {

struct settle_commit {
    sys::lock_word* lock;
    g_list* settling;
};

}  // namespace

void bubble::settle(g* me) noexcept
{
    settle_commit c{&lock_, &settling_};
    rt::park(
        me,
        [](g* parked, void* argument) noexcept
        {
            const settle_commit s = *static_cast<settle_commit*>(argument);
            s.lock->lock();
            s.settling->push_back(parked);
            s.lock->unlock();
            return true;
        },
        &c, wait_reason::settle);
}

// --- explorations

g* bubble::take_runnable(std::size_t at) noexcept
{
    g* before = nullptr;
    g* item = runnable_.front();
    for (; at > 0; --at) {
        before = item;
        item = item->next;
    }
    runnable_.erase_after(before, item);
    return item;
}

struct bubble::handover {
    bubble* in;
    g* next;
};

bool bubble::commit_handover(g* parked, void* argument) noexcept
{
    const handover t = *static_cast<const handover*>(argument);
    t.in->lock_.lock();
    end_wait_outside(parked);
    t.in->runnable_.push_back(parked);
    t.in->lock_.unlock();
    handing out;
    out.runnable.push_back(t.next);
    hand_over(this_m(), out);
    return true;
}

void bubble::point(g* me, bool often) noexcept
{
    handover t{this, nullptr};
    lock_.lock();
    if (const auto others = static_cast<std::uint32_t>(runnable_.size()); others != 0) {
        // A goroutine that yields may be what it waits for itself: it is one to choose from.
        const std::uint32_t at = often                         ? random_.below(others + 1)
                                 : random_.below(one_in_) == 0 ? random_.below(others)
                                                               : others;
        if (at != others)
            t.next = take_runnable(at);
    }
    lock_.unlock();
    if (t.next != nullptr)
        switch_out(*begin_section(), me, &commit_handover, &t, wait_reason::none);
}

std::uint32_t bubble::draw(std::uint32_t n) noexcept
{
    lock_.lock();
    const std::uint32_t drawn = random_.below(n);
    lock_.unlock();
    return drawn;
}

// --- the end

bool bubble::commit_wait(g* waiter, void* argument) noexcept
{
    bubble& b = *static_cast<bubble*>(argument);
    b.lock_.lock();
    const bool waits = !b.over_;
    if (waits)
        b.owner_ = waiter;
    b.lock_.unlock();
    return waits;
}

void bubble::wait_for_end() noexcept
{
    rt::park(rt::current(), &commit_wait, this, wait_reason::bubble);
}

/// They do not run again, and are not counted as goroutines any more. Their stacks stay: what they wait on may point
/// there. The table of waiters by address must not, since another object may come to lie at the same address.
void bubble::abandon_all()
{
    forget_waiters([](const g& who, void* b) noexcept { return is_member_of(who, *static_cast<bubble*>(b)); }, this);
    for (bubble_member* member = members_; member != nullptr; member = member->next) {
        g& who = *member->who;
        who.state.store(g_state::dead, base::memory_order_relaxed);
        sys::keep_reachable(who.ctx.sp, static_cast<std::size_t>(who.stack_top - static_cast<const char*>(who.ctx.sp)));
    }
    sched.readies_outside.fetch_add(alive_, base::memory_order_relaxed);
    sched.started_outside.fetch_sub(alive_, base::memory_order_relaxed);
}

/// With no member left, there are no waits, and what is armed would have started goroutines.
void bubble::drop_timers() noexcept
{
    while (timer* const alarm = timers_.disarm_earliest())
        (void)spawn_timer::call_of(*alarm);
}

bool bubble::take_end(bubble_end& end)
{
    end.failure = std::move(failure_);
    if (!deadlocked_)
        drop_timers();
    if (deadlocked_) {
        for (const bubble_member* member = members_; member != nullptr; member = member->next) {
            const g& who = *member->who;
            end.deadlock += "\n  goroutine " + std::to_string(who.id);
            if (who.extra != nullptr && !who.extra->name.empty())
                end.deadlock += " [" + who.extra->name + "]";
            end.deadlock += std::string(": ") + to_text(who.why.load(base::memory_order_relaxed));
        }
        abandon_all();
    }
    return deadlocked_;
}

bubble_end run_bubble(void (*body)(void*), void* argument, const std::uint64_t* seed)
{
    struct call {
        void (*body)(void*);
        void* argument;
    };
    if (on_goroutine() && (current()->flags & g::bubbled) != 0)
        throw std::logic_error("weft::testing: a bubble or an exploration was begun inside of another one");
    const presence here(seed != nullptr);
    struct releaser {
        void operator()(bubble* b) const noexcept { b->release(); }
    };
    std::unique_ptr<bubble, releaser> b(new bubble(seed));
    void* const storage = detail::task_new();
    ::new (storage) call{body, argument};
    try {
        start_in(
            *b, storage, [](void* s) { static_cast<call*>(s)->body(static_cast<call*>(s)->argument); },
            detail::storage_life::of_run, nullptr, reinterpret_cast<const void*>(body));
    } catch (...) {
        detail::task_drop(storage);
        throw;
    }
    b->wait_for_end();
    bubble_end end;
    if (b->take_end(end))
        keep(b.release());
    return end;
}

void start_in(bubble& in, void* storage, detail::task_body body, detail::storage_life life, const attr* attributes,
              const void* started_at)
{
    g* const item = g::of_storage(storage);
    prepare_goroutine(*item, hooks.measure_depth(*item, body), life, attributes, started_at);
    in.prepare(item);
    in.add(item);
    item->id = sched.ids.fetch_add(1, base::memory_order_relaxed);
    sched.started_outside.fetch_add(1, base::memory_order_relaxed);
    item->move_to(g_state::dead, g_state::runnable);
    m* const self = begin_section();
    in.start(self, item);
    end_section(self);
}

const bubble* callers_bubble() noexcept
{
    return bubble_of_caller();
}

void settle()
{
    g* const me = on_goroutine() ? current() : nullptr;
    if (me == nullptr || (me->flags & g::bubbled) == 0)
        throw std::logic_error("weft::testing::settle was called outside of a bubble");
    me->member->in->settle(me);
}

}  // namespace weft::rt
