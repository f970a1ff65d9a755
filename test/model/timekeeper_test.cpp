// The timekeeper (src/rt/sched/find.cpp sleep_until_given(), leave_for_good(), wake.cpp wake_timekeeper(),
// list_idle_m(), appoint_timekeeper(), review_idle_ms(); docs/design/idle.md, "Timers"): the M that sleeps until the
// earliest deadline never sleeps past one that was armed meanwhile, and there always is one.
//
// Transcribed, with the names and the order of steps of those files. What counts is how the keeper sleeps at the end: a
// sleep without a deadline, or past the earliest, would last for ever.
#include "model/explore.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "sys/membarrier.hpp"

namespace {

using namespace weft::model;
using weft::base::atomic;
using weft::base::memory_order_acq_rel;
using weft::base::memory_order_acquire;
using weft::base::memory_order_relaxed;
using weft::base::memory_order_release;

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
enum : std::uint32_t { asleep, awake, look };

enum class omit {
    nothing,
    light_fence,
    announcement,
    early_announcement,  ///< K1 of who goes idle and keeps time, whose S2 is K2 as well
    keeping_time,        ///< as a condition of that
    clearing,
    keeper_stays,
    look_again,
    poke_again,
};

struct machine {
    atomic<std::uint32_t> note{asleep};
    ghost<bool> listed{false};
    ghost<std::int64_t> sleeps_until{0};  ///< 0: is awake
};

template <int Ms>
struct scheduler {
    static constexpr int nobody = -1;

    lock guard;
    atomic<int> timekeeper{nobody};
    atomic<std::int64_t> keeper_until{0};
    std::array<machine, static_cast<std::size_t>(Ms)> ms{};
    lock heap_lock;
    atomic<std::int64_t> earliest{never};
    ghost<int> deadlines_that_pass{0};  ///< at the most
    ghost<int> threads_that_end{0};     ///< at the most
    omit without;

    explicit scheduler(omit what) : without(what)
    {
        name(guard, "sched.lock");
        name(timekeeper, "timekeeper");
        name(keeper_until, "keeper_until");
        for (int i = 0; i < Ms; ++i)
            name(m(i).note, "note of M", i);
        name(heap_lock, "heap lock");
        name(earliest, "earliest");
    }
    machine& m(int i) { return ms[static_cast<std::size_t>(i)]; }

    // -- an M

    void list_idle_m(int self)
    {
        if (timekeeper.load(memory_order_relaxed) == nobody)
            timekeeper.store(self, memory_order_relaxed);
        m(self).listed.set(true);
    }
    void unlist_idle_m(int self)
    {
        m(self).listed.set(false);
        if (timekeeper.load(memory_order_relaxed) == self) {
            timekeeper.store(nobody, memory_order_relaxed);
            keeper_until.store(0, memory_order_relaxed);
        }
    }
    bool go_idle(int self)
    {
        guard.acquire();
        list_idle_m(self);
        const bool keeps_time = timekeeper.load(memory_order_relaxed) == self;
        if (keeps_time && without != omit::early_announcement)
            keeper_until.store(never, memory_order_relaxed);
        guard.release();
        weft::sys::heavy_fence();
        if (!sleep_until_given(self, keeps_time || without == omit::keeping_time))
            return false;
        check(m(self).note.load(memory_order_relaxed) == asleep, "a poke is left over");
        return true;
    }
    /// An M that runs out of work again and again, to the end of its thread.
    void idle_on(int self)
    {
        while (go_idle(self)) {
        }
    }
    bool take_p_back(int self)
    {
        guard.acquire();
        const bool back = m(self).listed.get();
        if (back) {
            unlist_idle_m(self);
            if (without != omit::clearing)
                m(self).note.store(asleep, memory_order_relaxed);
        }
        guard.release();
        return back;
    }
    void fire_timers(std::int64_t now)
    {
        heap_lock.acquire();
        if (earliest.load(memory_order_relaxed) <= now)
            earliest.store(never, memory_order_relaxed);
        heap_lock.release();
    }
    void futex_wait(machine& self, std::int64_t until)
    {
        self.sleeps_until.set(until);
        rest_until([&self] { return self.note.load(memory_order_relaxed) != asleep; });
        self.sleeps_until.set(0);
    }
    bool leave_for_good(int self)
    {
        guard.acquire();
        const bool leaves =
            m(self).listed.get() && (without == omit::keeper_stays || timekeeper.load(memory_order_relaxed) != self);
        if (leaves)
            unlist_idle_m(self);
        guard.release();
        return leaves;
    }
    /// False: the thread has ended.
    bool sleep_until_given(int number, bool announced)
    {
        machine& self = m(number);
        for (;;) {
            const std::uint32_t note = self.note.load(memory_order_acquire);
            if (note == awake) {
                self.note.store(asleep, memory_order_relaxed);
                return true;
            }
            if (timekeeper.load(memory_order_relaxed) != number) {
                std::uint32_t poked = look;
                if (self.note.compare_exchange_strong(poked, asleep, memory_order_acq_rel, memory_order_relaxed) &&
                    without != omit::look_again)
                    continue;
                if (threads_that_end.get() > 0 && choose(2) == 1) {
                    threads_that_end.set(threads_that_end.get() - 1);
                    if (leave_for_good(number))
                        return false;
                }
                futex_wait(self, never);
                continue;
            }
            if (!announced || note != asleep) {
                std::uint32_t poked = look;
                (void)self.note.compare_exchange_strong(poked, asleep, memory_order_acq_rel, memory_order_acquire);
                if (without != omit::announcement)
                    keeper_until.store(never, memory_order_relaxed);
                weft::sys::heavy_fence();
            }
            announced = false;
            const std::int64_t until = earliest.load(memory_order_relaxed);
            keeper_until.store(until, memory_order_relaxed);
            if (until != never && deadlines_that_pass.get() > 0 && choose(2) == 1) {
                deadlines_that_pass.set(deadlines_that_pass.get() - 1);
                if (take_p_back(number)) {
                    fire_timers(until);
                    return true;
                }
            }
            futex_wait(self, until);
        }
    }

