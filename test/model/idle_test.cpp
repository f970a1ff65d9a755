// The idle protocol (src/rt/core/idle.hpp, find.cpp, wake.cpp, sysmon.cpp; docs/design/idle.md): work is never left in
// a queue while a P is idle and nobody looks for work.
//
// idle_word is the shipped one. The scheduler around it is transcribed, with the names and the order of steps of those
// files; left out: timers (timekeeper_test.cpp), the claim of a victim (section_word_test.cpp), runnext, and changes of
// max_procs.
#include "model/explore.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "rt/core/idle.hpp"
#include "sys/membarrier.hpp"

namespace {

using namespace weft::model;
using weft::base::atomic;
using weft::base::memory_order_acquire;
using weft::base::memory_order_relaxed;
using weft::base::memory_order_release;
using weft::base::memory_order_seq_cst;

/// What a variant leaves out, to show that it is needed.
enum class omit {
    nothing,
    light_fence,
    recheck_of_sleeper,
    recheck_of_finder,
    recheck_of_waker,
    recheck_of_sysmon,
    second_look_of_sysmon,
};

/// A ring by its two ends: what is in it does not matter here.
struct queue {
    atomic<std::uint32_t> head{0};
    atomic<std::uint32_t> tail{0};

    [[nodiscard]] std::uint32_t size() const
    {
        return tail.load(memory_order_relaxed) - head.load(memory_order_relaxed);
    }
    void push() { tail.store(tail.load(memory_order_relaxed) + 1, memory_order_release); }
    void pop(std::uint32_t n) { head.store(head.load(memory_order_relaxed) + n, memory_order_relaxed); }
};

struct machine {
    static constexpr int nobody = -1;

    atomic<std::uint32_t> note{0};  ///< 1: awake
    ghost<int> proc{nobody};
    ghost<bool> listed{false};
    ghost<bool> spinning{false};
    ghost<bool> wasted{false};  ///< its last steals were not worth their cost
};

/// At the beginning M i has P i; those from `busy` on are idle and asleep.
template <int Procs>
struct scheduler {
    weft::rt::idle_word idle;
    lock guard;
    queue global;
    lock global_guard;
    std::array<queue, static_cast<std::size_t>(Procs)> local;
    std::array<lock, static_cast<std::size_t>(Procs)> steal_locks;
    std::array<machine, static_cast<std::size_t>(Procs)> ms;
    ghost<std::uint32_t> idle_ps{0};                                      ///< a set
    std::array<atomic<bool>, static_cast<std::size_t>(Procs)> running{};  ///< p::state
    bool has_sysmon = false;
    atomic<std::uint32_t> deep_sleep{0};
    atomic<std::uint32_t> left_spins{0};
    ghost<int> executed{0};
    omit without;

    scheduler(int busy, omit what) : without(what)
    {
        name(idle, "idle_word");
        name(guard, "sched.lock");
        name(global.head, "global.head");
        name(global.tail, "global.tail");
        name(global_guard, "global.lock");
        for (int i = 0; i < Procs; ++i) {
            name(at(i).head, "head of P", i);
            name(at(i).tail, "tail of P", i);
            name(steal_locks[static_cast<std::size_t>(i)], "steal_lock of P", i);
            name(m(i).note, "note of M", i);
            name(running[static_cast<std::size_t>(i)], "state of P", i);
            if (i < busy) {
                m(i).proc.set(i);
                running[static_cast<std::size_t>(i)].store(true);
            } else {
                idle_ps.set(idle_ps.get() | 1U << i);
                idle.add_idle(false);
                m(i).listed.set(true);
            }
        }
    }
    machine& m(int i) { return ms[static_cast<std::size_t>(i)]; }
    queue& at(int i) { return local[static_cast<std::size_t>(i)]; }

    // -- whoever makes work

