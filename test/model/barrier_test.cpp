// weft::barrier (include/weft/barrier.hpp, src/sync/barrier.cpp): nobody passes before all have arrived and the
// completion has run, nobody stays behind, and what was done before an arrival is seen after the phase.
//
// All of it is the shipped code, over the modelled waist.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "rt/rt.hpp"
#include "sync/barrier.cpp"

namespace {

using namespace weft::model;
namespace rt = weft::rt;

/// What several threads go through, and what each has done in the latest `Kept` phases.
template <int Threads, int Kept = 2>
struct meeting : runtime {
    static constexpr int threads = Threads;
    static constexpr auto count = static_cast<std::size_t>(Threads);
    struct add_up {
        meeting* self;
        void operator()() const noexcept { self->complete(); }
    };
    using barrier = weft::barrier<add_up>;

    alignas(barrier) std::array<std::byte, sizeof(barrier)> room;
    std::array<std::array<plain<int>, count>, static_cast<std::size_t>(Kept)> done{};
    plain<int> completions{0};
    ghost<int> taking_part{Threads};

    explicit meeting(bool goroutines = true)
    {
        timers_fire = goroutines;
        ::new (&room) barrier(Threads, add_up{this});
        ::new (&bucket()) rt::sema_bucket;  // an execution that was dropped has left its waiters there
        name(room, "barrier");
        name(done, "done");
        name(completions, "completions");
    }
    barrier& all() { return *std::launder(reinterpret_cast<barrier*>(&room)); }
    rt::sema_bucket& bucket() const { return rt::sema_bucket::of(&room); }
    std::uint64_t fingerprint() const noexcept
    {
        std::uint64_t h = 0;
        for (const rt::sema_waiter* w = bucket().front(&room); w != nullptr; w = w->next)
            h = h * 8 + static_cast<std::uint64_t>(thread_of(w->who)) + 4;
        return h;
    }
    plain<int>& done_by(int thread, int phase)
    {
        return done[static_cast<std::size_t>(phase % Kept)][static_cast<std::size_t>(thread)];
    }
    void complete()
    {
        const int phase = completions.get();
        int arrived = 0;
        for (int i = 0; i < Threads; ++i)
            arrived += done_by(i, phase).get() == phase + 1 ? 1 : 0;
        check(arrived == taking_part.get(), "all have arrived");
        completions.set(phase + 1);
    }
    void work(int thread, int phase) { done_by(thread, phase).set(phase + 1); }
    void check_over(int phase)
    {
        check(completions.get() == phase + 1, "the completion of this phase has run, and of no other");
        int arrived = 0;
        for (int i = 0; i < Threads; ++i)
            arrived += done_by(i, phase).get() == phase + 1 ? 1 : 0;
        check(arrived >= taking_part.get(), "what the others have done is seen");
    }
    void end() { check(bucket().front(&room) == nullptr, "somebody is queued"); }
};

template <int Threads, int Phases>
struct goes_through : meeting<Threads, Phases == 1 ? 1 : 2> {
    void run(int thread)
    {
        for (int phase = 0; phase < Phases; ++phase) {
            this->work(thread, phase);
            this->all().arrive_and_wait();
            this->check_over(phase);
        }
    }
};

TEST(model_barrier, phases)
{
    EXPECT_EXPLORED(explore<goes_through<2, 1>>({.preemptions = unbounded}));
    EXPECT_EXPLORED(explore<goes_through<2, 3>>({.preemptions = bound(3, 8)}));
    EXPECT_EXPLORED(explore<goes_through<3, 1>>({.preemptions = bound(3, 5)}));
    EXPECT_EXPLORED(explore<goes_through<3, 2>>({.preemptions = bound(1, 3)}));
    EXPECT_EXPLORED(explore<goes_through<4, 1>>({.preemptions = bound(1, 2)}));
}

/// Arrives first and waits later.
template <int Threads>
struct arrives_early : meeting<Threads> {
    ghost<int> between{0};
    void run(int thread)
    {
        for (int phase = 0; phase < 2; ++phase) {
            this->work(thread, phase);
            auto token = this->all().arrive();
            between.set(between.get() + 1);
            if (!this->all().try_wait(token))
                this->all().wait(std::move(token));
            this->check_over(phase);
        }
    }
};

TEST(model_barrier, arrival_and_wait_apart)
{
    EXPECT_EXPLORED(explore<arrives_early<2>>({.preemptions = bound(3, 8)}));
    EXPECT_EXPLORED(explore<arrives_early<3>>({.preemptions = bound(1, 3)}));
}

/// Thread 0 leaves after the first phase.
template <int Threads>
struct one_drops_out : meeting<Threads> {
    void run(int thread)
    {
        this->work(thread, 0);
        if (thread == 0) {
            this->all().arrive_and_drop();
            return;
        }
        this->all().arrive_and_wait();
        this->check_over(0);
        this->taking_part.set(Threads - 1);
        this->work(thread, 1);
        this->all().arrive_and_wait();
        this->check_over(1);
    }
};

TEST(model_barrier, drop)
{
    EXPECT_EXPLORED(explore<one_drops_out<2>>({.preemptions = unbounded}));
    EXPECT_EXPLORED(explore<one_drops_out<3>>({.preemptions = bound(3, 5)}));
}

/// Thread 0 may give up waiting; it has arrived nevertheless.
struct gives_up : meeting<3> {
    using meeting<3>::meeting;
    void run(int thread)
    {
        if (thread == 2) {
            work(2, 0);
            all().arrive_and_drop();
            if (timers_fire)
                fire_timers();
            return;
        }
        work(thread, 0);
        const auto token = all().arrive();
        if (thread == 0) {
            if (all().try_wait_until(token, weft::clock::time_point(std::chrono::nanoseconds(1'000))))
                check_over(0);
        } else {
            all().wait(barrier::arrival_token(token));
            check_over(0);
        }
    }
};

TEST(model_barrier, deadlines)
{
    EXPECT_EXPLORED(explore<gives_up>({.preemptions = bound(3, 5)}, false));
    EXPECT_EXPLORED(explore<gives_up>({.preemptions = bound(2, 4)}, true));
}

/// Destroyed by the last to return.
template <int Threads>
struct destroyed : meeting<Threads> {
    weft::base::atomic<int> returned{0};
    void run(int thread)
    {
        this->work(thread, 0);
        this->all().arrive_and_wait();
        this->check_over(0);
        using gone = typename meeting<Threads>::barrier;
        if (returned.fetch_add(1, weft::base::memory_order_acq_rel) == Threads - 1)
            this->all().~gone();
    }
};

TEST(model_barrier, may_go_when_all_have_returned)
{
    EXPECT_EXPLORED(explore<destroyed<2>>({.preemptions = unbounded}));
    EXPECT_EXPLORED(explore<destroyed<3>>({.preemptions = bound(3, 4)}));
}

}  // namespace
