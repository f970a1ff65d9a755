// Timers that deliver (src/rt/core/timer.hpp, src/time/timer.cpp; docs/design/timers.md): stop and reset against Ms
// that fire the heap, its owner and thieves. Nothing of before a stop or a reset is received after it, nothing is lost
// or delivered twice, and no goroutine that was held for an expiry is started twice or forgotten.
//
// The heap is the shipped code; the steps of weft::detail::timed are transcribed, with their names.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace weft::base {
/// disarm() spins until the firing is over: here it is scheduled again when something has changed.
inline void model_pause() noexcept
{
    model::yield_hint();
}
}  // namespace weft::base
namespace std {
/// The heap's memory: one place, so that dropped executions leave nothing behind.
inline void* model_aligned_alloc(size_t alignment, size_t bytes) noexcept
{
    alignas(64) static std::array<std::byte, 4096> room;
    return alignment <= 64 && bytes <= room.size() ? room.data() : nullptr;
}
inline void model_free(void*) noexcept {}
}  // namespace std
#define pause model_pause
#define aligned_alloc model_aligned_alloc
#define free model_free
#include "rt/core/timer.cpp"
#undef pause
#undef aligned_alloc
#undef free

namespace {

using namespace weft::model;
namespace rt = weft::rt;
using weft::base::atomic;
using weft::base::memory_order_acq_rel;
using weft::base::memory_order_acquire;
using weft::base::memory_order_relaxed;

enum class omit { nothing, drain, wait_for_delivery, generation, armed };

template <unsigned Generations>
struct timed : runtime {
    static constexpr int threads = 3;
    static const char* thread_name(int i) { return i == 0 ? "owner" : i == 1 ? "M" : "thief"; }
    static constexpr std::int64_t now = 10;

    struct spawn_timer : rt::timer {
        timed* of;
        plain<int> call{0};  ///< the generation for which a goroutine is held; 0: none
    };

    rt::timer_heap heap;
    spawn_timer alarm;
    std::array<rt::g, std::size_t{Generations} + 1> goroutines{};
    lock guard;
    atomic<int> generation{0};
    atomic<bool> delivering{false};
    atomic<int> value{0};  ///< the channel: the generation that has sent, 0: empty
    std::array<ghost<int>, std::size_t{Generations} + 1> started{};
    std::array<ghost<int>, std::size_t{Generations} + 1> dropped{};
    omit without;
    bool repeats = false;

    explicit timed(omit what) : without(what)
    {
        name(heap, "heap");
        name(alarm.state, "alarm state");
        name(guard, "lock");
        name(generation, "generation");
        name(delivering, "delivering");
        name(value, "channel");
        alarm.of = this;
        alarm.expire = [](rt::timer& t) noexcept
        {
            auto& self = static_cast<spawn_timer&>(t);
            const int call = self.call.get();
            check(call != 0, "a timer expires without a goroutine");
            self.call.set(0);
            return &self.of->goroutines[static_cast<std::size_t>(call)];
        };
    }
    std::uint64_t fingerprint() const noexcept { return static_cast<std::uint64_t>(alarm.when); }

    // -- an M that fires

    void fire()
    {
        rt::g_list out;
        heap.run_expired(now, out);
        while (rt::g* const item = out.pop_front())
            deliver(static_cast<int>(item - goroutines.data()));
    }
    void deliver(int mine)
    {
        ghost<int>& starts = started[static_cast<std::size_t>(mine)];
        starts.set(starts.get() + 1);
        check(repeats || starts.get() == 1, "a goroutine is started twice");
        guard.acquire();
        const bool current = mine == generation.load(memory_order_relaxed);
        if (current)
            delivering.store(true, memory_order_relaxed);
        guard.release();
        if (!current && without != omit::generation)
            return;
        int empty = 0;
        (void)value.compare_exchange_strong(empty, mine, memory_order_acq_rel, memory_order_relaxed);
        guard.acquire();
        delivering.store(false, memory_order_relaxed);
        if (repeats && mine == generation.load(memory_order_relaxed))
            arm(mine, now + 5);
        guard.release();
    }

    // -- its owner; stop() and reset() exclude each other

