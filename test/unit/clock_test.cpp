// weft::clock, sleep_for and sleep_until: never early, whatever the argument.
#include "weft/time.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ratio>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace {

using time_test = weft::test::fixture;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using weft::detail::saturate;
using weft::test::procs;
using weft::test::scaled;

static_assert(weft::clock::is_steady);
static_assert(saturate(0s) == 0ns);
static_assert(saturate(-5s) == 0ns);
static_assert(saturate(std::chrono::hours::min()) == 0ns);
static_assert(saturate(1ns) == 1ns);
static_assert(saturate(3ms) == 3'000'000ns);
static_assert(saturate(std::chrono::duration<int, std::pico>(1)) == 1ns, "rounded up");
static_assert(saturate(std::chrono::duration<double, std::nano>(1.25)) == 2ns, "rounded up");
static_assert(saturate(std::chrono::hours::max()) == nanoseconds::max());
static_assert(saturate(std::chrono::years::max()) == nanoseconds::max());
static_assert(saturate(nanoseconds::max()) == nanoseconds::max());
static_assert(saturate(std::chrono::duration<double>(1e30)) == nanoseconds::max());
static_assert(saturate(std::chrono::duration<double>(std::numeric_limits<double>::infinity())) == nanoseconds::max());

template <class Duration>
void sleeps_at_least(Duration d)
{
    const auto steady = std::chrono::steady_clock::now();
    const auto own = weft::clock::now();
    weft::sleep_for(d);
    EXPECT_GE(weft::clock::now() - own, d);
    EXPECT_GE(std::chrono::steady_clock::now() - steady, d);
}

void sleeps_are_never_early()
{
    sleeps_at_least(1ns);
    sleeps_at_least(999ns);
    sleeps_at_least(1us);
    sleeps_at_least(100us);
    sleeps_at_least(1ms);
    sleeps_at_least(20ms);
    sleeps_at_least(std::chrono::duration<double>(0.003));
    sleeps_at_least(std::chrono::duration<double, std::milli>(0.5));
    sleeps_at_least(std::chrono::duration<int, std::pico>(1));

    const auto deadline = weft::clock::now() + 5ms;
    weft::sleep_until(deadline);
    EXPECT_GE(weft::clock::now(), deadline);
    const auto steady = std::chrono::steady_clock::now() + 3ms;
    weft::sleep_until(steady);
    EXPECT_GE(std::chrono::steady_clock::now(), steady);
    const auto system = std::chrono::system_clock::now() + 3ms;
    weft::sleep_until(system);
    EXPECT_GE(std::chrono::system_clock::now(), system);
}

WEFT_TEST(time_test, sleeps_are_never_early)
{
    sleeps_are_never_early();
}

TEST_F(time_test, sleeps_are_never_early_on_a_plain_thread)
{
    sleeps_are_never_early();
}

// These must return; how soon can't be asserted on a loaded machine.
void nothing_to_wait_for()
{
    weft::sleep_for(0s);
    weft::sleep_for(-1s);
    weft::sleep_for(nanoseconds::min());
    weft::sleep_for(std::chrono::hours::min());
    weft::sleep_for(std::chrono::duration<double>(-0.5));
    weft::sleep_for(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN()));
    weft::sleep_until(weft::clock::now() - 1h);
    weft::sleep_until(weft::clock::time_point::min());
    weft::sleep_until(weft::clock::time_point{});
    weft::sleep_until(std::chrono::system_clock::time_point{});
    weft::sleep_until(std::chrono::steady_clock::time_point::min());
}

WEFT_TEST(time_test, returns_when_there_is_nothing_to_wait_for)
{
    nothing_to_wait_for();
    EXPECT_EQ(weft::stats().timers, 0U);
}

TEST_F(time_test, returns_on_a_plain_thread_when_there_is_nothing_to_wait_for)
{
    nothing_to_wait_for();
}

TEST_F(time_test, deadlines_do_not_overflow)
{
    EXPECT_EQ(saturate(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())), 0ns);
    EXPECT_EQ(weft::detail::deadline_after(nanoseconds::max()), weft::clock::time_point::max());
    EXPECT_EQ(weft::detail::deadline_after(std::chrono::hours::max()), weft::clock::time_point::max());
    const auto now = weft::clock::now();
    EXPECT_GE(weft::detail::deadline_after(0s), now);
    EXPECT_GE(weft::detail::deadline_after(-1s), now);
    EXPECT_GE(weft::detail::deadline_after(1s), now + 1s);
}

