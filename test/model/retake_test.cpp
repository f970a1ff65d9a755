// Taking a P away (src/rt/sched/retake.cpp; docs/design/retake.md): against entry, exit, a thief, a second take-back,
// an M that comes back and takes the P again, one that gives it away, and process exit. A P's queues are never touched
// by two, no P is lost or had twice, and an M that was stopped never enters.
//
// claim is the shipped class; around it retake(), own_p(), take_any_p() and stop_at_exit() in the same steps.
#include "model/explore.hpp"

#include <gtest/gtest.h>

#include <array>

#include "rt/core/section_word.hpp"
#include "sys/membarrier.hpp"

namespace {

using namespace weft::model;
using weft::rt::section_word;

constexpr int nobody = -1;

struct settings {
    bool heavy = true;
    bool gives_way = false;  ///< A gives its P away first, and takes it again if it can
};

/// One P and two Ms, of which the first has it.
struct one_p {
    std::array<section_word, 2> ms;
    lock steal_lock;
    plain<int> owner{0};  ///< guarded by steal_lock
    plain<int> queue{0};  ///< what sections touch: overlapping ones race for it
    lock sched;
    plain<int> idle{0};  ///< guarded by sched: the P is on the idle list
    ghost<int> sections{0};
    ghost<bool> stopped{false};
    weft::base::atomic<bool> stopping{false};
    settings with;

    explicit one_p(const settings& s) : with(s)
    {
        name(ms[0], "section_word of A");
        name(ms[1], "section_word of B");
        name(steal_lock, "steal_lock");
        name(owner, "owner");
        name(queue, "queue");
        name(sched, "sched");
        name(idle, "idle");
        ms[0].come_back();
        ms[0].exit();
    }

    void touch()
    {
        queue.set(queue.get() + 1);
        sections.set(sections.get() + 1);
    }

    void own_p(int who)
    {
        steal_lock.acquire();
        ms[static_cast<std::size_t>(who)].come_back();
        check(owner.get() == nobody, "a P is had twice");
        owner.set(who);
        steal_lock.release();
    }
    void list_idle()
    {
        sched.acquire();
        idle.set(1);
        sched.release();
    }
    [[nodiscard]] bool take_idle(int who)
    {
        sched.acquire();
        const bool had = idle.get() != 0;
        idle.set(0);
        sched.release();
        if (had)
            own_p(who);
        return had;
    }

    enum class entry { inside, without_p, stopped };
    [[nodiscard]] entry enter(int who)
    {
        section_word& own = ms[static_cast<std::size_t>(who)];
        if (own.try_enter())
            return entry::inside;
        for (;;) {
            switch (own.back_off(1)) {
                case section_word::next_step::retry:
                    if (own.try_enter())
                        return entry::inside;
                    break;
                case section_word::next_step::wait:
                    yield_hint();
                    break;
                case section_word::next_step::gone:
                    return entry::without_p;
                case section_word::next_step::stopped:
                case section_word::next_step::forked:
                    return entry::stopped;
            }
        }
    }
    /// A section of a goroutine on `who`; false: stopped, or no P was to be had.
    bool section(int who)
    {
        const bool begun_after_stop = stopped.get();
        switch (enter(who)) {
            case entry::inside:
                break;
            case entry::without_p:
                if (!take_idle(who))
                    return false;
                if (stopping.load(weft::base::memory_order_seq_cst))
                    return false;  // go_on()
                break;
            case entry::stopped:
                return false;
        }
        check(!begun_after_stop, "a stopped M has entered");
        touch();
        ms[static_cast<std::size_t>(who)].exit();
        return true;
    }
    /// True: the P is the caller's.
    bool retake()
    {
        steal_lock.acquire();
        bool taken = false;
        if (const int who = owner.get(); who != nobody) {
            section_word& own = ms[static_cast<std::size_t>(who)];
            if (own.request()) {
                if (with.heavy)
                    weft::sys::heavy_fence();
                if (own.wait_outside(1)) {
                    taken = true;
                    owner.set(nobody);
                    own.take_away();
                }
            }
        }
        steal_lock.release();
        return taken;
    }
    void retake_and_hand_off()
    {
        if (retake())
            list_idle();
    }
    /// blocking(), by an M that does not wait for sysmon.
    void give_way(int who)
    {
        if (enter(who) != entry::inside)
            return;
        touch();
        steal_lock.acquire();
        check(owner.get() == who, "an M inside has no P");
        owner.set(nobody);
        steal_lock.release();
        ms[static_cast<std::size_t>(who)].give_up();
        list_idle();
    }
    void begin_a()
    {
        if (with.gives_way)
            give_way(0);
    }
    void steal()
    {
        if (!steal_lock.try_acquire())
            return;
        if (const int who = owner.get(); who != nobody) {
            section_word& own = ms[static_cast<std::size_t>(who)];
            if (own.request()) {
                if (with.heavy)
                    weft::sys::heavy_fence();
                if (own.wait_outside(1)) {
                    touch();
                    own.release();
                }
            }
        }
        steal_lock.release();
    }
    void stop()
    {
        stopping.store(true, weft::base::memory_order_seq_cst);
        steal_lock.acquire();
        if (const int who = owner.get(); who != nobody)
            ms[static_cast<std::size_t>(who)].stop_for_good();
        stopped.set(true);
        steal_lock.release();
    }
    void end()
    {
        check(queue.get() == sections.get(), "a section's work was lost");
        check((owner.get() != nobody) != (idle.get() != 0), "the P is lost");
    }
};

struct against_entry : one_p {
    static constexpr int threads = 2;
    using one_p::one_p;
    static const char* thread_name(int i) { return i == 0 ? "A" : "sysmon"; }
    void run(int thread)
    {
        for (int i = 0; i < 2; ++i)
            thread == 0 ? (void)section(0) : retake_and_hand_off();
    }
};

TEST(model_retake, excludes_entry)
{
    EXPECT_EXPLORED(explore<against_entry>({.preemptions = unbounded}, settings{}));
    EXPECT_EXPLORED(explore<against_entry>({.preemptions = unbounded, .membarrier = false}, settings{}));
}

struct against_another : one_p {
    static constexpr int threads = 3;
    using one_p::one_p;
    static const char* thread_name(int i)
    {
        constexpr std::array<const char*, 3> names{"A", "sysmon", "B"};
        return names[static_cast<std::size_t>(i)];
    }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                begin_a();
                for (int i = 0; i < 2; ++i)
                    (void)section(0);
                break;
            case 1:
                for (int i = 0; i < 2; ++i)
                    retake_and_hand_off();
                break;
            default:
                if (take_idle(1)) {
                    touch();
                    ms[1].exit();
                    (void)section(1);
                }
        }
    }
};

