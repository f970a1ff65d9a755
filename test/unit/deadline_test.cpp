// Deadlines of every wait, on any clock and in any unit: those that have passed, those too far to count, and bubbles.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <limits>
#include <mutex>
#include <stop_token>
#include <string>
#include <type_traits>

#include "fixture.hpp"
#include "weft/testing.hpp"
#include "weft/weft.hpp"

namespace {

using namespace std::chrono_literals;
using deadline_test = weft::test::fixture;
using std::chrono::steady_clock;
using std::chrono::system_clock;
using std::chrono::time_point;
using std::chrono::time_point_cast;
using weft::test::eventually;
using weft::testing::bubble;

using unsigned_seconds = std::chrono::duration<std::uint64_t>;
using float_seconds = std::chrono::duration<float>;
using double_seconds = std::chrono::duration<double>;

/// A clock of a user's own, which the test sets.
struct set_clock {
    using rep = std::int32_t;
    using period = std::milli;
    using duration = std::chrono::duration<rep, period>;
    using time_point = std::chrono::time_point<set_clock>;
    [[maybe_unused]] static constexpr bool is_steady = false;
    static inline std::atomic<rep> says{0};
    static inline std::atomic<int> looks{0};
    static time_point now()
    {
        ++looks;
        return time_point(duration(says.load()));
    }
};

/// All that waits until a point in time, none of it to be had.
struct all_waits {
    weft::mutex held;
    weft::shared_mutex written;
    weft::counting_semaphore<> none{0};
    weft::wait_group group;
    weft::latch gate{1};
    weft::barrier<> two{2};
    weft::mutex m;
    weft::condition_variable cv;
    std::stop_source stop;
    weft::cancel_context ctx = weft::with_cancel(weft::background());

    all_waits()
    {
        held.lock();
        written.lock();
        group.add();
    }
    ~all_waits()
    {
        held.unlock();
        written.unlock();
        group.done();
        gate.count_down();
    }