    void push_local(int proc)
    {
        at(proc).push();
        wake_if_needed();
    }
    void push_global()
    {
        global_guard.acquire();
        global.push();
        global_guard.release();
        wake_if_needed();
    }
    void wake_if_needed()
    {
        if (without != omit::light_fence)
            weft::base::light_fence();
        if (idle.needs_waking())
            wake_one();
    }

    void wake_one()
    {
        while (idle.begin_wake()) {
            guard.acquire();
            const int proc = take_idle_p(false);
            guard.release();
            if (proc != machine::nobody) {
                run_searcher(proc);
                return;
            }
            idle.end_spin();
            if (without == omit::recheck_of_waker || !idle.needs_waking())
                return;
            weft::sys::heavy_fence();
            if (!any_work())
                return;
        }
    }

    void run_searcher(int proc)
    {
        guard.acquire();
        int sleeper = machine::nobody;
        for (int i = 0; i < Procs && sleeper == machine::nobody; ++i)
            if (m(i).listed.get())
                sleeper = i;
        check(sleeper != machine::nobody, "an M for every idle P");
        m(sleeper).listed.set(false);
        guard.release();
        m(sleeper).proc.set(proc);
        m(sleeper).spinning.set(true);
        m(sleeper).note.store(1, memory_order_release);
    }

    // -- under the scheduler's lock

    int take_idle_p(bool to_spin)
    {
        for (int i = 0; i < Procs; ++i) {
            if ((idle_ps.get() >> i & 1U) != 0) {
                idle_ps.set(idle_ps.get() & ~(1U << i));
                if (has_sysmon)
                    running[static_cast<std::size_t>(i)].store(true, memory_order_relaxed);
                idle.take_idle(to_spin);
                wake_sysmon();
                return i;
            }
        }
        return machine::nobody;
    }
    void list_idle_p(int proc, bool was_spinning)
    {
        if (has_sysmon)
            running[static_cast<std::size_t>(proc)].store(false, memory_order_relaxed);
        idle_ps.set(idle_ps.get() | 1U << proc);
        idle.add_idle(was_spinning);
    }
    bool take_p_back(machine& self)
    {
        const int proc = take_idle_p(true);
        if (proc == machine::nobody)
            return false;
        self.listed.set(false);
        self.proc.set(proc);
        self.spinning.set(true);
        return true;
    }

    // -- an M

    bool any_work()
    {
        if (global.size() != 0)
            return true;
        for (queue& q : local)
            if (q.size() != 0)
                return true;
        return false;
    }

    bool take_share()
    {
        if (global.size() == 0)
            return false;
        global_guard.acquire();
        const std::uint32_t n = global.size();
        if (n != 0)
            global.pop(1);
        global_guard.release();
        return n != 0;
    }

    bool steal(int mine)
    {
        for (int i = 0; i < Procs; ++i) {
            if (i == mine || at(i).size() == 0)
                continue;
            if (!steal_locks[static_cast<std::size_t>(i)].try_acquire())
                continue;
            weft::sys::heavy_fence();
            const std::uint32_t n = (at(i).size() + 1) / 2;
            at(i).pop(n);
            for (std::uint32_t k = 1; k < n; ++k)
                at(mine).push();
            steal_locks[static_cast<std::size_t>(i)].release();
            if (n != 0)
                return true;
        }
        return false;
    }

    bool next_local(int proc)
    {
        if (at(proc).size() == 0)
            return false;
        // In place of the claim. A push needs none here: it writes the other end.
        lock& section_word = steal_locks[static_cast<std::size_t>(proc)];
        section_word.acquire();
        const bool any = at(proc).size() != 0;
        if (any)
            at(proc).pop(1);
        section_word.release();
        return any;
    }

    void found(machine& self)
    {
        if (!self.spinning.get())
            return;
        self.spinning.set(false);
        idle.end_spin();
        if (without == omit::recheck_of_finder)
            return;
        if (idle.needs_waking()) {
            weft::sys::heavy_fence();
            if (any_work())
                wake_one();
        }
    }

