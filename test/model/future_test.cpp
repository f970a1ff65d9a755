// A future's meeting word (include/weft/detail/task.hpp, src/task/future.cpp): the shared state is released exactly
// once, by whoever comes second, and not touched afterwards; the waiter is woken exactly once; the result is ordered
// before it is read.
//
// The word and its waits are the shipped code, over the modelled waist; around them the steps of future<R> and
// result_of<R> (include/weft/future.hpp).
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <new>
#include <stdexcept>

#include "task/future.cpp"

namespace {

using namespace weft::model;
using weft::detail::meeting;

/// What a goroutine shares with its future.
struct shared_state {
    meeting met;
    plain<int> result{0};
};

struct with_state : runtime {
    alignas(shared_state) std::array<std::byte, sizeof(shared_state)> room;
    ghost<int> releases{0};

    with_state()
    {
        auto* const state = ::new (&room) shared_state;
        name(state->met, "meeting");
        name(state->result, "result");
    }
    shared_state& state() { return *std::launder(reinterpret_cast<shared_state*>(&room)); }
    void release()
    {
        releases.set(releases.get() + 1);
        check(releases.get() == 1, "released twice");
        state().~shared_state();
    }
    /// The goroutine: result_of<R>::run().
    void complete()
    {
        state().result.set(42);
        if (!state().met.complete())
            release();
    }
    /// ~future().
    void drop()
    {
        if (state().met.abandon())
            release();
    }
    void read() { check(state().result.get() == 42, "the result is there"); }
    void get()
    {
        if (!state().met.ready())
            state().met.wait();
        read();
        drop();
    }
    bool wait_for() { return state().met.ready() || state().met.wait_until(std::chrono::nanoseconds(1)); }

    void end() { check(releases.get() == 1, "not released"); }
};

/// Runs the goroutine on thread 0, the future's side on thread 1 and timers on the last.
template <class P>
struct two_sides : with_state {
    static constexpr int threads = 3;
    static const char* thread_name(int i) { return i == 0 ? "goroutine" : i == 1 ? "future" : "timers"; }
    explicit two_sides(bool goroutine_waits) { timers_fire = goroutine_waits; }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                complete();
                break;
            case 1:
                static_cast<P*>(this)->future_side();
                break;
            default:
                fire_timers();
        }
    }
};

struct gets : two_sides<gets> {
    using two_sides::two_sides;
    void future_side() { get(); }
};

struct drops : two_sides<drops> {
    using two_sides::two_sides;
    void future_side() { drop(); }
};

struct waits_then_drops : two_sides<waits_then_drops> {
    using two_sides::two_sides;
    void future_side()
    {
        if (wait_for())
            read();
        drop();
    }
};

struct waits_twice_then_gets : two_sides<waits_twice_then_gets> {
    using two_sides::two_sides;
    void future_side()
    {
        if (!wait_for() && !wait_for())
            return get();
        read();
        drop();
    }
};

template <class P>
void explore_all_ways()
{
    for (const bool goroutine_waits : {true, false}) {
        EXPECT_EXPLORED(explore<P>({.preemptions = unbounded}, goroutine_waits));
        EXPECT_EXPLORED(explore<P>({.preemptions = unbounded, .membarrier = false}, goroutine_waits));
    }
}

TEST(model_future, get)
{
    explore_all_ways<gets>();
}

TEST(model_future, drop)
{
    explore_all_ways<drops>();
}

TEST(model_future, wait_for_then_drop)
{
    explore_all_ways<waits_then_drops>();
}

TEST(model_future, wait_for_twice_then_get)
{
    explore_all_ways<waits_twice_then_gets>();
}

/// Two threads wait on one future: one of them at least succeeds, a refused one is told so, and neither hangs.
struct two_waiters : with_state {
    static constexpr int threads = 4;
    ghost<int> got{0};
    weft::base::atomic<int> left{2};

    void run(int thread)
    {
        if (thread == 0)
            return complete();
        if (thread == 3)
            return fire_timers();
        try {
            if (thread == 1)
                state().met.wait();
            if (thread == 1 || wait_for()) {
                read();
                got.set(got.get() + 1);
            }
        } catch (const std::logic_error&) {
        }
        if (left.fetch_sub(1, weft::base::memory_order_acq_rel) == 1)
            drop();
    }
};

TEST(model_future, a_second_waiter_is_refused)
{
    EXPECT_EXPLORED(explore<two_waiters>({.preemptions = 3}));
}

}  // namespace