    // -- whoever arms a timer

    void arm(std::int64_t when)
    {
        heap_lock.acquire();
        const bool first = when < earliest.load(memory_order_relaxed);
        if (first)
            earliest.store(when, memory_order_relaxed);
        heap_lock.release();
        if (first)
            wake_timekeeper(when);
    }
    void wake_timekeeper(std::int64_t when)
    {
        if (without != omit::light_fence)
            weft::base::light_fence();
        if (when >= keeper_until.load(memory_order_relaxed))
            return;
        guard.acquire();
        if (const int keeper = timekeeper.load(memory_order_relaxed); keeper != nobody)
            poke(keeper);
        guard.release();
    }
    void poke(int sleeper)
    {
        atomic<std::uint32_t>& note = m(sleeper).note;
        std::uint32_t seen = note.load(memory_order_relaxed);
        while (seen != awake && (seen != look || without != omit::poke_again))
            if (note.compare_exchange_weak(seen, look, memory_order_acq_rel, memory_order_relaxed))
                return;
    }

    // -- sysmon, and who lowers max_procs

    void appoint_timekeeper()
    {
        if (timekeeper.load(memory_order_relaxed) != nobody)
            return;
        guard.acquire();
        int last = Ms;
        while (--last >= 0 && !m(last).listed.get()) {
        }
        if (last >= 0 && timekeeper.load(memory_order_relaxed) == nobody) {
            timekeeper.store(last, memory_order_relaxed);
            poke(last);
        }
        guard.release();
    }
    void review_idle_ms()
    {
        guard.acquire();
        for (int i = 0; i < Ms; ++i)
            if (m(i).listed.get())
                poke(i);
        guard.release();
    }

    // -- whoever makes work

    void give_p(int to)
    {
        guard.acquire();
        const bool sleeps = m(to).listed.get();
        if (sleeps)
            unlist_idle_m(to);
        guard.release();
        if (sleeps)
            m(to).note.store(awake, memory_order_release);
    }

    void check_timekeeping()
    {
        const int keeper = timekeeper.load();
        check(keeper != nobody, "nobody keeps time");
        if (keeper == nobody)
            return;
        const std::int64_t until = m(keeper).sleeps_until.get();
        check(until != 0 && until <= earliest.load(), "the keeper sleeps past the earliest deadline");
    }
};

/// An M that runs out of work again and again, two that arm timers, one that wakes the M for work.
struct timers_and_work : scheduler<1> {
    static constexpr int threads = 4;
    using scheduler::scheduler;
    static const char* thread_name(int i) { return i == 0 ? "M0" : i == 3 ? "pusher" : "armer"; }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                idle_on(0);
                break;
            case 1:
                arm(20);
                break;
            case 2:
                arm(10);
                break;
            default:
                give_p(0);
        }
    }
    void end() { check_timekeeping(); }
};

