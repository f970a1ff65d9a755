// rt::timer_heap: order, disarming from any place, and the timers that several threads fire and disarm at once.
#include "rt/core/timer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "support/rng.hpp"
#include "support/scale.hpp"

namespace {

using weft::rt::g;
using weft::rt::g_list;
using weft::rt::never;
using weft::rt::timer;
using weft::rt::timer_heap;

// A timer that notes when it is fired.
struct noted {
    timer t;
    bool fired = false;
    static noted& of(timer& t) { return reinterpret_cast<noted&>(t); }
};

std::vector<std::int64_t> fired_order;

timer& prepare(noted& n, std::int64_t when)
{
    n.fired = false;
    n.t.when = when;
    n.t.expire = [](timer& t) noexcept -> g*
    {
        noted::of(t).fired = true;
        fired_order.push_back(t.when);
        return nullptr;
    };
    return n.t;
}

bool arm(timer_heap& heap, timer& t)
{
    heap.lock();
    const bool first = heap.arm(t);
    heap.unlock();
    return first;
}

TEST(timer_heap_test, begins_with_nothing_to_do)
{
    timer_heap heap;
    EXPECT_EQ(heap.earliest(), never);
    EXPECT_EQ(heap.size(), 0U);
    g_list out;
    heap.run_expired(never - 1, out);
    EXPECT_TRUE(out.empty());
}

TEST(timer_heap_test, tells_the_earliest)
{
    timer_heap heap;
    noted a;
    noted b;
    noted c;
    EXPECT_TRUE(arm(heap, prepare(a, 50)));
    EXPECT_FALSE(arm(heap, prepare(b, 70)));
    EXPECT_TRUE(arm(heap, prepare(c, 20)));
    EXPECT_EQ(heap.earliest(), 20);
    timer_heap::disarm(c.t);
    EXPECT_EQ(heap.earliest(), 50);
    timer_heap::disarm(a.t);
    timer_heap::disarm(b.t);
    EXPECT_EQ(heap.earliest(), never);
    timer_heap::disarm(b.t);
    EXPECT_EQ(heap.size(), 0U);
}

TEST(timer_heap_test, fires_what_is_due_in_order)
{
    timer_heap heap;
    std::vector<std::unique_ptr<noted>> all;
    for (int i = 0; i < 1'000; ++i) {
        all.push_back(std::make_unique<noted>());
        arm(heap, prepare(*all.back(), (i * 7'919) % 1'000));
    }
    fired_order.clear();
    g_list out;
    heap.run_expired(499, out);
    EXPECT_EQ(fired_order.size(), 500U);
    EXPECT_TRUE(std::is_sorted(fired_order.begin(), fired_order.end()));
    for (const auto& n : all)
        EXPECT_EQ(n->fired, n->t.when <= 499);
    EXPECT_EQ(heap.earliest(), 500);
    heap.run_expired(10'000, out);
    EXPECT_EQ(fired_order.size(), 1'000U);
    EXPECT_TRUE(std::is_sorted(fired_order.begin(), fired_order.end()));
    EXPECT_EQ(heap.size(), 0U);
}

TEST(timer_heap_test, those_that_stay_fire_in_order_among_those_that_leave)
{
    timer_heap heap;
    std::vector<std::unique_ptr<noted>> all;
    for (int i = 0; i < 3'000; ++i) {
        all.push_back(std::make_unique<noted>());
        timer& t = prepare(*all.back(), (i * 7'919) % 3'000);
        t.only_fires = i % 3 != 0;
        t.index = t.only_fires ? 12'345 : 0;
        arm(heap, t);
    }
    for (const auto& n : all) {
        if (!n->t.only_fires && n->t.when % 2 == 0) {
            EXPECT_TRUE(timer_heap::disarm(n->t));
        }
    }
    fired_order.clear();
    g_list out;
    heap.run_expired(3'000, out);
    EXPECT_TRUE(std::is_sorted(fired_order.begin(), fired_order.end()));
    EXPECT_EQ(heap.size(), 0U);
    for (const auto& n : all) {
        EXPECT_EQ(n->fired, n->t.only_fires || n->t.when % 2 != 0);
        if (n->t.only_fires) {
            EXPECT_EQ(n->t.index, 12'345U) << "it was told where it is";
            EXPECT_FALSE(timer_heap::disarm(n->t));
        }
    }
}

TEST(timer_heap_test, collects_the_goroutines_to_wake)
{
    timer_heap heap;
    static const auto gs = std::make_unique<g[]>(3);
    std::vector<std::unique_ptr<noted>> all;
    for (std::int64_t i = 0; i < 3; ++i) {
        all.push_back(std::make_unique<noted>());
        all.back()->t.when = 30 - i;
        all.back()->t.expire = [](timer& t) noexcept
        { return t.when == 29 ? nullptr : &gs[static_cast<std::size_t>(30 - t.when)]; };
        arm(heap, all.back()->t);
    }
    g_list out;
    heap.run_expired(100, out);
    EXPECT_EQ(out.size(), 2U);
    EXPECT_EQ(out.pop_front(), &gs[2]);
    EXPECT_EQ(out.pop_front(), &gs[0]);
}

TEST(timer_heap_test, puts_off_what_is_armed_and_not_earlier)
{
    timer_heap heap;
    noted n;
    noted other;
    EXPECT_FALSE(timer_heap::put_off(prepare(n, 10), 20)) << "it was never armed";
    arm(heap, n.t);
    arm(heap, prepare(other, 15));
    EXPECT_FALSE(timer_heap::put_off(n.t, 9)) << "the kernel may have been told to wake somebody at 10";
    EXPECT_EQ(n.t.when, 10);
    EXPECT_TRUE(timer_heap::put_off(n.t, 20));
    EXPECT_EQ(heap.earliest(), 15);
    EXPECT_EQ(heap.size(), 2U);
    g_list out;
    heap.run_expired(19, out);
    EXPECT_TRUE(other.fired);
    EXPECT_FALSE(n.fired);
    heap.run_expired(20, out);
    EXPECT_TRUE(n.fired);
    EXPECT_FALSE(timer_heap::put_off(n.t, 30)) << "it has fired";
    EXPECT_EQ(heap.size(), 0U);
}

// Arms, disarms, puts off and fires at random against an ordered set.
TEST(timer_heap_test, behaves_as_an_ordered_set)
{
    weft::test::rng r(5);
    timer_heap heap;
    std::vector<noted> all(200);
    std::multiset<std::int64_t> model;
    std::int64_t now = 0;
    for (std::size_t step = 0; step < weft::test::scaled(100'000); ++step) {
        noted& n = all[r.below(all.size())];
        const bool armed = n.t.state.load() == timer::status::armed;
        switch (r.below(5)) {
            case 0:
            case 1:
                if (!armed) {
                    const std::int64_t when = now + static_cast<std::int64_t>(r.below(1'000));
                    model.insert(when);
                    ASSERT_EQ(arm(heap, prepare(n, when)), when == *model.begin() && model.count(when) == 1);
                }
                break;
            case 2:
                if (armed)
                    model.erase(model.find(n.t.when));
                timer_heap::disarm(n.t);
                break;
            case 3: {
                const std::int64_t before = n.t.when;
                const std::int64_t when = now + static_cast<std::int64_t>(r.below(1'000));
                const bool done = timer_heap::put_off(n.t, when);
                ASSERT_EQ(done, armed && when >= before);
                if (done) {
                    model.erase(model.find(before));
                    model.insert(when);
                }
                break;
            }
            default: {
                now += static_cast<std::int64_t>(r.below(20));
                fired_order.clear();
                g_list out;
                heap.run_expired(now, out);
                for (const std::int64_t when : fired_order) {
                    ASSERT_FALSE(model.empty());
                    ASSERT_EQ(when, *model.begin());
                    model.erase(model.begin());
                }
            }
        }
        ASSERT_EQ(heap.size(), model.size());
        ASSERT_EQ(heap.earliest(), model.empty() ? never : *model.begin());
    }
    for (noted& n : all)
        timer_heap::disarm(n.t);
}

// One thread fires, the others arm and disarm; a timer that disarm() returned for is not touched again: they lie on
// stacks that go away.
TEST(timer_heap_test, may_be_disarmed_while_it_fires)
{
    timer_heap heap;
    std::atomic<bool> stop{false};
    std::thread clock(
        [&]
        {
            for (std::int64_t now = 0; !stop; ++now) {
                g_list out;
                heap.run_expired(now, out);
            }
        });
    std::atomic<std::size_t> fired{0};
    std::vector<std::thread> users;
    for (std::uint64_t u = 0; u < 3; ++u) {
        users.emplace_back(
            [&, seed = u]
            {
                weft::test::rng r(seed);
                for (std::size_t i = 0; i < weft::test::scaled(20'000); ++i) {
                    struct armed_timer {
                        timer t;
                        std::atomic<std::size_t>* fired;
                    };
                    armed_timer mine{{}, &fired};
                    mine.t.when = static_cast<std::int64_t>(r.below(2)) * static_cast<std::int64_t>(r.below(100'000));
                    mine.t.expire = [](timer& t) noexcept -> g*
                    {
                        ++*reinterpret_cast<armed_timer&>(t).fired;
                        return nullptr;
                    };
                    arm(heap, mine.t);
                    if (r.one_in(4))
                        std::this_thread::yield();
                    timer_heap::disarm(mine.t);
                }
            });
    }
    for (std::thread& t : users)
        t.join();
    stop = true;
    clock.join();
    EXPECT_EQ(heap.size(), 0U);
    ::testing::Test::RecordProperty("fired", static_cast<int>(fired));
}

}  // namespace
