// weft::max_procs: asked, changed while everything runs, refused.
#include <atomic>
#include <limits>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace {

using procs_test = weft::test::fixture;
using weft::test::procs;
using weft::test::scaled;

void expect_refused(int n)
{
    const int before = weft::max_procs();
    try {
        weft::max_procs(n);
        ADD_FAILURE() << n << " was accepted";
    } catch (const std::invalid_argument& e) {
        EXPECT_NE(std::string_view(e.what()).find("max_procs"), std::string_view::npos) << e.what();
        EXPECT_NE(std::string_view(e.what()).find(std::to_string(n)), std::string_view::npos) << e.what();
    }
    EXPECT_EQ(weft::max_procs(), before);
}

WEFT_TEST(procs_test, asks_and_sets)
{
    const int before = weft::max_procs();
    EXPECT_GE(before, 1);
    EXPECT_EQ(weft::max_procs(5), before);
    EXPECT_EQ(weft::max_procs(), 5);
    EXPECT_EQ(weft::max_procs(0), 5);
    EXPECT_EQ(weft::stats().procs, 5U);
    EXPECT_EQ(weft::max_procs(1), 5);
    EXPECT_EQ(weft::max_procs(before), 1);
}

WEFT_TEST(procs_test, refuses_what_is_out_of_range)
{
    expect_refused(-1);
    expect_refused(std::numeric_limits<int>::min());
    expect_refused(weft::max_procs_limit + 1);
    expect_refused(std::numeric_limits<int>::max());
}

TEST_F(procs_test, works_on_a_plain_thread)
{
    const int before = weft::max_procs(3);
    EXPECT_EQ(weft::max_procs(), 3);
    EXPECT_EQ(weft::max_procs(before), 3);
    expect_refused(-1);
}

WEFT_TEST(procs_test, reaches_its_limit)
{
    const procs all(weft::max_procs_limit);
    EXPECT_EQ(weft::stats().procs, static_cast<std::uint64_t>(weft::max_procs_limit));
    std::atomic<std::size_t> ran{0};
    weft::wait_group group;
    const std::size_t count = weft::test::scaled_live(20'000);
    for (std::size_t i = 0; i < count; ++i) {
        group.go(
            [&]
            {
                weft::yield();
                ++ran;
            });
    }
    group.wait();
    EXPECT_EQ(ran, count);
}

// An idle P takes up work that another goroutine started, while its starter never lets go of its own.
WEFT_TEST(procs_test, an_idle_p_takes_up_new_work)
{
    const procs two(2);
    for (std::size_t i = 0; i < scaled(2'000); ++i) {
        auto ran = std::make_shared<std::atomic<bool>>(false);
        weft::go([ran] { *ran = true; });
        ASSERT_TRUE(weft::test::spin_until([&] { return ran->load(); })) << "round " << i;
    }
}

// The same for work that is made ready by a wake-up instead of a start.
WEFT_TEST(procs_test, an_idle_p_takes_up_a_woken_goroutine)
{
    const procs two(2);
    for (std::size_t i = 0; i < scaled(1'000); ++i) {
        weft::test::gate wake;
        auto ran = std::make_shared<std::atomic<bool>>(false);
        auto waiter = weft::async(
            [&wake, ran]
            {
                wake.wait();
                *ran = true;
            });
        weft::yield();
        wake.open();
        ASSERT_TRUE(weft::test::spin_until([&] { return ran->load(); })) << "round " << i;
        waiter.get();
    }
}

// As many goroutines as Ps meet without ever letting go of their Ps.
WEFT_TEST(procs_test, as_many_goroutines_as_procs_run_at_the_same_time)
{
    for (const int n : {2, 3, 4}) {
        const procs p(n);
        for (std::size_t i = 0; i < scaled(100); ++i) {
            std::atomic<int> arrived{0};
            std::atomic<int> missed{0};
            weft::wait_group all;
            for (int g = 0; g < n; ++g) {
                all.go(
                    [&]
                    {
                        ++arrived;
                        missed += weft::test::spin_until([&] { return arrived == n; }) ? 0 : 1;
                    });
            }
            all.wait();
            ASSERT_EQ(missed, 0);
        }
    }
}

// Work that lies in the queues of Ps that go away is not lost.
WEFT_TEST(procs_test, shrinks_and_grows_while_everything_runs)
{
    const procs restore(weft::max_procs());
    std::atomic<bool> stop{false};
    std::atomic<std::size_t> steps{0};
    std::atomic<std::size_t> slept{0};
    weft::wait_group all;
    const std::size_t count = scaled(320);
    for (std::size_t i = 0; i < count; ++i) {
        all.go(
            [&, i]
            {
                while (!stop) {
                    ++steps;
                    if (i % 8 == 0) {
                        weft::sleep_for(std::chrono::microseconds(20));
                        ++slept;
                    } else if (i % 8 == 1) {
                        weft::async([] {}).get();
                    } else {
                        weft::yield();
                    }
                }
            });
    }
    for (std::size_t i = 0; i < scaled(320); ++i) {
        const int n = 1 + static_cast<int>(i * 7 % 16);
        weft::max_procs(n);
        EXPECT_EQ(weft::max_procs(), n);
        const std::size_t before = steps;
        while (steps < before + 10)
            weft::yield();
    }
    weft::max_procs(1);
    const std::size_t before = slept;
    EXPECT_TRUE(weft::test::eventually([&] { return slept > before + 5; })) << "timers of Ps that went away still fire";
    stop = true;
    all.wait();
}

TEST_F(procs_test, changed_by_many_at_once)
{
    const procs restore(weft::max_procs());
    std::atomic<int> odd{0};
    const auto change = [&](int seed)
    {
        for (std::size_t i = 0; i < scaled(1'000); ++i) {
            const int former = weft::max_procs(1 + (seed + static_cast<int>(i)) % 6);
            odd += former < 1 || former > weft::max_procs_limit ? 1 : 0;
            weft::yield();
        }
    };
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
        threads.emplace_back(change, t);
    weft::run(
        [&]
        {
            weft::wait_group all;
            for (int g = 0; g < 3; ++g)
                all.go([&, g] { change(g + 3); });
            all.wait();
        });
    for (std::thread& t : threads)
        t.join();
    EXPECT_EQ(odd, 0);
    const int now = weft::max_procs();
    EXPECT_EQ(weft::stats().procs, static_cast<std::uint64_t>(now));
}

// A goroutine that keeps its thread is carried through a shrink as well.
WEFT_TEST(procs_test, locked_goroutines_survive_a_resize)
{
    const procs restore(weft::max_procs());
    std::atomic<bool> stop{false};
    std::atomic<int> moved{0};
    weft::wait_group all;
    for (int i = 0; i < 8; ++i) {
        all.go(
            [&]
            {
                const weft::pin p;
                const long own = weft::test::thread_id();
                while (!stop) {
                    weft::yield();
                    moved += own == weft::test::thread_id() ? 0 : 1;
                }
            });
    }
    for (std::size_t i = 0; i < scaled(300); ++i) {
        weft::max_procs(1 + static_cast<int>(i % 5));
        weft::yield();
    }
    stop = true;
    all.wait();
    EXPECT_EQ(moved, 0);
}

}  // namespace
