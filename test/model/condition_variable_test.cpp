// weft::condition_variable (include/weft/condition_variable.hpp, src/sync/condition_variable.cpp; docs/design/sync.md):
// no notification is lost, also when the waiter has not parked yet, is timed out at the same moment, or is put into the
// mutex's queue.
//
// All of it is the shipped code, with the shipped mutex, over the modelled waist.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <mutex>
#include <new>

#include "rt/rt.hpp"
#include "sync/condition_variable.cpp"

namespace {

using namespace weft::model;
namespace rt = weft::rt;

struct settings {
    bool all = true;
    bool notify_inside = true;
    bool goroutines = true;
};

struct meeting : runtime {
    weft::mutex mu;
    weft::condition_variable cv;
    plain<int> tokens{0};
    settings how;

    explicit meeting(const settings& s) : how(s)
    {
        timers_fire = s.goroutines;
        // An execution that was dropped has left its waiters there.
        ::new (&rt::sema_bucket::of(&mu)) rt::sema_bucket;
        ::new (&rt::sema_bucket::of(&cv)) rt::sema_bucket;
        name(mu, "mutex");
        name(cv, "condition_variable");
        name(tokens, "tokens");
    }
    std::uint64_t queue(const void* key, std::uint64_t h) const noexcept
    {
        for (const rt::sema_waiter* w = rt::sema_bucket::of(key).front(key); w != nullptr; w = w->next)
            h = h * 32 + static_cast<std::uint64_t>(thread_of(w->who)) * 4 + (w->granted ? 2 : 0) +
                (w->since > 1 ? 1 : 0) + 8;
        return h * 32 + 1;
    }
    std::uint64_t fingerprint() const noexcept { return queue(&cv, queue(&mu, 0)); }

    void give(int n)
    {
        std::unique_lock lock(mu);
        tokens.set(tokens.get() + n);
        if (!how.notify_inside)
            lock.unlock();
        how.all ? cv.notify_all() : cv.notify_one();
    }
    void take()
    {
        std::unique_lock lock(mu);
        cv.wait(lock, [this] { return tokens.get() > 0; });
        tokens.set(tokens.get() - 1);
    }
    bool take_until()
    {
        std::unique_lock lock(mu);
        if (!cv.wait_until(lock, weft::clock::time_point(std::chrono::nanoseconds(1'000)),
                           [this] { return tokens.get() > 0; }))
            return false;
        tokens.set(tokens.get() - 1);
        return true;
    }
    void check_quiet(int left)
    {
        check(tokens.get() == left, "a token was lost or doubled");
        check(mu.try_lock(), "still locked");
        mu.unlock();
        check(rt::sema_bucket::of(&cv).front(&cv) == nullptr, "somebody waits still");
    }
};

/// Thread 0 gives as many as there are takers.
template <int Takers>
struct served : meeting {
    static constexpr int threads = Takers + 1;
    using meeting::meeting;
    void run(int thread)
    {
        if (thread != 0)
            take();
        else if (how.all)
            give(Takers);
        else
            for (int i = 0; i < Takers; ++i)
                give(1);
    }
    void end() { check_quiet(0); }
};

TEST(model_condition_variable, notifications_arrive)
{
    for (const bool all : {true, false}) {
        for (const bool inside : {true, false}) {
            const settings s{.all = all, .notify_inside = inside};
            EXPECT_EXPLORED(explore<served<1>>({.preemptions = bound(3, 4)}, s));
            EXPECT_EXPLORED(explore<served<2>>({.preemptions = bound(1, 2)}, s));
        }
    }
    EXPECT_EXPLORED(explore<served<2>>({.preemptions = bound(2, 3)}, settings{}));
    EXPECT_EXPLORED(explore<served<3>>({.preemptions = bound(0, 1)}, settings{}));
}

/// One token, one taker that may give up and one that may not.
struct with_deadline : meeting {
    static constexpr int threads = 4;
    using meeting::meeting;
    ghost<int> got{0};
    void run(int thread)
    {
        if (thread == 0) {
            give(2);
        } else if (thread == 1) {
            if (take_until())
                got.set(1);
        } else if (thread == 2) {
            take();
        } else if (timers_fire) {
            fire_timers();
        }
    }
    void end() { check_quiet(1 - got.get()); }
};

TEST(model_condition_variable, deadline)
{
    EXPECT_EXPLORED(explore<with_deadline>({.preemptions = bound(1, 2)}, settings{.goroutines = false}));
    EXPECT_EXPLORED(explore<with_deadline>({.preemptions = 1}, settings{.goroutines = true}));
}

/// notify_one() must reach the one that stays when the first one gives up at the same moment.
struct passes_on : meeting {
    static constexpr int threads = 3;
    using meeting::meeting;
    ghost<int> got{0};
    void run(int thread)
    {
        if (thread == 0) {
            give(1);
            give(1);
        } else if (thread == 1) {
            if (take_until())
                got.set(1);
        } else {
            take();
        }
    }
    void end() { check_quiet(1 - got.get()); }
};

TEST(model_condition_variable, a_notification_passes_who_has_given_up)
{
    EXPECT_EXPLORED(explore<passes_on>({.preemptions = 2}, settings{.all = false, .goroutines = false}));
}

}  // namespace