    void go_idle(machine& self)
    {
        guard.acquire();
        const bool unpaid = self.spinning.get() && self.wasted.get();
        if (!unpaid && global.size() != 0) {
            guard.release();
            return;
        }
        list_idle_p(self.proc.get(), self.spinning.get() && !unpaid);
        self.proc.set(machine::nobody);
        self.spinning.set(false);
        self.wasted.set(false);
        self.listed.set(true);
        guard.release();
        if (unpaid) {
            left_spins.fetch_add(1);
            wake_sysmon();
            sleep_until_given(self);
            return;
        }
        weft::sys::heavy_fence();
        if (without != omit::recheck_of_sleeper && any_work()) {
            guard.acquire();
            const bool back = self.listed.get() && take_p_back(self);
            guard.release();
            if (back) {
                // What there is may be another thief's already, who is not done yet: going round again shows nothing
                // new.
                yield_hint();
                return;
            }
        }
        sleep_until_given(self);
    }

    void sleep_until_given(machine& self)
    {
        rest_until([&] { return self.note.load(memory_order_acquire) == 1; });
        self.note.store(0, memory_order_relaxed);
    }

    /// find_runnable() and the goroutines that it finds. Those return at once, or (`long_runs`) never.
    void loop(machine& self, bool long_runs = false)
    {
        for (;;) {
            const int proc = self.proc.get();
            bool item = next_local(proc) || take_share();
            if (!item) {
                if (!self.spinning.get())
                    self.spinning.set(idle.begin_spin(Procs));
                if (self.spinning.get() && !self.wasted.get())
                    item = steal(proc);
            }
            if (item) {
                found(self);
                executed.set(executed.get() + 1);
                if (long_runs)
                    return;
            } else {
                go_idle(self);
            }
        }
    }

    // -- sysmon

    void wake_sysmon()
    {
        if (has_sysmon && deep_sleep.load() != 0)
            deep_sleep.exchange(0);
    }
    bool all_idle()
    {
        for (atomic<bool>& busy : running)
            if (busy.load(memory_order_relaxed))
                return false;
        return true;
    }
    void take_spins_back()
    {
        std::uint32_t n = left_spins.exchange(0);
        if (n == 0)
            return;
        for (; n > 0; --n)
            idle.end_spin();
        if (without == omit::recheck_of_sysmon)
            return;
        weft::sys::heavy_fence();
        if (any_work())
            wake_one();
    }
    void sysmon_main()
    {
        for (;;) {
            take_spins_back();
            if (all_idle()) {
                deep_sleep.store(1);
                if (without == omit::second_look_of_sysmon || (all_idle() && left_spins.load() == 0))
                    rest_until([this] { return deep_sleep.load() == 0; });
                deep_sleep.store(0, memory_order_relaxed);
            }
            // Its nap ends some time; the look that follows matters only then.
            rest_until([this] { return left_spins.load() != 0 || all_idle(); });
        }
    }

