// testing::explore: it finds what depends on the order, and a seed repeats an order exactly.
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "fixture.hpp"
#include "weft/context.hpp"
#include "weft/testing.hpp"

namespace {

using explore_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::test::procs;
using weft::test::scaled;
using weft::testing::explore;
using weft::testing::seed;

constexpr int few_hundred = 300;

struct assertion_failed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void require(bool holds, const char* what)
{
    if (!holds)
        throw assertion_failed(what);
}

// The seed that has made `f` fail; none if no run has.
template <class F>
std::optional<seed> failing_seed(int runs, F&& f)
{
    try {
        explore(runs, f);
    } catch (const weft::testing::exploration_failed& e) {
        return e.where();
    }
    return std::nullopt;
}

void lost_update()
{
    int value = 0;
    weft::wait_group all;
    for (int i = 0; i < 2; ++i) {
        all.go(
            [&]
            {
                const int read = value;
                weft::yield();
                value = read + 1;
            });
    }
    all.wait();
    require(value == 2, "an update was lost");
}

WEFT_TEST(explore_test, finds_a_lost_update)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        const auto found = failing_seed(few_hundred, lost_update);
        ASSERT_TRUE(found.has_value());
        for (int i = 0; i < 10; ++i)
            EXPECT_THROW(explore(*found, lost_update), assertion_failed);
    }
}

// The update is safe in each section, but not from one to the other.
void check_then_act()
{
    weft::mutex m;
    int value = 0;
    weft::wait_group all;
    for (int i = 0; i < 2; ++i) {
        all.go(
            [&]
            {
                m.lock();
                const bool first = value == 0;
                m.unlock();
                if (first) {
                    const std::lock_guard guard(m);
                    ++value;
                }
            });
    }
    all.wait();
    require(value == 1, "both were the first");
}

WEFT_TEST(explore_test, changes_the_turn_at_locks_that_nobody_waits_for)
{
    ASSERT_TRUE(failing_seed(few_hundred, check_then_act).has_value());
}

// What ends a wait early wakes the waiter from inside a lock or a callback of its own, on which the waiter waits.
void a_cancellation_ends_every_wait()
{
    weft::mutex held;
    held.lock();
    weft::counting_semaphore<> none(0);
    weft::wait_group never_done;
    never_done.add();
    const weft::chan<int> never;
    weft::mutex m;
    weft::condition_variable cv;
    std::stop_source source;
    weft::cancel_context ctx = weft::with_cancel(weft::background());
    const weft::cancel_context below = weft::with_timeout(ctx, 1h);
    weft::wait_group all;
    all.go([&] { require(bool(weft::sleep_for(24h, ctx)), "sleep"); });
    all.go([&] { require(bool(held.lock(ctx)), "mutex"); });
    all.go([&] { require(bool(none.acquire(below)), "semaphore"); });
    all.go([&] { require(bool(never_done.wait(below)), "wait_group"); });
    all.go([&] { weft::select(weft::on_recv(never), weft::on_done(ctx)); });
    all.go(
        [&]
        {
            std::unique_lock lock(m);
            require(bool(cv.wait(lock, [] { return false; }, ctx)), "condition_variable");
        });
    all.go(
        [&]
        {
            std::unique_lock lock(m);
            require(!cv.wait(lock, ctx.stop_token(), [] { return false; }), "condition_variable, its token");
        });
    all.go(
        [&]
        {
            std::unique_lock lock(m);
            require(!cv.wait(lock, source.get_token(), [] { return false; }), "condition_variable, a token");
        });
    all.go(
        [token = source.get_token()]
        {
            // Dropped by the waiter that its end wakes, which unregisters the callback.
            const weft::context of_token = token;
            require(bool(weft::sleep_for(24h, of_token)), "sleep, a token");
        });
    all.go([&] { ctx.cancel(); });
    all.go([&] { source.request_stop(); });
    all.wait();
    never_done.done();
    held.unlock();
}

