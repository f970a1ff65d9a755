// cancel_list: order, late hooks, removal by others and from inside, and storms of hooks against a cancellation.
#include "rt/wait/cancel.hpp"

#include <atomic>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "rt/rt.hpp"

namespace {

using rt_cancel_test = weft::test::fixture;
using weft::rt::cancel_hook;
using weft::rt::cancel_list;
using weft::rt::cancel_reason;
using weft::test::procs;
using weft::test::scaled;

struct noted : cancel_hook {
    std::vector<int>* order = nullptr;
    int number = 0;
    cancel_list* list = nullptr;

    noted(std::vector<int>& o, int n, cancel_list* l = nullptr) : order(&o), number(n), list(l)
    {
        fire = [](cancel_hook& hook) noexcept
        {
            auto& self = static_cast<noted&>(hook);
            self.order->push_back(self.number);
            if (self.list != nullptr)
                self.list->remove(self);
        };
    }
};

TEST_F(rt_cancel_test, fires_in_order_and_once)
{
    cancel_list list;
    std::vector<int> order;
    noted a(order, 1);
    noted b(order, 2, &list);
    noted c(order, 3);
    noted d(order, 4);
    EXPECT_EQ(list.reason(), cancel_reason::none);
    EXPECT_TRUE(list.add(a) && list.add(b) && list.add(c) && list.add(d));
    list.remove(c);
    list.remove(c);
    EXPECT_TRUE(list.fire_all(cancel_reason::deadline_exceeded));
    EXPECT_EQ(order, (std::vector<int>{1, 2, 4}));
    EXPECT_FALSE(list.fire_all(cancel_reason::canceled));
    EXPECT_EQ(list.reason(), cancel_reason::deadline_exceeded) << "the first reason stays";
    EXPECT_FALSE(list.add(c)) << "too late";
    list.remove(c);
    list.remove(a);
    EXPECT_EQ(order.size(), 3U);
}

TEST_F(rt_cancel_test, a_hook_may_remove_others)
{
    cancel_list list;
    std::vector<int> order;
    struct remover : cancel_hook {
        cancel_list* list;
        cancel_hook* other;
    } first;
    noted second(order, 2);
    first.list = &list;
    first.other = &second;
    first.fire = [](cancel_hook& hook) noexcept
    {
        auto& self = static_cast<remover&>(hook);
        self.list->remove(*self.other);
    };
    EXPECT_TRUE(list.add(first) && list.add(second));
    EXPECT_TRUE(list.fire_all(cancel_reason::canceled));
    EXPECT_TRUE(order.empty());
}

// Goroutines and threads add and remove hooks in their frames while one cancels: nobody fires into a frame that is
// gone (ASan and TSan see it), and each that was taken and not removed in time has fired.
void storm(std::size_t rounds, bool with_threads)
{
    for (std::size_t round = 0; round < rounds; ++round) {
        cancel_list list;
        std::atomic<std::size_t> winners{0};
        const auto owner = [&]
        {
            for (bool open = true; open;) {
                struct flagged : cancel_hook {
                    int fired = 0;
                } hook;
                hook.fire = [](cancel_hook& h) noexcept { ++static_cast<flagged&>(h).fired; };
                open = list.add(hook);
                if (round % 2 == 0)
                    weft::yield();
                if (open)
                    list.remove(hook);
                if (hook.fired != 0)
                    open = false;
                weft::yield();
            }
            EXPECT_NE(list.reason(), cancel_reason::none);
        };
        const auto canceler = [&]
        {
            weft::yield();
            winners += list.fire_all(cancel_reason::canceled) ? 1U : 0U;
            EXPECT_EQ(list.reason(), cancel_reason::canceled);
        };
        weft::wait_group all;
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i)
            all.go(owner);
        all.go(canceler);
        if (with_threads) {
            threads.emplace_back(owner);
            threads.emplace_back(canceler);
        }
        all.wait();
        for (std::thread& t : threads)
            t.join();
        EXPECT_EQ(winners, 1U);
    }
}

WEFT_TEST(rt_cancel_test, hooks_come_and_go_between_goroutines)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        storm(scaled(200), false);
    }
}

TEST_F(rt_cancel_test, hooks_come_and_go_between_threads_and_goroutines)
{
    const procs p(4);
    storm(scaled(100), true);
}

}  // namespace