    /// Each ends because `deadline` has come.
    template <class TimePoint>
    void time_out(TimePoint deadline)
    {
        weft::sleep_until(deadline);
        EXPECT_FALSE(weft::sleep_until(deadline, ctx));
        EXPECT_FALSE(held.try_lock_until(deadline));
        EXPECT_FALSE(written.try_lock_until(deadline));
        EXPECT_FALSE(written.try_lock_shared_until(deadline));
        EXPECT_FALSE(none.try_acquire_until(deadline));
        EXPECT_FALSE(group.wait_until(deadline));
        EXPECT_FALSE(gate.try_wait_until(deadline));
        std::unique_lock lock(m);
        EXPECT_EQ(cv.wait_until(lock, deadline), std::cv_status::timeout);
        EXPECT_FALSE(cv.wait_until(lock, deadline, [] { return false; }));
        EXPECT_FALSE(cv.wait_until(lock, stop.get_token(), deadline, [] { return false; }));
        weft::latch go_on(1);
        auto later = weft::async([&] { go_on.wait(); });
        EXPECT_EQ(later.wait_until(deadline), std::future_status::timeout);
        go_on.count_down();
        later.get();
        EXPECT_EQ(weft::with_deadline(weft::background(), deadline).err(), weft::context_errc::deadline_exceeded);
    }
};

/// What has passed on every clock: hangs if one of the waits does not see it.
void the_past()
{
    all_waits w;
    w.time_out(weft::clock::now() - 1s);
    w.time_out(weft::clock::time_point());
    w.time_out(weft::clock::time_point::min());
    w.time_out(time_point<weft::clock, std::chrono::hours>::min());
    w.time_out(time_point<weft::clock, std::chrono::seconds>(-5s));
    w.time_out(steady_clock::time_point());
    w.time_out(steady_clock::time_point::min());
    w.time_out(system_clock::time_point());
    w.time_out(system_clock::time_point::min());
    w.time_out(std::chrono::sys_days::min());
    w.time_out(std::chrono::file_clock::time_point::min());
    w.time_out(time_point_cast<unsigned_seconds>(system_clock::now() - 2s));
    w.time_out(time_point<system_clock, unsigned_seconds>());
    w.time_out(time_point<steady_clock, float_seconds>(float_seconds(-1e30F)));
    w.time_out(time_point<system_clock, double_seconds>(double_seconds(-std::numeric_limits<double>::infinity())));
    w.time_out(time_point<system_clock, double_seconds>(double_seconds(std::numeric_limits<double>::quiet_NaN())));
    w.time_out(set_clock::time_point::min());
}

WEFT_TEST(deadline_test, what_has_passed_does_not_wait)
{
    the_past();
}

TEST_F(deadline_test, what_has_passed_does_not_wait_on_a_plain_thread)
{
    the_past();
}

WEFT_TEST(deadline_test, what_has_passed_does_not_wait_in_a_bubble)
{
    bubble(
        []
        {
            const auto begin = weft::clock::now();
            all_waits w;
            w.time_out(begin);
            w.time_out(steady_clock::time_point::min());
            w.time_out(system_clock::now() - 1h);
            EXPECT_EQ(weft::clock::now(), begin);
        });
}

WEFT_TEST(deadline_test, a_short_wait_times_out_on_any_clock)
{
    all_waits w;
    w.time_out(weft::clock::now() + 2ms);
    w.time_out(steady_clock::now() + 2ms);
    w.time_out(system_clock::now() + 2ms);
    w.time_out(time_point<system_clock, double_seconds>(system_clock::now().time_since_epoch()) + 2ms);
}

/// A wait until `far` that others end: it is not taken for one that has passed.
template <class TimePoint>
void waits_until(TimePoint far)
{
    weft::mutex m;
    weft::mutex of_cv;
    weft::condition_variable cv;
    bool held = false;
    bool ready = false;
    weft::wait_group all;
    m.lock();
    all.go([&] { EXPECT_TRUE(held = m.try_lock_until(far)); });
    all.go(
        [&]
        {
            std::unique_lock lock(of_cv);
            EXPECT_TRUE(cv.wait_until(lock, far, [&] { return ready; }));
        });
    weft::cancel_context ctx = weft::with_deadline(weft::background(), far);
    all.go([&] { EXPECT_EQ(weft::sleep_until(far, ctx), weft::context_errc::canceled); });
    EXPECT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 3; }));
    EXPECT_FALSE(ctx.err());
    m.unlock();
    {
        const std::lock_guard lock(of_cv);
        ready = true;
    }
    cv.notify_all();
    ctx.cancel();
    all.wait();
    EXPECT_TRUE(held);
}

WEFT_TEST(deadline_test, the_far_future_is_waited_for)
{
    waits_until(weft::clock::time_point::max());
    waits_until(time_point<weft::clock, std::chrono::hours>::max());
    waits_until(steady_clock::time_point::max());
    waits_until(system_clock::time_point::max());
    waits_until(std::chrono::sys_days::max());
    waits_until(std::chrono::file_clock::time_point::max());
    waits_until(time_point<system_clock, unsigned_seconds>::max());
    waits_until(time_point<steady_clock, float_seconds>::max());
    waits_until(time_point<system_clock, double_seconds>(double_seconds(std::numeric_limits<double>::infinity())));
    waits_until(set_clock::time_point::max());
}

/// The weft::clock time that one wait in a bubble takes, until a point of another clock that is a day away.
template <class Wait>
void expect_a_day(const char* what, Wait&& wait)
{
    const auto begin = weft::clock::now();
    wait();
    const auto took = weft::clock::now() - begin;
    EXPECT_LE(took, 24h) << what;
    EXPECT_GT(took, 23h) << what << ": less by the real time until the wait began";
}