TEST(model_timekeeper, sleeps_past_no_deadline)
{
    EXPECT_EXPLORED(explore<timers_and_work>({.preemptions = 2}, omit::nothing));
    EXPECT_EXPLORED(explore<timers_and_work>({.preemptions = 2, .membarrier = false}, omit::nothing));
    EXPECT_BROKEN("past the earliest", explore<timers_and_work>({.omit_heavy_barrier = true}, omit::nothing));
    EXPECT_BROKEN("past the earliest", explore<timers_and_work>({.membarrier = false}, omit::light_fence));
    EXPECT_BROKEN("past the earliest", explore<timers_and_work>({}, omit::early_announcement));
}

/// Two Ms go idle; the keeper may be poked just when its deadline passes and it takes its P back, and not keep time
/// when it next sleeps.
struct keeper_changes : scheduler<2> {
    static constexpr int threads = 3;
    explicit keeper_changes(omit what) : scheduler(what) { deadlines_that_pass.set(1); }
    static const char* thread_name(int i) { return i == 0 ? "M0" : i == 1 ? "M1" : "armer"; }
    void run(int thread)
    {
        if (thread == 2) {
            arm(20);
            arm(10);
        } else {
            idle_on(thread);
        }
    }
    void end() { check_timekeeping(); }
};

TEST(model_timekeeper, a_former_keeper_sleeps)
{
    EXPECT_EXPLORED(explore<keeper_changes>({}, omit::nothing));
    // Found in the first version: a poke that came too late kept the M from sleeping ever after, in get_p().
    EXPECT_BROKEN("a poke is left over", explore<keeper_changes>({}, omit::clearing));
}

/// A keeper that takes its P back keeps time no more; sysmon appoints another one, whose thread is about to end.
struct keeper_ends : scheduler<2> {
    static constexpr int threads = 4;
    explicit keeper_ends(omit what) : scheduler(what)
    {
        deadlines_that_pass.set(1);
        threads_that_end.set(1);
    }
    static const char* thread_name(int i)
    {
        constexpr const char* names[] = {"M0", "M1", "armer", "sysmon"};
        return names[i];
    }
    void run(int thread)
    {
        if (thread == 2)
            arm(20);
        else if (thread == 3)
            appoint_timekeeper();
        else
            idle_on(thread);
    }
    void end() { check_timekeeping(); }
};

TEST(model_timekeeper, a_keeper_does_not_end)
{
    EXPECT_EXPLORED(explore<keeper_ends>({.preemptions = 3}, omit::nothing));
    // Found in a soak of retake_storm under TSan.
    EXPECT_BROKEN("nobody keeps time", explore<keeper_ends>({.preemptions = 3}, omit::keeper_stays));
}

/// The same, where all are told beside it to look whether fewer threads will do.
struct keeper_is_told_twice : scheduler<2> {
    static constexpr int threads = 4;
    explicit keeper_is_told_twice(omit what) : scheduler(what)
    {
        earliest.store(20);
        deadlines_that_pass.set(1);
    }
    static const char* thread_name(int i)
    {
        constexpr const char* names[] = {"M0", "M1", "reviewer", "sysmon"};
        return names[i];
    }
    void run(int thread)
    {
        if (thread == 2) {
            review_idle_ms();
        } else if (thread == 3) {
            appoint_timekeeper();
            arm(30);
        } else {
            idle_on(thread);
        }
    }
    void end() { check_timekeeping(); }
};

TEST(model_timekeeper, a_keeper_knows_that_it_is)
{
    EXPECT_EXPLORED(explore<keeper_is_told_twice>({.preemptions = 2}, omit::nothing));
    EXPECT_BROKEN("past the earliest", explore<keeper_is_told_twice>({.preemptions = 2}, omit::look_again));
    EXPECT_BROKEN("past the earliest", explore<keeper_is_told_twice>({.preemptions = 2}, omit::poke_again));
    EXPECT_BROKEN("past the earliest", explore<keeper_is_told_twice>({.preemptions = 2}, omit::announcement));
    EXPECT_BROKEN("past the earliest", explore<keeper_is_told_twice>({.preemptions = 2}, omit::keeping_time));
}

}  // namespace
