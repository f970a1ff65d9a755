// counting_semaphore (include/weft/detail/semaphore.hpp, src/sync/semaphore.cpp): permits are neither lost nor doubled,
// nobody who could be served sleeps, and what a release was preceded by is seen.
//
// All of it is the shipped code, over the modelled waist.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <new>

#include "rt/rt.hpp"
#include "sync/semaphore.cpp"
#include "weft/semaphore.hpp"

namespace {

using namespace weft::model;
namespace rt = weft::rt;
using weft::detail::semaphore;

constexpr std::ptrdiff_t most = 3;

struct guarded : runtime {
    semaphore sem;
    plain<int> data{0};
    ghost<int> inside{0};

    explicit guarded(std::ptrdiff_t permits, bool goroutines = true) : sem(permits)
    {
        timers_fire = goroutines;
        ::new (&bucket()) rt::sema_bucket;  // an execution that was dropped has left its waiters there
        name(sem, "semaphore");
        name(data, "data");
    }
    rt::sema_bucket& bucket() const { return rt::sema_bucket::of(&sem); }
    std::uint64_t fingerprint() const noexcept
    {
        std::uint64_t h = 0;
        for (const rt::sema_waiter* w = bucket().front(&sem); w != nullptr; w = w->next)
            h = h * 16 + static_cast<std::uint64_t>(thread_of(w->who)) * 4 + w->amount + 1;
        return h;
    }
    bool acquire(std::ptrdiff_t n, bool timed = false)
    {
        return sem.try_acquire(static_cast<std::uint64_t>(n)) ||
               sem.acquire_slow(
                   n, most, timed ? weft::detail::wait_bound{std::chrono::nanoseconds(1)} : weft::detail::wait_bound{});
    }
    void release(std::ptrdiff_t n)
    {
        if (!sem.try_release(static_cast<std::uint64_t>(n), most))
            sem.release_slow(n, most);
    }
    void check_quiet(std::ptrdiff_t permits)
    {
        check(bucket().front(&sem) == nullptr, "somebody is queued");
        check(sem.try_acquire(static_cast<std::uint64_t>(permits)), "a permit was lost");
        check(!sem.try_acquire(1), "a permit too many");
    }
};

/// One permit as a mutex.
template <int Threads, int Rounds>
struct exclusive : guarded {
    static constexpr int threads = Threads;
    exclusive() : guarded(1) {}
    void run(int)
    {
        for (int i = 0; i < Rounds; ++i) {
            acquire(1);
            data.set(data.get() + 1);
            release(1);
        }
    }
    void end()
    {
        check(data.get() == Threads * Rounds, "all have had their turn");
        check_quiet(1);
    }
};

TEST(model_semaphore, excludes)
{
    EXPECT_EXPLORED(explore<exclusive<2, 2>>({.preemptions = unbounded}));
    EXPECT_EXPLORED(explore<exclusive<3, 1>>({.preemptions = 3}));
    EXPECT_EXPLORED(explore<exclusive<3, 2>>({.preemptions = 2}));
    EXPECT_EXPLORED(explore<exclusive<4, 1>>({.preemptions = 2}));
}

/// One that may give up, one that may not, one that releases, and timers.
struct with_deadline : guarded {
    static constexpr int threads = 4;
    ghost<int> got{0};
    explicit with_deadline(bool goroutines) : guarded(0, goroutines) {}
    void run(int thread)
    {
        if (thread == 0) {
            data.set(1);
            release(1);
            release(1);
        } else if (thread < 3) {
            if (acquire(1, thread == 1)) {
                check(data.get() == 1, "what the release was preceded by is seen");
                got.set(got.get() + 1);
            }
        } else if (timers_fire) {
            fire_timers();
        }
    }
    void end() { check_quiet(2 - got.get()); }
};

TEST(model_semaphore, deadlines)
{
    EXPECT_EXPLORED(explore<with_deadline>({.preemptions = 3}, false));
    EXPECT_EXPLORED(explore<with_deadline>({.preemptions = 2}, true));
}

/// One who wants two and gives up holds up one behind it who wants one: that one must get it then.
struct held_up : guarded {
    static constexpr int threads = 3;
    explicit held_up(bool goroutines) : guarded(1, goroutines) { deadlines_pass = true; }
    void run(int thread)
    {
        if (thread == 0) {
            if (acquire(2, true))
                release(2);
        } else if (thread == 1) {
            acquire(1);
            release(1);
        } else if (timers_fire) {
            fire_timers();
        }
    }
    void end() { check_quiet(1); }
};

TEST(model_semaphore, who_gives_up_lets_pass)
{
    EXPECT_EXPLORED(explore<held_up>({.preemptions = 3}, false));
    EXPECT_EXPLORED(explore<held_up>({.preemptions = 3}, true));
}

/// Several permits at once.
struct weighted : guarded {
    static constexpr int threads = 3;
    weighted() : guarded(2) {}
    void run(int thread)
    {
        const std::ptrdiff_t n = thread == 0 ? 2 : 1;
        acquire(n);
        inside.set(inside.get() + static_cast<int>(n));
        check(inside.get() <= 2, "more inside than permits");
        inside.set(inside.get() - static_cast<int>(n));
        release(n);
    }
    void end() { check_quiet(2); }
};

TEST(model_semaphore, weighted)
{
    EXPECT_EXPLORED(explore<weighted>({.preemptions = 3}));
}

}  // namespace