WEFT_TEST(deadline_test, another_clock_passes_once_in_a_bubble)
{
    bubble(
        []
        {
            all_waits w;
            expect_a_day("sleep", [] { weft::sleep_until(steady_clock::now() + 24h); });
            expect_a_day("sleep, context", [&] { EXPECT_FALSE(weft::sleep_until(system_clock::now() + 24h, w.ctx)); });
            expect_a_day("mutex", [&] { EXPECT_FALSE(w.held.try_lock_until(system_clock::now() + 24h)); });
            expect_a_day("shared_mutex",
                         [&] { EXPECT_FALSE(w.written.try_lock_shared_until(steady_clock::now() + 24h)); });
            expect_a_day("wait_group", [&] { EXPECT_FALSE(w.group.wait_until(system_clock::now() + 24h)); });
            std::unique_lock lock(w.m);
            expect_a_day("condition_variable",
                         [&] { EXPECT_EQ(w.cv.wait_until(lock, steady_clock::now() + 24h), std::cv_status::timeout); });
            expect_a_day("condition_variable, predicate",
                         [&] { EXPECT_FALSE(w.cv.wait_until(lock, system_clock::now() + 24h, [] { return false; })); });
            auto later = weft::async([] { weft::sleep_for(72h); });
            expect_a_day("future",
                         [&] { EXPECT_EQ(later.wait_until(system_clock::now() + 24h), std::future_status::timeout); });
            expect_a_day("context",
                         [&]
                         {
                             const auto ctx = weft::with_deadline(weft::background(), system_clock::now() + 24h);
                             (void)ctx.done().recv();
                         });
            later.get();
        });
}

// What it waits for first is over while the clock still says the same.
WEFT_TEST(deadline_test, a_clock_that_lags_behind_is_looked_at_again)
{
    all_waits w;
    const set_clock::time_point deadline(1ms);
    set_clock::says = 0;
    set_clock::looks = 0;
    auto sleeper = weft::async([&] { weft::sleep_until(deadline); });
    EXPECT_TRUE(eventually([] { return set_clock::looks >= 10; }));
    EXPECT_FALSE(sleeper.ready());
    set_clock::looks = 0;
    auto locker = weft::async([&] { return w.held.try_lock_until(deadline); });
    auto other = weft::async(
        [&]
        {
            std::unique_lock lock(w.m);
            return w.cv.wait_until(lock, deadline, [] { return false; });
        });
    EXPECT_TRUE(eventually([] { return set_clock::looks >= 30; }));
    EXPECT_FALSE(locker.ready());
    EXPECT_FALSE(other.ready());
    EXPECT_EQ(other.wait_until(weft::clock::now()), std::future_status::timeout);
    set_clock::says = 1;
    sleeper.get();
    EXPECT_FALSE(locker.get());
    EXPECT_FALSE(other.get());
    set_clock::says = 0;
}

TEST_F(deadline_test, what_is_left_neither_overflows_nor_is_early)
{
    using weft::detail::saturate;
    using weft::detail::time_left;
    constexpr auto most = std::chrono::nanoseconds::max();
    static_assert(saturate(unsigned_seconds(2)) == 2s);
    static_assert(saturate(unsigned_seconds::max()) == most);
    static_assert(saturate(std::chrono::duration<std::int64_t, std::ratio<1'000'000'007, 3>>(27)) == 9'000'000'063s);
    static_assert(saturate(std::chrono::duration<std::int64_t, std::ratio<1'000'000'007, 3>>::max()) == most);
    static_assert(saturate(float_seconds(9.2233718e9F)) > 9'223'371'000s, "in float the product is 2^63");
    static_assert(saturate(std::chrono::duration<std::int8_t>(-128)) == 0ns);
    EXPECT_EQ(time_left(set_clock::time_point::max()), std::chrono::nanoseconds(set_clock::duration::max()));
    EXPECT_EQ(time_left(set_clock::time_point::min()), 0ns);
    EXPECT_EQ(time_left(time_point<set_clock, std::chrono::duration<std::uint8_t, std::milli>>(
                  std::chrono::duration<std::uint8_t, std::milli>(7))),
              7ms);
    EXPECT_EQ(time_left(steady_clock::time_point::min()), 0ns);
    EXPECT_GT(time_left(std::chrono::sys_days::max()), 1000000h);
}

}  // namespace