TEST(model_retake, hands_the_p_to_another_and_takes_it_again)
{
    EXPECT_EXPLORED(explore<against_another>({}, settings{}));
    EXPECT_EXPLORED(explore<against_another>({.membarrier = false}, settings{}));
}

TEST(model_retake, needs_its_heavy_barrier)
{
    EXPECT_BROKEN("data race", explore<against_another>({}, settings{.heavy = false}));
}

struct against_thief : one_p {
    static constexpr int threads = 3;
    using one_p::one_p;
    static const char* thread_name(int i)
    {
        constexpr std::array<const char*, 3> names{"A", "sysmon", "thief"};
        return names[static_cast<std::size_t>(i)];
    }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                begin_a();
                for (int i = 0; i < 2; ++i)
                    (void)section(0);
                break;
            case 1:
                retake_and_hand_off();
                break;
            default:
                steal();
        }
    }
};

TEST(model_retake, excludes_thieves)
{
    EXPECT_EXPLORED(explore<against_thief>({}, settings{}));
    EXPECT_EXPLORED(explore<against_thief>({.membarrier = false}, settings{}));
}

struct against_exit : one_p {
    static constexpr int threads = 3;
    using one_p::one_p;
    static const char* thread_name(int i)
    {
        constexpr std::array<const char*, 3> names{"A", "sysmon", "exit"};
        return names[static_cast<std::size_t>(i)];
    }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                begin_a();
                for (int i = 0; i < 3 && section(0); ++i) {
                }
                break;
            case 1:
                retake_and_hand_off();
                break;
            default:
                stop();
        }
    }
};

TEST(model_retake, process_exit_is_met)
{
    EXPECT_EXPLORED(explore<against_exit>({}, settings{}));
    EXPECT_EXPLORED(explore<against_exit>({.membarrier = false}, settings{}));
}

TEST(model_retake, an_m_gives_its_p_away_by_itself)
{
    constexpr settings gives{.gives_way = true};
    EXPECT_EXPLORED(explore<against_thief>({}, gives));
    EXPECT_EXPLORED(explore<against_another>({}, gives));
    EXPECT_EXPLORED(explore<against_exit>({}, gives));
    EXPECT_EXPLORED(explore<against_thief>({.membarrier = false}, gives));
    EXPECT_EXPLORED(explore<against_another>({.membarrier = false}, gives));
    EXPECT_EXPLORED(explore<against_exit>({.membarrier = false}, gives));
}

}  // namespace
