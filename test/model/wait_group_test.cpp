// weft::wait_group (include/weft/detail/countdown.hpp, src/sync/countdown.cpp): all waiters return, none before the
// counter is zero, and the group may be destroyed as soon as its waiters have returned.
//
// All of it is the shipped code, over the modelled waist.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>

#include "rt/wait/sema.hpp"
#include "sync/countdown.cpp"
#include "weft/wait_group.hpp"

namespace {

using namespace weft::model;
namespace rt = weft::rt;

/// Threads from `waiters` on each do a part of the work; the others wait for it.
template <int Waiters, int Workers>
struct joined : runtime {
    static constexpr int threads = Waiters + Workers;
    static const char* thread_name(int i) { return i < Waiters ? "waiter" : "worker"; }

    alignas(weft::wait_group) std::array<std::byte, sizeof(weft::wait_group)> room;
    std::array<plain<int>, static_cast<std::size_t>(Workers)> parts;
    weft::base::atomic<int> returned{0};

    joined()
    {
        auto* const group = ::new (&room) weft::wait_group;
        ::new (&bucket()) rt::sema_bucket;  // an execution that was dropped has left its waiters there
        name(*group, "wait_group");
        name(parts, "parts");
        group->add(Workers);
    }
    weft::wait_group& group() { return *std::launder(reinterpret_cast<weft::wait_group*>(&room)); }
    rt::sema_bucket& bucket() const { return rt::sema_bucket::of(&room); }
    std::uint64_t fingerprint() const noexcept
    {
        std::uint64_t h = 0;
        for (const rt::sema_waiter* w = bucket().front(&room); w != nullptr; w = w->next)
            h = h * 8 + static_cast<std::uint64_t>(thread_of(w->who)) + 4;
        return h;
    }

    void run(int thread)
    {
        if (thread >= Waiters) {
            parts[static_cast<std::size_t>(thread - Waiters)].set(1);
            group().done();
            return;
        }
        group().wait();
        for (plain<int>& part : parts)
            check(part.get() == 1, "all parts are done");
        if (returned.fetch_add(1, weft::base::memory_order_acq_rel) == Waiters - 1)
            group().~wait_group();
    }
    void end() { check(bucket().front(&room) == nullptr, "somebody is queued"); }
};

TEST(model_wait_group, one_waiter)
{
    EXPECT_EXPLORED(explore<joined<1, 1>>({.preemptions = unbounded}));
    EXPECT_EXPLORED(explore<joined<1, 2>>({.preemptions = unbounded}));
    EXPECT_EXPLORED(explore<joined<1, 3>>({.preemptions = 3}));
}

TEST(model_wait_group, several_waiters)
{
    EXPECT_EXPLORED(explore<joined<2, 1>>({.preemptions = unbounded}));
    EXPECT_EXPLORED(explore<joined<2, 2>>({.preemptions = 3}));
    EXPECT_EXPLORED(explore<joined<3, 1>>({.preemptions = 3}));
}

/// Used again after wait() has returned.
struct reused : runtime {
    static constexpr int threads = 2;
    // Without an end: an execution that was dropped has not counted down.
    alignas(weft::wait_group) std::array<std::byte, sizeof(weft::wait_group)> room;
    weft::base::atomic<int> round{0};

    reused()
    {
        ::new (&rt::sema_bucket::of(&room)) rt::sema_bucket;
        auto* const made = ::new (&room) weft::wait_group;
        made->add(1);
    }
    weft::wait_group& group() { return *std::launder(reinterpret_cast<weft::wait_group*>(&room)); }
    std::uint64_t fingerprint() const noexcept { return rt::sema_bucket::of(&room).front(&room) != nullptr ? 1 : 0; }
    void run(int thread)
    {
        if (thread == 0) {
            group().done();
            block_until([this] { return round.load(weft::base::memory_order_acquire) == 1; });
            group().done();
        } else {
            group().wait();
            group().add(1);
            round.store(1, weft::base::memory_order_release);
            group().wait();
        }
    }
    void end() { group().~wait_group(); }
};

TEST(model_wait_group, is_reusable)
{
    EXPECT_EXPLORED(explore<reused>({.preemptions = unbounded}));
}

}  // namespace
