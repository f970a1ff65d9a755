// Cancellation (src/rt/wait/cancel.hpp): each hook fires or is removed, and is not touched afterwards; a waiter that
// can be canceled is readied once, whoever takes it, and misses no cancellation.
//
// The list is the shipped code. The waiter follows the steps at the head of that file.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "rt/wait/cancel.hpp"

namespace {

using namespace weft::model;
namespace rt = weft::rt;
using weft::base::atomic;
using weft::base::memory_order_acq_rel;
using weft::base::memory_order_acquire;
using weft::base::memory_order_relaxed;
using weft::base::memory_order_release;

/// A hook with a note of what has happened to it.
struct watched : rt::cancel_hook {
    plain<int> fired{0};  ///< read by its owner after remove(): ordered by that
    ghost<bool> gone{false};
    rt::cancel_list* removes_itself_from = nullptr;

    watched()
    {
        fire = [](rt::cancel_hook& hook) noexcept
        {
            auto& self = static_cast<watched&>(hook);
            check(!self.gone.get(), "a hook fires after it was removed");
            self.fired.set(self.fired.get() + 1);
            if (self.removes_itself_from != nullptr)
                self.removes_itself_from->remove(self);
            check(!self.gone.get(), "a hook was removed while it fires");
        };
    }
};

struct with_list : runtime {
    rt::cancel_list list;
    std::array<watched, 2> hooks;
    ghost<int> cancels{0};

    with_list()
    {
        name(list, "list");
        name(hooks[0].fired, "fired of 0");
        name(hooks[1].fired, "fired of 1");
    }
    std::uint64_t fingerprint() const noexcept
    {
        return (hooks[0].queued ? 1U : 0U) + (hooks[1].queued ? 2U : 0U) + (hooks[0].next == &hooks[1] ? 4U : 0U) +
               (hooks[1].next == &hooks[0] ? 8U : 0U);
    }
    /// The life of a hook; true: it has fired.
    bool add_and_remove(watched& hook)
    {
        if (!list.add(hook)) {
            check(list.reason() != rt::cancel_reason::none, "a hook is refused for no reason");
            check(hook.fired.get() == 0, "a refused hook has fired");
            return true;
        }
        list.remove(hook);
        hook.gone.set(true);
        check(hook.fired.get() <= 1, "a hook has fired twice");
        return hook.fired.get() == 1;
    }
    void cancel()
    {
        if (list.fire_all(rt::cancel_reason::canceled))
            cancels.set(cancels.get() + 1);
        check(list.reason() == rt::cancel_reason::canceled, "canceled, but one can't see it");
    }
};

/// Two hooks come and go while two threads cancel.
struct come_and_go : with_list {
    static constexpr int threads = 4;
    static const char* thread_name(int i) { return i < 2 ? "owner" : "canceler"; }
    void run(int thread)
    {
        if (thread < 2)
            (void)add_and_remove(hooks[static_cast<std::size_t>(thread)]);
        else
            cancel();
    }
    void end() { check(cancels.get() == 1, "exactly one has canceled"); }
};

TEST(model_cancel, hooks_come_and_go)
{
    EXPECT_EXPLORED(explore<come_and_go>({.preemptions = 3}));
}

/// A hook that is removed by its own fire(), and one that stays.
struct removed_inside : with_list {
    static constexpr int threads = 2;
    removed_inside()
    {
        hooks[0].removes_itself_from = &list;
        check(list.add(hooks[0]) && list.add(hooks[1]), "added");
    }
    void run(int thread)
    {
        if (thread == 0)
            return cancel();
        list.remove(hooks[0]);
        hooks[0].gone.set(true);
    }
    void end() { check(hooks[1].fired.get() == 1, "the other one has fired"); }
};

TEST(model_cancel, a_hook_may_remove_itself)
{
    EXPECT_EXPLORED(explore<removed_inside>({.preemptions = unbounded}));
}

/// One waits; one wakes it; one cancels. Without the waker it would wait for ever if it missed the cancellation.
template <bool WithWaker>
struct waits : runtime {
    static constexpr int threads = WithWaker ? 3 : 2;
    static const char* thread_name(int i) { return i == 0 ? "waiter" : i == 1 ? "canceler" : "waker"; }

    enum who : int { open, parked, woken, canceled };

    struct waiter : rt::cancel_hook {
        waits* self;
        atomic<int> word{open};
    };

    rt::cancel_list list;
    waiter w;
    plain<int> cause{0};
    atomic<bool> published{false};
    rt::g* waiting = nullptr;  ///< before it is published

    waits()
    {
        name(list, "list");
        name(w.word, "word");
        name(cause, "cause");
        w.self = this;
        w.fire = [](rt::cancel_hook& hook) noexcept
        {
            auto& it = static_cast<waiter&>(hook);
            it.self->win(canceled);
        };
    }
    std::uint64_t fingerprint() const noexcept { return w.queued ? 1 : 0; }

    void win(who by)
    {
        int seen = w.word.load(memory_order_relaxed);
        do {
            if (seen == woken || seen == canceled)
                return;
        } while (!w.word.compare_exchange_strong(seen, by, memory_order_acq_rel, memory_order_relaxed));
        if (seen == parked)
            ready(waiting);
    }
    void wait()
    {
        waiting = current();
        if (!list.add(w)) {
            check(cause.get() == 1, "the cause is there");
            return;
        }
        const auto commit = [](rt::g*, void* argument) noexcept
        {
            auto& self = *static_cast<waits*>(argument);
            self.published.store(true, memory_order_release);
            int seen = open;
            return self.w.word.compare_exchange_strong(seen, parked, memory_order_acq_rel, memory_order_acquire);
        };
        park(waiting, commit, this);
        list.remove(w);
        const int won = w.word.load(memory_order_acquire);
        check(won == woken || won == canceled, "woken by nobody");
        if (won == canceled)
            check(list.reason() == rt::cancel_reason::canceled && cause.get() == 1, "canceled, and the cause is there");
    }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                wait();
                break;
            case 1: {
                const auto record = [](void* self) noexcept { static_cast<waits*>(self)->cause.set(1); };
                (void)list.fire_all(rt::cancel_reason::canceled, record, this);
                break;
            }
            default:
                if (published.load(memory_order_acquire))
                    win(woken);
        }
    }
};

TEST(model_cancel, a_waiter_misses_no_cancellation)
{
    EXPECT_EXPLORED(explore<waits<false>>({.preemptions = unbounded}));
}

TEST(model_cancel, a_waiter_is_taken_once)
{
    EXPECT_EXPLORED(explore<waits<true>>({.preemptions = 4}));
}

}  // namespace
