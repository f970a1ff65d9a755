// weft::wait_group: waiting for a number of things to finish.
#include <array>
#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "weft/local.hpp"
#include "weft/sync.hpp"

namespace {

using wait_group_test = weft::test::fixture;
using weft::test::counted;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;
using weft::test::slow_to_go;

static_assert(sizeof(weft::wait_group) == 8);
constinit weft::wait_group constant_initialised;

WEFT_TEST(wait_group_test, an_empty_one_does_not_wait)
{
    constant_initialised.wait();
    weft::wait_group g;
    g.wait();
    g.add(0);
    g.wait();
}

WEFT_TEST(wait_group_test, waits_for_all)
{
    weft::wait_group g;
    std::atomic<int> ran{0};
    g.add(10);
    for (int i = 0; i < 10; ++i) {
        weft::go(
            [&]
            {
                weft::yield();
                ++ran;
                g.done();
            });
    }
    g.wait();
    EXPECT_EQ(ran, 10);
}

WEFT_TEST(wait_group_test, go_counts_by_itself)
{
    weft::wait_group g;
    std::atomic<int> ran{0};
    for (int i = 0; i < 10; ++i)
        g.go([&, p = std::make_unique<int>(1)] { ran += *p; });
    g.wait();
    EXPECT_EQ(ran, 10);
}

WEFT_TEST(wait_group_test, go_counts_back_when_nothing_starts)
{
    struct fails {
        fails() = default;
        fails(const fails&) { throw std::runtime_error("copy"); }
        void operator()() const {}
    };
    weft::wait_group g;
    const fails f;
    for (int i = 0; i < 10; ++i)
        EXPECT_THROW(g.go(f), std::runtime_error);
    g.wait();
}

WEFT_TEST(wait_group_test, go_counts_down_on_exit_goroutine)
{
    weft::wait_group g;
    for (int i = 0; i < 10; ++i)
        g.go([] { weft::exit_goroutine(); });
    g.wait();
}

WEFT_TEST(wait_group_test, wait_returns_when_what_go_started_is_gone)
{
    static weft::local<slow_to_go> held;
    for (int i = 0; i < 10; ++i) {
        weft::wait_group g;
        g.go([s = slow_to_go()] {});
        g.go([s = slow_to_go(), big = std::array<char, 1'000>()] { EXPECT_EQ(big[0], 0); });
        g.go([s = slow_to_go()] { weft::exit_goroutine(); });
        g.go([] { (void)held.get(); });
        g.go(
            [big = std::array<char, 1'000>()]
            {
                EXPECT_EQ(big[0], 0);
                (void)held.get();
            });
        g.wait();
        EXPECT_EQ(slow_to_go::alive, 0);
    }
}

WEFT_TEST(wait_group_test, a_negative_counter_is_an_error)
{
    weft::wait_group g;
    EXPECT_THROW(g.done(), std::logic_error);
    EXPECT_THROW(g.add(-5), std::logic_error);
    EXPECT_THROW(g.add(std::numeric_limits<int>::min()), std::logic_error);
    g.wait();
    g.add(2);
    EXPECT_THROW(g.add(-3), std::logic_error);
    g.done();
    g.done();
    g.wait();
    EXPECT_THROW(g.done(), std::logic_error) << "the counter stayed as it was";
}

WEFT_TEST(wait_group_test, a_counter_beyond_its_range_is_an_error)
{
    constexpr int most = std::numeric_limits<int>::max();
    weft::wait_group g;
    g.add(most);
    EXPECT_THROW(g.add(1), std::logic_error);
    EXPECT_THROW(g.add(most), std::logic_error);
    g.add(-most);
    g.wait();
}

WEFT_TEST(wait_group_test, a_wrong_done_beside_a_waiter_wakes_nobody)
{
    weft::wait_group g;
    g.add(1);
    std::atomic<bool> woken{false};
    weft::wait_group waiter;
    waiter.go(
        [&]
        {
            g.wait();
            woken = true;
        });
    EXPECT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 1; }));
    EXPECT_THROW(g.add(-2), std::logic_error);
    EXPECT_THROW(g.add(std::numeric_limits<int>::max()), std::logic_error);
    for (int i = 0; i < 100; ++i)
        weft::yield();
    EXPECT_FALSE(woken);
    g.done();
    waiter.wait();
    EXPECT_TRUE(woken);
}

WEFT_TEST(wait_group_test, may_be_used_again)
{
    const procs four(4);
    weft::wait_group g;
    std::size_t sum = 0;
    for (std::size_t i = 0; i < scaled(5'000); ++i) {
        std::atomic<std::size_t> ran{0};
        for (int n = 0; n < 3; ++n)
            g.go([&] { ++ran; });
        g.wait();
        ASSERT_EQ(ran, 3U);
        sum += ran;
    }
    EXPECT_EQ(sum, 3 * scaled(5'000));
}

WEFT_TEST(wait_group_test, grows_while_it_is_waited_for)
{
    weft::wait_group g;
    std::atomic<int> ran{0};
    g.go(
        [&]
        {
            for (int i = 0; i < 100; ++i) {
                g.go(
                    [&]
                    {
                        weft::yield();
                        ++ran;
                    });
                weft::yield();
            }
        });
    g.wait();
    EXPECT_EQ(ran, 100);
}

void wakes_all_waiters(std::size_t goroutines, std::size_t thread_count)
{
    for (int round = 0; round < 3; ++round) {
        weft::wait_group g;
        g.add(1);
        std::atomic<bool> open{false};
        std::atomic<std::size_t> early{0};
        std::atomic<std::size_t> through{0};
        const auto waiter = [&]
        {
            g.wait();
            early += open ? 0U : 1U;
            ++through;
        };
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < thread_count; ++i)
            threads.emplace_back(waiter);
        for (std::size_t i = 0; i < goroutines; ++i)
            weft::go(waiter);
        EXPECT_TRUE(eventually([&] { return weft::stats().goroutines_waiting >= goroutines; }));
        open = true;
        g.done();
        for (std::thread& t : threads)
            t.join();
        EXPECT_TRUE(eventually([&] { return through == goroutines + thread_count; }));
        EXPECT_EQ(early, 0U);
    }
}

WEFT_TEST(wait_group_test, wakes_many_waiters)
{
    wakes_all_waiters(weft::test::scaled_live(5'000), 0);
}

TEST_F(wait_group_test, wakes_goroutines_and_threads)
{
    wakes_all_waiters(scaled(500), 8);
}

TEST_F(wait_group_test, works_between_plain_threads)
{
    weft::wait_group g;
    std::size_t sum = 0;
    for (std::size_t i = 0; i < scaled(500); ++i) {
        std::size_t value = 0;
        g.add();
        std::thread t(
            [&]
            {
                value = 1;
                g.done();
            });
        g.wait();
        sum += value;
        t.join();
    }
    EXPECT_EQ(sum, scaled(500));
}

// It lies on the waiter's stack and is gone as soon as wait() returns.
WEFT_TEST(wait_group_test, may_be_destroyed_after_wait)
{
    const procs four(4);
    for (std::size_t i = 0; i < scaled(20'000); ++i) {
        const auto g = std::make_unique<weft::wait_group>();
        g->go([] {});
        if (i % 2 == 0)
            g->go([] { weft::yield(); });
        g->wait();
    }
}

TEST_F(wait_group_test, may_be_destroyed_after_wait_on_a_plain_thread)
{
    for (std::size_t i = 0; i < scaled(5'000); ++i) {
        const auto g = std::make_unique<weft::wait_group>();
        g->go([] {});
        g->wait();
    }
}

// What was written before done() is there after wait().
WEFT_TEST(wait_group_test, done_happens_before_wait_returns)
{
    const procs four(4);
    for (std::size_t i = 0; i < scaled(3'000); ++i) {
        std::vector<std::size_t> values(8);
        weft::wait_group g;
        for (std::size_t n = 0; n < values.size(); ++n)
            g.go([&values, n, i] { values[n] = n + i; });
        g.wait();
        for (std::size_t n = 0; n < values.size(); ++n)
            ASSERT_EQ(values[n], n + i);
    }
}

void times_out()
{
    using namespace std::chrono_literals;
    weft::wait_group g;
    EXPECT_TRUE(g.wait_for(-1h));
    g.add(2);
    EXPECT_FALSE(g.wait_for(1ms));
    EXPECT_FALSE(g.wait_until(weft::clock::now() + 1ms));
    EXPECT_FALSE(g.wait_until(std::chrono::system_clock::now() + 1ms));
    g.done();
    EXPECT_FALSE(g.wait_for(0ms));
    weft::go([&] { g.done(); });
    EXPECT_TRUE(g.wait_for(1h));
    g.add();
    EXPECT_FALSE(g.wait_for(1ms)) << "and again";
    g.done();
    g.wait();
}

WEFT_TEST(wait_group_test, times_out)
{
    times_out();
}

TEST_F(wait_group_test, times_out_on_a_plain_thread)
{
    times_out();
}

// The last done() meets the deadline of the last waiter: when that says that the group is done, it may be destroyed.
TEST_F(wait_group_test, deadlines_race_with_the_last_done)
{
    const procs four(4);
    const auto work = []
    {
        for (std::size_t i = 0; i < scaled(3'000); ++i) {
            auto g = std::make_unique<weft::wait_group>();
            g->add();
            auto last = weft::async([raw = g.get()] { raw->done(); });
            if (!g->wait_for(std::chrono::microseconds(i % 30)))
                last.wait();
            g.reset();
        }
    };
    std::thread thread(work);
    weft::wait_group all;
    for (int i = 0; i < 3; ++i)
        all.go(work);
    thread.join();
    all.wait();
}

}  // namespace