    void arm(int call, std::int64_t when)
    {
        alarm.when = when;
        alarm.call.set(call);
        heap.lock();
        (void)heap.arm(alarm);
        heap.unlock();
    }
    void take_back()
    {
        guard.acquire();
        generation.store(generation.load(memory_order_relaxed) + 1, memory_order_relaxed);
        if (rt::timer_heap::disarm(alarm)) {
            const int call = alarm.call.get();
            check(call != 0, "an armed timer without a goroutine");
            alarm.call.set(0);
            dropped[static_cast<std::size_t>(call)].set(1);
        }
        bool sending = delivering.load(memory_order_relaxed);
        guard.release();
        while (sending && without != omit::wait_for_delivery) {
            yield_hint();
            guard.acquire();
            sending = delivering.load(memory_order_relaxed);
            guard.release();
        }
        if (without != omit::drain)
            (void)value.exchange(0, memory_order_acq_rel);
    }
    void reset(std::int64_t when)
    {
        guard.acquire();
        const bool put_off = rt::timer_heap::put_off(alarm, when) || without == omit::armed;
        guard.release();
        if (!put_off)
            take_back_and_arm(when);
    }
    void take_back_and_arm(std::int64_t when)
    {
        take_back();
        guard.acquire();
        const int next = generation.load(memory_order_relaxed) + 1;
        generation.store(next, memory_order_relaxed);
        arm(next, when);
        guard.release();
    }
    void check_silence() { check(value.load(memory_order_acquire) == 0, "a value of before"); }

    /// When all is over: everything that is still armed fires.
    void settle()
    {
        rt::g_list out;
        heap.run_expired(rt::never - 1, out);
        while (rt::g* const item = out.pop_front())
            deliver(static_cast<int>(item - goroutines.data()));
        check(heap.size() == 0 || repeats, "the heap is not empty");
    }
};

/// Armed, stopped, and silent.
struct stopped : timed<2> {
    explicit stopped(omit what) : timed(what) { take_back_and_arm(5); }
    void run(int thread)
    {
        if (thread != 0)
            return fire();
        take_back();
        check_silence();
    }
    void end()
    {
        check(value.load() == 0, "a value of before");
        check(heap.size() == 0, "the heap is empty");
        check(started[2].get() + dropped[2].get() == 1, "its goroutine has started or was dropped");
    }
};

TEST(model_timer, stop)
{
    EXPECT_EXPLORED(explore<stopped>({.preemptions = unbounded}, omit::nothing));
    EXPECT_BROKEN("a value of before", explore<stopped>({}, omit::drain));
    EXPECT_BROKEN("a value of before", explore<stopped>({}, omit::wait_for_delivery));
    EXPECT_BROKEN("a value of before", explore<stopped>({}, omit::generation));
}

/// Armed, and reset while Ms fire it: only what the reset has asked for comes, once.
struct was_reset : timed<4> {
    explicit was_reset(omit what) : timed(what) { take_back_and_arm(5); }
    void run(int thread)
    {
        if (thread != 0)
            return fire();
        take_back_and_arm(6);
        const int seen = value.load(memory_order_acquire);
        check(seen == 0 || seen == 4, "a value of before");
    }
    void end()
    {
        settle();
        check(value.load() == 4, "the value is lost");
        check(started[2].get() + dropped[2].get() == 1, "the first goroutine has started or was dropped");
        check(started[4].get() == 1, "the second one has started once");
    }
};

TEST(model_timer, reset)
{
    EXPECT_EXPLORED(explore<was_reset>({.preemptions = 4}, omit::nothing));
    EXPECT_BROKEN("the value is lost", explore<was_reset>({}, omit::wait_for_delivery));
}

/// Armed, and reset to a time that has not come while Ms fire it: nothing comes until then, and then it comes once. In
/// the same step where it still waits, with the goroutine of before; else with another one.
struct was_put_off : timed<4> {
    explicit was_put_off(omit what) : timed(what) { take_back_and_arm(5); }
    void run(int thread)
    {
        if (thread != 0)
            return fire();
        reset(now + 5);
        check_silence();
    }
    void end()
    {
        check(value.load() == 0, "a value of before");
        settle();
        const bool first = value.load() == 2;
        check(first || value.load() == 4, "the value is lost");
        check(started[2].get() + dropped[2].get() == 1, "the first goroutine has started or was dropped");
        check(started[4].get() == (first ? 0 : 1), "it comes once");
    }
};

TEST(model_timer, put_off)
{
    EXPECT_EXPLORED(explore<was_put_off>({.preemptions = 4}, omit::nothing));
    EXPECT_BROKEN("a value of before", explore<was_put_off>({}, omit::armed));
}

/// A ticker, which its goroutine arms again, is stopped.
struct ticks : timed<2> {
    explicit ticks(omit what) : timed(what)
    {
        repeats = true;
        take_back_and_arm(5);
    }
    void run(int thread)
    {
        if (thread != 0)
            return fire();
        take_back();
        check_silence();
    }
    void end()
    {
        check(value.load() == 0, "a value of before");
        check(heap.size() == 0, "a stopped ticker is armed");
    }
};

TEST(model_timer, a_ticker_stops)
{
    EXPECT_EXPLORED(explore<ticks>({.preemptions = unbounded}, omit::nothing));
    EXPECT_BROKEN("a value of before", explore<ticks>({}, omit::wait_for_delivery));
}

}  // namespace
