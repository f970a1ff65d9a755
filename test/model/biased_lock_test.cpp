// The biased lock (src/rt/core/biased_lock.hpp): mutual exclusion between the M that it is biased to and everybody
// else, and open at the end.
//
// The shipped class (waist.hpp has renamed it) over the modelled lock word. It counts sections before it becomes
// biased; the program's constructor takes it through them.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace {

using namespace weft::model;
using weft::rt::section_word;
using weft::rt::shipped_biased_lock;

struct settings {
    int warm_up = 20;     ///< sections of thread 0's before the threads begin: 17 make the lock biased to it
    int without_m = -1;   ///< the thread that is a plain one; -1: none
    bool rests = false;   ///< the Ms go to g0 in their sections
    bool astray = false;  ///< the sections are begun with a claim that is not the M's
};
constexpr settings biased{};
constexpr settings soon_biased{.warm_up = 16};
constexpr settings unbiased{.warm_up = 0};

struct guarded {
    shipped_biased_lock mu;
    plain<int> data{0};
    const settings how;
    struct alignas(weft::base::cache_line) m_like {
        section_word own;
        section_word astray;
    };
    std::array<m_like, max_threads> ms{};  // their addresses stand for Ms
    std::uint64_t order = 0;               // of the sections: all that the lock's own counts depend on

    explicit guarded(const settings& s) : how(s)
    {
        name(mu, "lock");
        name(data, "data");
        for (m_like& one : ms) {
            name(one, "M");
            for (section_word* const c : {&one.own, &one.astray}) {
                c->come_back();  // it has a P
                c->exit();
            }
        }
        for (int i = 0; i < how.warm_up; ++i) {
            mu.lock(m_of(0));
            mu.unlock();
        }
    }
    std::uint64_t fingerprint() const noexcept { return order; }
    [[nodiscard]] const weft::rt::m* m_of(int thread) const
    {
        if (thread == how.without_m)
            return nullptr;
        return reinterpret_cast<const weft::rt::m*>(&ms[static_cast<std::size_t>(thread)]);
    }
    void touch(int thread)
    {
        data.set(data.get() + 1);
        order = order * 4 + static_cast<std::uint64_t>(thread) + 1;
    }
    void section(int thread)
    {
        mu.lock(m_of(thread));
        touch(thread);
        mu.unlock();
    }
    /// As chan.cpp has it: the runtime's section is the lock where it can be.
    void section_of_runtime(int thread)
    {
        if (thread == how.without_m)
            return section(thread);
        m_like& self = ms[static_cast<std::size_t>(thread)];
        section_word& own = how.astray ? self.astray : self.own;
        if (own.try_enter_simply() && mu.held_by_section_of(*m_of(thread))) {
            touch(thread);
            if (how.rests)
                own.rest();
            own.exit();
        } else {
            own.exit();
            section(thread);
        }
    }
    void check_quiet(int sections)
    {
        check(data.get() == sections, "all have had their epoch");
        mu.lock(m_of(0));
        mu.unlock();
    }
};

template <int Threads, int Rounds>
struct contended : guarded {
    static constexpr int threads = Threads;
    using guarded::guarded;
    void run(int thread)
    {
        for (int i = 0; i < Rounds; ++i)
            section(thread);
    }
    void end() { check_quiet(Threads * Rounds); }
};

TEST(model_biased_lock, two_threads)
{
    for (const settings& s : {biased, soon_biased, unbiased, settings{.without_m = 1}}) {
        EXPECT_EXPLORED(explore<contended<2, 1>>({.preemptions = unbounded}, s));
        EXPECT_EXPLORED(explore<contended<2, 2>>({.preemptions = 4}, s));
        EXPECT_EXPLORED(explore<contended<2, 2>>({.preemptions = 3, .membarrier = false}, s));
    }
}

TEST(model_biased_lock, three_threads)
{
    for (const settings& s : {biased, soon_biased, settings{.without_m = 2}}) {
        EXPECT_EXPLORED(explore<contended<3, 1>>({.preemptions = 3}, s));
        EXPECT_EXPLORED(explore<contended<3, 2>>({.preemptions = 2}, s));
    }
}

/// Both ways to hold it as the M that it is biased to.
template <int Threads, int Rounds>
struct with_runtime_sections : guarded {
    static constexpr int threads = Threads;
    using guarded::guarded;
    void run(int thread)
    {
        for (int i = 0; i < Rounds; ++i)
            thread == 0 || i > 0 ? section_of_runtime(thread) : section(thread);
    }
    void end() { check_quiet(Threads * Rounds); }
};

TEST(model_biased_lock, held_by_a_section_of_the_runtime)
{
    for (const settings& s : {biased, soon_biased, unbiased, settings{.without_m = 1}, settings{.rests = true}}) {
        EXPECT_EXPLORED(explore<with_runtime_sections<2, 1>>({.preemptions = unbounded}, s));
        EXPECT_EXPLORED(explore<with_runtime_sections<2, 2>>({.preemptions = 4}, s));
        EXPECT_EXPLORED(explore<with_runtime_sections<3, 1>>({.preemptions = 3}, s));
    }
}

TEST(model_biased_lock, waits_for_the_sections_of_its_own_m)
{
    EXPECT_BROKEN("race", explore<with_runtime_sections<2, 1>>({}, settings{.astray = true}));
}

/// Thread 0 comes with a bias of long ago, when thread 1 has it and is inside and thread 2 revokes that.
struct late : guarded {
    static constexpr int threads = 3;
    using guarded::guarded;
    void run(int thread)
    {
        constexpr int to_be_biased = 66;
        for (int i = 0; i < (thread == 1 ? to_be_biased : 1); ++i)
            section(thread);
    }
    void end() { check_quiet(68); }
};

TEST(model_biased_lock, a_bias_of_long_ago)
{
    EXPECT_EXPLORED(explore<late>({.preemptions = 2, .max_steps = 5000}, biased));
}

TEST(model_biased_lock, needs_its_heavy_barrier)
{
    EXPECT_BROKEN("race", explore<contended<2, 1>>({.omit_heavy_barrier = true}, biased));
    EXPECT_EXPLORED(explore<contended<2, 2>>({.model = memory::sc, .omit_heavy_barrier = true}, biased));
    EXPECT_BROKEN("race", explore<with_runtime_sections<2, 1>>({.omit_heavy_barrier = true}, biased));
    EXPECT_EXPLORED(explore<with_runtime_sections<2, 2>>({.model = memory::sc, .omit_heavy_barrier = true}, biased));
}

}  // namespace
