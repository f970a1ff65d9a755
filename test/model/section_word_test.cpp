// The claim (src/rt/core/section_word.hpp; docs/design/section.md): the owner's sections and a thief's never overlap,
// nobody waits for ever, and an M that was stopped stays stopped.
//
// claim is the shipped class; around it the owner's and the thief's side of sched.cpp (enter_slow) and find.cpp
// (steal_from), with little patience.
#include "model/explore.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "rt/core/section_word.hpp"
#include "sys/membarrier.hpp"

namespace {

using namespace weft::model;
using weft::rt::section_word;

struct settings {
    int patience_of_owner = 1;
    int patience_of_thief = 1;
    bool heavy = true;
};

struct one_m {
    section_word own;
    lock steal_lock;
    plain<int> queue{0};  ///< what the sections touch: overlapping ones race for it
    ghost<int> sections{0};
    ghost<bool> stopped{false};
    settings with;

    explicit one_m(const settings& s) : with(s)
    {
        name(own, "section_word");
        name(steal_lock, "steal_lock");
        name(queue, "queue");
        own.come_back();  // it has the P
        own.exit();
    }

    void touch()
    {
        queue.set(queue.get() + 1);
        sections.set(sections.get() + 1);
    }

    /// False: stopped.
    bool enter()
    {
        const bool begun_after_stop = stopped.get();
        if (!own.try_enter()) {
            for (bool inside = false; !inside;) {
                switch (own.back_off(with.patience_of_owner)) {
                    case section_word::next_step::retry:
                        inside = own.try_enter();
                        break;
                    case section_word::next_step::wait:
                        yield_hint();
                        break;
                    case section_word::next_step::gone:
                        check(false, "nobody takes the P away here");
                        break;
                    case section_word::next_step::stopped:
                        return false;
                    case section_word::next_step::forked:
                        check(false, "no fork here");
                }
            }
        }
        check(!begun_after_stop, "a stopped M has entered");
        return true;
    }
    /// False: stopped.
    bool section()
    {
        if (!enter())
            return false;
        touch();
        own.exit();
        return true;
    }
    void steal()
    {
        if (!steal_lock.try_acquire())
            return;
        if (own.request()) {
            if (with.heavy)
                weft::sys::heavy_fence();
            if (own.wait_outside(with.patience_of_thief)) {
                touch();
                own.release();
            }
        }
        steal_lock.release();
    }
    void stop()
    {
        steal_lock.acquire();
        own.stop_for_good();
        stopped.set(true);
        steal_lock.release();
    }
    void end() { check(queue.get() == sections.get(), "a section's work was lost"); }
};

struct owner_and_thief : one_m {
    static constexpr int threads = 2;
    using one_m::one_m;
    static const char* thread_name(int i) { return i == 0 ? "owner" : "thief"; }
    void run(int thread)
    {
        for (int i = 0; i < 2; ++i)
            thread == 0 ? (void)section() : steal();
    }
};

TEST(model_claim, sections_do_not_overlap)
{
    for (const int owner : {1, 2}) {
        for (const int thief : {1, 2}) {
            SCOPED_TRACE(std::to_string(owner) + " " + std::to_string(thief));
            const settings s{.patience_of_owner = owner, .patience_of_thief = thief};
            EXPECT_EXPLORED(explore<owner_and_thief>({.preemptions = unbounded}, s));
            EXPECT_EXPLORED(explore<owner_and_thief>({.preemptions = unbounded, .membarrier = false}, s));
        }
    }
}

TEST(model_claim, needs_its_heavy_barrier)
{
    EXPECT_BROKEN("data race", explore<owner_and_thief>({}, settings{.heavy = false}));
    EXPECT_EXPLORED(explore<owner_and_thief>({.model = memory::sc}, settings{.heavy = false}));
}

struct two_thieves : one_m {
    static constexpr int threads = 3;
    using one_m::one_m;
    static const char* thread_name(int i) { return i == 0 ? "owner" : "thief"; }
    void run(int thread)
    {
        for (int i = 0; i < 2; ++i)
            thread == 0 ? (void)section() : steal();
    }
};

TEST(model_claim, thieves_take_turns)
{
    EXPECT_EXPLORED(explore<two_thieves>({}, settings{}));
    EXPECT_EXPLORED(explore<two_thieves>({.membarrier = false}, settings{}));
}

struct with_stop : one_m {
    static constexpr int threads = 3;
    using one_m::one_m;
    static const char* thread_name(int i)
    {
        constexpr std::array<const char*, 3> names{"owner", "thief", "stopper"};
        return names[static_cast<std::size_t>(i)];
    }
    void run(int thread)
    {
        switch (thread) {
            case 0:
                while (section())
                    yield_hint();
                break;
            case 1:
                for (int i = 0; i < 2; ++i)
                    steal();
                break;
            default:
                stop();
        }
    }
};

TEST(model_claim, a_stopped_m_stays_stopped)
{
    EXPECT_EXPLORED(explore<with_stop>({}, settings{}));
    EXPECT_EXPLORED(explore<with_stop>({.membarrier = false}, settings{}));
}

}  // namespace
