// weft::mutex (include/weft/sync.hpp, src/sync/mutex.cpp; docs/design/mutex.md): mutual exclusion, no lost wake-up, and
// the queue word in order at the end.
//
// All of it is the shipped code, over the modelled waist.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <new>

#include "rt/wait/sema.hpp"
#include "sync/mutex.cpp"

namespace {

using namespace weft::model;
namespace rt = weft::rt;

struct settings {
    bool time_passes = false;
    bool spinning_pays = false;
};

/// The mutex and what it protects.
struct guarded : runtime {
    weft::mutex mu;
    plain<int> data{0};

    explicit guarded(const settings& s)
    {
        time_may_jump = s.time_passes;
        spinning_pays = s.spinning_pays;
        ::new (&bucket()) rt::sema_bucket;  // an execution that was dropped has left its waiters there
        name(mu, "mutex");
        name(data, "data");
    }
    rt::sema_bucket& bucket() const { return rt::sema_bucket::of(&mu); }

    std::uint64_t fingerprint() const noexcept
    {
        std::uint64_t h = 0;
        for (const rt::sema_waiter* w = bucket().front(&mu); w != nullptr; w = w->next)
            h = h * 64 + static_cast<std::uint64_t>(thread_of(w->who)) * 4 + (w->granted ? 2 : 0) +
                (w->since > 1 ? 1 : 0) + 8;
        return h;
    }
    void section()
    {
        mu.lock();
        data.set(data.get() + 1);
        mu.unlock();
    }
    void check_quiet(int sections)
    {
        check(data.get() == sections, "all have had their turn");
        check(bucket().front(&mu) == nullptr, "somebody is queued");
        check(mu.try_lock(), "still locked");
        mu.unlock();
    }
};

template <int Threads, int Rounds>
struct contended : guarded {
    static constexpr int threads = Threads;
    using guarded::guarded;
    void run(int)
    {
        for (int i = 0; i < Rounds; ++i)
            section();
    }
    void end() { check_quiet(Threads * Rounds); }
};

TEST(model_mutex, two_threads)
{
    for (const settings& s : {settings{}, settings{.time_passes = true}, settings{.spinning_pays = true}}) {
        EXPECT_EXPLORED(explore<contended<2, 2>>({.preemptions = 4}, s));
        EXPECT_EXPLORED(explore<contended<2, 2>>({.preemptions = 3, .membarrier = false}, s));
    }
    EXPECT_EXPLORED(explore<contended<2, 2>>({.preemptions = unbounded}, settings{.time_passes = true}));
}

TEST(model_mutex, three_threads)
{
    EXPECT_EXPLORED(explore<contended<3, 1>>({.preemptions = 3}, settings{}));
    EXPECT_EXPLORED(explore<contended<3, 1>>({.preemptions = 3}, settings{.time_passes = true}));
    EXPECT_EXPLORED(explore<contended<3, 2>>({.preemptions = 2}, settings{}));
    EXPECT_EXPLORED(explore<contended<3, 2>>({.preemptions = 1}, settings{.time_passes = true}));
}

TEST(model_mutex, four_threads)
{
    EXPECT_EXPLORED(explore<contended<4, 1>>({.preemptions = 2}, settings{}));
    EXPECT_EXPLORED(explore<contended<4, 1>>({.preemptions = 1}, settings{.time_passes = true}));
}

TEST(model_mutex, needs_its_heavy_barrier)
{
    EXPECT_BROKEN("deadlock", explore<contended<2, 1>>({.omit_heavy_barrier = true}, settings{}));
    EXPECT_EXPLORED(explore<contended<2, 2>>({.model = memory::sc, .omit_heavy_barrier = true}, settings{}));
}

/// One tries only; it does not wait, and must wake who waits for it.
struct with_try_lock : guarded {
    static constexpr int threads = 3;
    using guarded::guarded;
    ghost<int> sections{0};
    void run(int thread)
    {
        if (thread == 0) {
            if (!mu.try_lock())
                return;
            data.set(data.get() + 1);
            sections.set(sections.get() + 1);
            mu.unlock();
        } else {
            section();
            sections.set(sections.get() + 1);
        }
    }
    void end() { check_quiet(sections.get()); }
};

TEST(model_mutex, try_lock)
{
    EXPECT_EXPLORED(explore<with_try_lock>({.preemptions = 3}, settings{}));
    EXPECT_EXPLORED(explore<with_try_lock>({.preemptions = 2}, settings{.time_passes = true}));
}

/// Locked by one thread, unlocked by another, which has been told so by release and acquire.
struct handed_over : guarded {
    static constexpr int threads = 3;
    using guarded::guarded;
    weft::base::atomic<int> told{0};
    void run(int thread)
    {
        if (thread == 0) {
            mu.lock();
            data.set(data.get() + 1);
            told.store(1, weft::base::memory_order_release);
        } else if (thread == 1) {
            block_until([this] { return told.load(weft::base::memory_order_acquire) == 1; });
            data.set(data.get() + 1);
            mu.unlock();
        } else {
            section();
        }
    }
    void end() { check_quiet(3); }
};

TEST(model_mutex, another_one_may_unlock)
{
    EXPECT_EXPLORED(explore<handed_over>({.preemptions = 3}, settings{}));
    EXPECT_EXPLORED(explore<handed_over>({.preemptions = 3}, settings{.time_passes = true}));
}

TEST(model_mutex, pruning_loses_nothing)
{
    EXPECT_EXPLORED(explore<contended<2, 1>>({.preemptions = 2, .prune = false}, settings{.time_passes = true}));
    EXPECT_EXPLORED(explore<contended<3, 1>>({.preemptions = 1, .prune = false}, settings{}));
}

}  // namespace