    void check_nothing_is_left()
    {
        check(idle_ps.get() == 0 || !any_work(), "work is queued, a P is idle, and nobody looks for it");
        check(idle.read().spinning == 0, "somebody counts as looking for work");
    }
};

/// Two plain threads each start a goroutine; the only M is about to go to sleep.
struct plain_threads_push : scheduler<1> {
    static constexpr int threads = 3;
    explicit plain_threads_push(omit what) : scheduler(1, what) {}
    static const char* thread_name(int i) { return i == 0 ? "M0" : "pusher"; }
    void run(int thread)
    {
        if (thread == 0)
            loop(m(0));
        else
            push_global();
    }
    void end()
    {
        check_nothing_is_left();
        check(executed.get() == 2, "both run");
    }
};

TEST(model_idle, plain_threads_push)
{
    EXPECT_EXPLORED(explore<plain_threads_push>({}, omit::nothing));
    EXPECT_EXPLORED(explore<plain_threads_push>({.membarrier = false}, omit::nothing));
    // Found in the first version of wake_one(): a waker that finds no P has kept others from waking meanwhile.
    EXPECT_BROKEN("nobody looks", explore<plain_threads_push>({}, omit::recheck_of_waker));
}

/// A goroutine starts two others and computes on; another M is about to go to sleep.
struct goroutine_pushes : scheduler<2> {
    static constexpr int threads = 2;
    explicit goroutine_pushes(omit what) : scheduler(2, what) {}
    static const char* thread_name(int i) { return i == 0 ? "M0" : "M1"; }
    void run(int thread)
    {
        if (thread == 1)
            loop(m(1));
        for (int i = 0; i < 2; ++i)
            push_local(0);
    }
    void end()
    {
        check_nothing_is_left();
        check(executed.get() == 2, "both run");
    }
};

TEST(model_idle, goroutine_pushes)
{
    EXPECT_EXPLORED(explore<goroutine_pushes>({.preemptions = unbounded}, omit::nothing));
    EXPECT_EXPLORED(explore<goroutine_pushes>({.preemptions = unbounded, .membarrier = false}, omit::nothing));
    EXPECT_BROKEN("nobody looks", explore<goroutine_pushes>({.omit_heavy_barrier = true}, omit::nothing));
    EXPECT_BROKEN("nobody looks", explore<goroutine_pushes>({}, omit::recheck_of_sleeper));
    EXPECT_BROKEN("nobody looks", explore<goroutine_pushes>({.membarrier = false}, omit::light_fence));
}

/// A goroutine and a plain thread make work at once, which keeps whoever finds it busy; one M is about to sleep, one
/// sleeps. Both are needed.
struct two_sources : scheduler<3> {
    static constexpr int threads = 4;
    explicit two_sources(omit what) : scheduler(2, what) {}
    static const char* thread_name(int i)
    {
        constexpr std::array<const char*, 4> names{"M0", "M1", "M2", "pusher"};
        return names[static_cast<std::size_t>(i)];
    }
    void run(int thread)
    {
        if (thread == 0) {
            push_local(0);
        } else if (thread == 3) {
            push_global();
        } else {
            if (thread == 2)
                sleep_until_given(m(2));
            loop(m(thread), true);
        }
    }
    void end()
    {
        check_nothing_is_left();
        check(executed.get() == 2, "both run");
    }
};

TEST(model_idle, two_sources)
{
    EXPECT_EXPLORED(explore<two_sources>({.preemptions = 2}, omit::nothing));
    EXPECT_BROKEN("nobody looks", explore<two_sources>({.preemptions = 2}, omit::recheck_of_finder));
}

/// A thief whose steals were not worth it goes to sleep in spite of the work there is, and leaves that to sysmon.
template <bool OwnerStays>
struct steals_do_not_pay : scheduler<2> {
    static constexpr int threads = 3;
    explicit steals_do_not_pay(omit what) : scheduler(2, what)
    {
        has_sysmon = true;
        m(1).wasted.set(true);
        name(deep_sleep, "deep_sleep");
        name(left_spins, "left_spins");
    }
    static const char* thread_name(int i) { return i == 0 ? "M0" : i == 1 ? "M1" : "sysmon"; }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                push_local(0);
                push_local(0);
                if (!OwnerStays)
                    loop(m(0));
                break;
            case 1:
                loop(m(1));
                break;
            default:
                sysmon_main();
        }
    }
    void end()
    {
        check_nothing_is_left();
        check(executed.get() == 2, "both run");
    }
};

TEST(model_idle, a_spin_left_to_sysmon_is_taken_back)
{
    EXPECT_EXPLORED(explore<steals_do_not_pay<true>>({}, omit::nothing));
    EXPECT_EXPLORED(explore<steals_do_not_pay<false>>({.preemptions = 2}, omit::nothing));
    EXPECT_BROKEN("nobody looks", explore<steals_do_not_pay<true>>({}, omit::recheck_of_sysmon));
    EXPECT_BROKEN("looking for work", explore<steals_do_not_pay<false>>({}, omit::second_look_of_sysmon));
}

}  // namespace