TEST_F(time_test, the_clock_is_monotonic)
{
    auto last = weft::clock::now();
    for (std::size_t i = 0; i < scaled(100'000); ++i) {
        const auto now = weft::clock::now();
        ASSERT_GE(now, last);
        last = now;
    }
}

void many_sleepers(int proc_count)
{
    const procs p(proc_count);
    const std::size_t count = weft::test::scaled_live(10'000);
    std::atomic<std::size_t> early{0};
    std::atomic<std::size_t> awake{0};
    weft::wait_group all;
    const auto start = weft::clock::now();
    for (std::size_t i = 0; i < count; ++i) {
        all.go(
            [&, i]
            {
                for (std::size_t round = 1; round <= 3; ++round) {
                    const auto deadline = start + std::chrono::microseconds((i * 7'919) % 30'000 * round);
                    weft::sleep_until(deadline);
                    early += weft::clock::now() < deadline ? 1U : 0U;
                }
                ++awake;
            });
    }
    all.wait();
    EXPECT_EQ(awake, count);
    EXPECT_EQ(early, 0U);
    EXPECT_EQ(weft::stats().timers, 0U);
}

WEFT_TEST(time_test, many_sleepers)
{
    for (const int n : {1, 2, 8})
        many_sleepers(n);
}

// With one P, sleepers continue in the order of their deadlines, however late the machine is.
WEFT_TEST(time_test, sleepers_wake_in_order)
{
    const procs one(1);
    // A P that max_procs() has taken out of use gives up at its thread's next look: order holds from then on.
    ASSERT_TRUE(weft::test::eventually(
        []
        {
            const weft::runtime_stats now = weft::stats();
            return now.threads_idle + 1 >= now.threads;
        }));
    for (std::size_t round = 0; round < scaled(20); ++round) {
        constexpr int count = 100;
        // A P that is taken away from a goroutine whose thread does not run lets the next one overtake it, and run
        // beside it.
        std::array<std::atomic<int>, count> order{};
        std::atomic<std::size_t> woken{0};
        std::atomic<bool> late{
            false};  // somebody came after the first deadline, perhaps after its own, and did not sleep
        weft::wait_group all;
        const std::uint64_t retakes = weft::stats().retakes;
        const auto start = weft::clock::now() + 5ms;
        for (int i = 0; i < count; ++i) {
            const int rank = (i * 37 + static_cast<int>(round)) % count;
            all.go(
                [&, rank]
                {
                    if (weft::clock::now() >= start)
                        late.store(true);
                    weft::sleep_until(start + std::chrono::microseconds(50 * rank));
                    order[woken.fetch_add(1)].store(rank);
                });
        }
        all.wait();
        EXPECT_EQ(woken.load(), order.size());
        EXPECT_TRUE(late.load() || weft::stats().retakes != retakes || std::is_sorted(order.begin(), order.end()));
    }
}

// A shorter sleep that starts later does not wait for the longer one in front of it: here that one never ends by
// itself.
WEFT_TEST(time_test, a_nearer_deadline_overtakes)
{
    weft::test::gate finish;
    auto held = weft::async([&] { finish.wait(); });
    auto far_away = weft::async([&] { return held.wait_for(1h); });
    EXPECT_TRUE(weft::test::eventually([] { return weft::stats().timers >= 1; }));
    for (int i = 0; i < 20; ++i)
        weft::sleep_for(1ms);
    std::thread([] { weft::sleep_for(1ms); }).join();
    finish.open();
    EXPECT_EQ(far_away.get(), std::future_status::ready);
}

TEST_F(time_test, many_threads_sleep)
{
    std::vector<std::thread> threads;
    std::atomic<int> early{0};
    for (int t = 0; t < 16; ++t) {
        threads.emplace_back(
            [&, t]
            {
                for (int i = 0; i < 10; ++i) {
                    const auto before = std::chrono::steady_clock::now();
                    const auto d = std::chrono::microseconds(100 * (t + 1));
                    weft::sleep_for(d);
                    early += std::chrono::steady_clock::now() - before < d ? 1 : 0;
                }
            });
    }
    for (std::thread& t : threads)
        t.join();
    EXPECT_EQ(early, 0);
}

// Sleepers go on while another goroutine computes without a scheduling point on the only other P.
WEFT_TEST(time_test, sleepers_go_on_beside_a_busy_goroutine)
{
    const procs two(2);
    std::atomic<bool> stop{false};
    weft::wait_group busy;
    std::atomic<bool> running{false};
    busy.go(
        [&]
        {
            running = true;
            while (!stop) {
            }
        });
    EXPECT_TRUE(weft::test::eventually([&] { return running.load(); }));
    for (int i = 0; i < 20; ++i)
        weft::sleep_for(100us);
    stop = true;
    busy.wait();
}

}  // namespace
