// A wait with a deadline and a cancellation (src/rt/wait/wait_word.hpp, sema_wait.cpp; docs/design/sync.md): it ends
// once, by one of its wakers, is readied at most once and only when it has parked, and leaves its queue.
//
// All of it is the shipped code, over the modelled waist; the owner of the queue is a pot of tokens under the bucket's
// lock.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <new>

#include "rt/rt.hpp"

namespace {

using namespace weft::model;
namespace rt = weft::rt;
using rt::wait_state;
using rt::wait_word;

/// Tokens are handed to waiters in order; `left` are not, and are guarded by the bucket's lock.
struct pot : runtime {
    static constexpr int key = 0;
    plain<int> left{0};
    ghost<int> put_in{0};
    ghost<int> taken{0};
    plain<int> data{0};     ///< written before the first token is put in, read by who has one
    bool with_data = true;  ///< with one thread that puts in
    rt::cancel_list canceler;

    explicit pot(bool goroutines)
    {
        timers_fire = goroutines;
        ::new (&bucket()) rt::sema_bucket;  // an execution that was dropped has left its waiters there
        name(left, "left");
        name(canceler, "canceler");
    }
    static rt::sema_bucket& bucket() { return rt::sema_bucket::of(&key); }
    std::uint64_t fingerprint() const noexcept
    {
        std::uint64_t h = 0;
        for (const rt::sema_waiter* w = bucket().front(&key); w != nullptr; w = w->next)
            h = h * 8 + static_cast<std::uint64_t>(thread_of(w->who)) + 4;
        return h;
    }

    void put()
    {
        if (with_data && put_in.get() == 0)
            data.set(1);
        put_in.set(put_in.get() + 1);
        rt::g* woken = nullptr;
        bucket().lock();
        while (rt::sema_waiter* const w = bucket().pop_front(&key)) {
            rt::g* const who = w->who;
            if (w->grant() != wait_word::won::no) {
                woken = who;
                break;
            }
        }
        if (woken == nullptr)
            left.set(left.get() + 1);
        bucket().unlock();
        if (woken != nullptr)
            rt::ready(woken);
    }
    wait_state get(const rt::wait_limit& limit)
    {
        rt::sema_waiter me;
        me.who = rt::current();
        me.key = &key;
        bucket().lock();
        if (left.get() != 0) {
            left.set(left.get() - 1);
            bucket().unlock();
            return have();
        }
        bucket().push_back(me);
        const wait_state how = rt::sema_wait(bucket(), me, limit, rt::wait_reason::semaphore);
        if (how == wait_state::granted)
            return have();
        (void)bucket().remove(me);
        bucket().unlock();
        return how;
    }
    wait_state have()
    {
        check(!with_data || data.get() == 1, "what was done before the token was put in is seen");
        taken.set(taken.get() + 1);
        return wait_state::granted;
    }
    void end()
    {
        check(taken.get() + left.get() == put_in.get(), "a token was lost or doubled");
        check(bucket().front(&key) == nullptr, "somebody is queued");
    }
};

enum class role : std::uint8_t { none, putter, puts_twice, timed, cancelable, both, plain_waiter, canceler, timers };

struct cast {
    role roles[4];
    bool goroutines = true;
};

/// Four threads with a role each.
struct played : pot {
    static constexpr int threads = 4;
    cast what;
    explicit played(const cast& c) : pot(c.goroutines), what(c)
    {
        with_data = std::count(std::begin(c.roles), std::end(c.roles), role::putter) < 2;
    }
    void run(int thread)
    {
        switch (what.roles[thread]) {
            case role::none:
                break;
            case role::putter:
                put();
                break;
            case role::puts_twice:
                put();
                put();
                break;
            case role::timed:
                check(get({.deadline = 1}) != wait_state::canceled, "nobody cancels");
                break;
            case role::cancelable:
                check(get({.canceler = &canceler}) != wait_state::timed_out, "it has no deadline");
                break;
            case role::both:
                (void)get({.deadline = 1, .canceler = &canceler});
                break;
            case role::plain_waiter:
                (void)get({});
                break;
            case role::canceler:
                check(canceler.fire_all(rt::cancel_reason::canceled), "canceled once");
                break;
            case role::timers:
                if (what.goroutines)
                    fire_timers();
                break;
        }
    }
};

void explore_both(cast c, int preemptions)
{
    for (const bool goroutines : {true, false}) {
        c.goroutines = goroutines;
        EXPECT_EXPLORED(explore<played>({.preemptions = preemptions}, c));
    }
}

TEST(model_sema_wait, deadline_against_grant)
{
    explore_both({{role::putter, role::timed, role::timers, role::none}}, unbounded);
}

TEST(model_sema_wait, cancellation_against_grant)
{
    explore_both({{role::putter, role::cancelable, role::canceler, role::none}}, unbounded);
}

TEST(model_sema_wait, deadline_against_cancellation)
{
    explore_both({{role::both, role::canceler, role::timers, role::none}}, unbounded);
}

TEST(model_sema_wait, all_three)
{
    explore_both({{role::putter, role::both, role::canceler, role::timers}}, 3);
}

TEST(model_sema_wait, two_that_cancel_and_a_grant)
{
    explore_both({{role::cancelable, role::cancelable, role::canceler, role::putter}}, 2);
}

/// The one that gives up stands before one that does not: a token passes it.
TEST(model_sema_wait, passes_who_has_given_up)
{
    explore_both({{role::timed, role::plain_waiter, role::puts_twice, role::timers}}, 3);
    explore_both({{role::cancelable, role::canceler, role::putter, role::putter}}, 2);
}

}  // namespace