WEFT_TEST(explore_test, a_cancellation_ends_every_wait)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        explore(few_hundred, a_cancellation_ends_every_wait);
    }
}

// The holder takes the mutex again each time before the waiter runs. Time stands still meanwhile.
void a_waiter_is_not_starved()
{
    weft::mutex m;
    bool got = false;
    m.lock();
    weft::wait_group waiter;
    waiter.go(
        [&]
        {
            const std::lock_guard guard(m);
            got = true;
        });
    weft::testing::settle();
    int rounds = 0;
    while (!got && ++rounds < 1'000) {
        m.unlock();
        m.lock();
        weft::yield();
    }
    m.unlock();
    waiter.wait();
    require(rounds < 1'000, "the waiter has starved");
}

WEFT_TEST(explore_test, a_waiter_is_not_starved)
{
    const procs one(1);
    weft::testing::bubble(a_waiter_is_not_starved);
    explore(few_hundred, a_waiter_is_not_starved);
}

// Not under the fixture: what is deadlocked keeps its stack.
class explore_deadlock_test : public ::testing::Test {
protected:
    void TearDown() override
    {
        EXPECT_TRUE(weft::test::eventually([] { return weft::num_goroutines() == 0; }));
    }
};

TEST_F(explore_deadlock_test, finds_two_mutexes_locked_in_both_orders)
{
    const auto abba = []
    {
        weft::mutex a;
        weft::mutex b;
        weft::wait_group all;
        all.go(
            [&]
            {
                const std::scoped_lock guard(a);
                const std::lock_guard second(b);
            });
        all.go(
            [&]
            {
                const std::scoped_lock guard(b);
                const std::lock_guard second(a);
            });
        all.wait();
    };
    for (const int n : {1, 2, 4, 16}) {
        const procs p(n);
        const auto found = failing_seed(few_hundred, abba);
        ASSERT_TRUE(found.has_value());
        for (int i = 0; i < 5; ++i)
            EXPECT_THROW(explore(*found, abba), weft::testing::deadlock);
    }
}

WEFT_TEST(explore_test, finds_what_depends_on_the_order_of_starts)
{
    for (const int last : {0, 1, 2, 3}) {
        const auto in_order = [last]
        {
            std::vector<int> order;
            {
                weft::wait_group all;
                for (int i = 0; i < 4; ++i)
                    all.go([&, i] { order.push_back(i); });
                all.wait();
            }
            require(order.back() != last, "this one came last");
        };
        EXPECT_TRUE(failing_seed(few_hundred, in_order).has_value()) << last;
    }
}

// The waker goes on before the woken one, or the other way round.
WEFT_TEST(explore_test, finds_what_depends_on_who_runs_after_a_wake_up)
{
    for (const bool wanted : {false, true}) {
        const auto wake = [wanted]
        {
            weft::wait_group ready;
            ready.add();
            bool stored = false;
            bool seen = false;
            weft::wait_group all;
            all.go(
                [&]
                {
                    ready.wait();
                    seen = stored;
                });
            all.go(
                [&]
                {
                    ready.done();
                    stored = true;
                });
            all.wait();
            require(seen != wanted, "this order");
        };
        EXPECT_TRUE(failing_seed(few_hundred, wake).has_value()) << wanted;
    }
}

WEFT_TEST(explore_test, reaches_every_order_of_three)
{
    std::set<std::vector<int>> orders;
    for (std::uint64_t s = 1; s <= 3'000 && orders.size() < 90; ++s)
        explore(seed{s},
                [&]
                {
                    std::vector<int> order;
                    weft::wait_group all;
                    for (int i = 0; i < 3; ++i)
                        all.go(
                            [&, i]
                            {
                                order.push_back(i);
                                weft::yield();
                                order.push_back(i);
                            });
                    all.wait();
                    orders.insert(order);
                });
    EXPECT_EQ(orders.size(), 90U) << "6! / 2!^3";
}

// Everything that parks, readies, yields, locks, sleeps and chooses, as a trace of who did what.
std::vector<int> steps_of(seed at)
{
    std::vector<int> trace;
    explore(at,
            [&]
            {
                weft::mutex m;
                weft::chan<int> c(2);
                weft::chan<int> d;
                weft::wait_group all;
                for (int i = 0; i < 4; ++i) {
                    all.go(
                        [&, i]
                        {
                            for (int k = 0; k < 5; ++k) {
                                trace.push_back(100 + i);
                                const std::lock_guard guard(m);
                                trace.push_back(200 + i);
                                if (k % 2 == 0)
                                    weft::yield();
                                if (k == 3)
                                    weft::sleep_for(1ms * (i % 2));
                                trace.push_back(300 + i);
                            }
                        });
                    all.go(
                        [&, i]
                        {
                            for (int k = 0; k < 3; ++k) {
                                trace.push_back(400 + i);
                                if (i % 2 == 0)
                                    c.send(i);
                                else
                                    d.send(i);
                                trace.push_back(500 + i);
                            }
                        });
                }
                all.go(
                    [&]
                    {
                        for (int k = 0; k < 12; ++k)
                            weft::select(weft::on_recv(c, [&](std::optional<int> v) { trace.push_back(600 + *v); }),
                                         weft::on_recv(d, [&](std::optional<int> v) { trace.push_back(700 + *v); }));
                    });
                auto result = weft::async([&] { trace.push_back(800); });
                result.get();
                all.wait();
                trace.push_back(static_cast<int>(weft::clock::now().time_since_epoch().count() % 1'000'000'007));
            });
    return trace;
}

// Some of the sizes of channels, in holes that the next ones may fill in another order.
std::vector<std::unique_ptr<char[]>> blocks_on_the_heap(std::uint64_t pattern)
{
    std::vector<std::unique_ptr<char[]>> blocks;
    for (std::size_t i = 0; i < 16; ++i)
        blocks.push_back(std::make_unique<char[]>(128 + 16 * (i % 4)));
    for (std::size_t i = 0; i < 16; ++i)
        if ((pattern * (i + 1)) % 3 == 0)
            blocks[(i * 5 + pattern) % 16].reset();
    return blocks;
}

WEFT_TEST(explore_test, a_seed_repeats_an_order_exactly)
{
    std::set<std::vector<int>> different;
    for (std::uint64_t s = 1; s <= scaled(30); ++s) {
        std::vector<int> first;
        for (const int n : {1, 2, 4, 16}) {
            const procs p(n);
            for (int i = 0; i < 3; ++i) {
                // Objects lie elsewhere each time: addresses must not matter.
                const std::vector<std::unique_ptr<char[]>> shift =
                    blocks_on_the_heap(s * 7 + static_cast<std::uint64_t>(n) * 3 + static_cast<std::uint64_t>(i));
                const std::vector<int> trace = steps_of(seed{s});
                if (first.empty())
                    first = trace;
                EXPECT_EQ(trace, first) << "seed " << s << ", " << n << " Ps";
            }
        }
        different.insert(first);
    }
    EXPECT_EQ(different.size(), scaled(30)) << "other seeds, other orders";
}

// A future that is dropped gives its goroutine's control block back, which may be used again at once.
// Timers fire by the clock of the exploration, and what they start runs in the order that is drawn.
WEFT_TEST(explore_test, timers_are_part_of_the_order)
{
    const auto run = [](seed s)
    {
        std::vector<int> order;
        explore(s,
                [&]
                {
                    weft::ticker tick(2s);
                    for (int i = 0; i < 6; ++i)
                        (void)weft::after_func(1s * (i % 3), [&, i] { order.push_back(i); });
                    for (int i = 6; i < 9; ++i) {
                        (void)tick.channel().recv();
                        order.push_back(i);
                    }
                });
        return order;
    };
    std::set<std::vector<int>> seen;
    for (std::uint64_t s = 1; s <= 100; ++s) {
        const std::vector<int> first = run(seed{s});
        EXPECT_EQ(first.size(), 9U);
        for (const int n : {1, 4}) {
            const procs p(n);
            EXPECT_EQ(run(seed{s}), first) << "seed " << s;
        }
        seen.insert(first);
    }
    EXPECT_GT(seen.size(), 4U);
}

WEFT_TEST(explore_test, futures_come_and_go)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        explore(static_cast<int>(scaled(100)),
                []
                {
                    weft::wait_group all;
                    for (int i = 0; i < 4; ++i)
                        all.go(
                            [i]
                            {
                                for (int k = 0; k < 10; ++k)
                                    require(weft::async([=] { return i + k; }).get() == i + k, "the result");
                            });
                    all.wait();
                });
    }
}

TEST_F(explore_test, works_from_a_plain_thread)
{
    const auto found = failing_seed(few_hundred, lost_update);
    ASSERT_TRUE(found.has_value());
    EXPECT_THROW(explore(*found, lost_update), assertion_failed);
}

WEFT_TEST(explore_test, passes_where_there_is_nothing_to_find)
{
    int runs = 0;
    explore(50,
            [&]
            {
                ++runs;
                weft::mutex m;
                int value = 0;
                weft::wait_group all;
                for (int i = 0; i < 4; ++i)
                    all.go(
                        [&]
                        {
                            const std::lock_guard guard(m);
                            const int read = value;
                            weft::yield();
                            value = read + 1;
                        });
                all.wait();
                require(value == 4, "mutual exclusion");
            });
    EXPECT_EQ(runs, 50);
}

WEFT_TEST(explore_test, only_one_runs_at_a_time)
{
    const procs four(4);
    explore(20,
            []
            {
                std::atomic<int> inside{0};
                weft::wait_group all;
                for (int i = 0; i < 8; ++i)
                    all.go(
                        [&]
                        {
                            for (int k = 0; k < 20; ++k) {
                                require(++inside == 1, "two at once");
                                for (int spin = 0; spin < 50; ++spin)
                                    require(inside == 1, "two at once");
                                --inside;
                                weft::yield();
                            }
                        });
                all.wait();
            });
}

WEFT_TEST(explore_test, several_at_the_same_time)
{
    const procs four(4);
    const std::vector<int> alone = steps_of(seed{7});
    weft::wait_group all;
    for (int i = 0; i < 8; ++i)
        all.go(
            [&]
            {
                for (int k = 0; k < 3; ++k)
                    EXPECT_EQ(steps_of(seed{7}), alone);
            });
    all.wait();
}

WEFT_TEST(explore_test, the_failure_carries_what_has_failed)
{
    try {
        explore(10, [] { throw assertion_failed("always"); });
        FAIL() << "no exception";
    } catch (const weft::testing::exploration_failed& e) {
        EXPECT_NE(std::string(e.what()).find("always"), std::string::npos) << e.what();
        EXPECT_NE(std::string(e.what()).find(std::to_string(e.where().value)), std::string::npos) << e.what();
        EXPECT_THROW(std::rethrow_if_nested(e), assertion_failed);
    }
}

WEFT_TEST(explore_test, the_environment_chooses_the_seeds)
{
    const auto where = [] { return failing_seed(1, [] { throw assertion_failed("always"); }); };
    ::setenv("WEFT_SEED", "0x2a", 1);
    const auto first = where();
    EXPECT_EQ(where(), first);
    ::setenv("WEFT_SEED", "43", 1);
    EXPECT_NE(where(), first);
    ::setenv("WEFT_SEED", "a number", 1);
    EXPECT_THROW((void)where(), std::invalid_argument);
    ::unsetenv("WEFT_SEED");
    EXPECT_THROW(explore(0, [] {}), std::invalid_argument);
    EXPECT_THROW(explore(-1, [] {}), std::invalid_argument);
}

}  // namespace
