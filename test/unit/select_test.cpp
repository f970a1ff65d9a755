// weft::select and weft::selector: one wait on many channels.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../support/rng.hpp"
#include "allocations.hpp"
#include "fixture.hpp"
#include "weft/select.hpp"

namespace {

using select_test = weft::test::fixture;
using selector_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::chan;
using weft::chan_status;
using weft::on_deadline;
using weft::on_recv;
using weft::on_send;
using weft::on_timeout;
using weft::otherwise;
using weft::select;
using weft::test::counted;
using weft::test::eventually;
using weft::test::migrate;
using weft::test::procs;
using weft::test::rng;
using weft::test::scaled;

/// Waits until `n` goroutines are parked, the caller not among them. Exact with one P only: the counts are not taken
/// at one moment.
bool parked(std::size_t n)
{
    return eventually([n] { return weft::stats().goroutines_waiting == n; });
}

WEFT_TEST(select_test, receives_what_is_there)
{
    const chan<int> a(1);
    const chan<std::string> b(1);
    b.send("b");
    std::string got;
    EXPECT_EQ(select(on_recv(a, [](std::optional<int>) { FAIL(); }),
                     on_recv(b, [&](std::optional<std::string> s) { got = *s; })),
              1U);
    EXPECT_EQ(got, "b");
    a.send(3);
    int n = 0;
    EXPECT_EQ(select(on_recv(a, [&](auto v) { n = *v; }), on_recv(b)), 0U);
    EXPECT_EQ(n, 3);
}

WEFT_TEST(select_test, sends_where_there_is_room)
{
    const chan<int> full(1);
    const chan<int> room(1);
    full.send(1);
    bool handled = false;
    EXPECT_EQ(select(on_send(full, 2), on_send(room, 3, [&] { handled = true; })), 1U);
    EXPECT_TRUE(handled);
    EXPECT_EQ(room.recv(), 3);
    EXPECT_EQ(full.recv(), 1);
}

WEFT_TEST(select_test, takes_views_and_every_kind_of_handler)
{
    const chan<int> c(1);
    const weft::sender<int> s = c;
    const weft::receiver<int> r = c;
    int calls = 0;
    EXPECT_EQ(select(on_send(s, 1)), 0U);
    EXPECT_EQ(select(on_recv(r, [&] { ++calls; })), 0U);  // one that wants nothing
    EXPECT_EQ(select(on_send(s, 2, [&] { ++calls; })), 0U);
    EXPECT_EQ(select(on_recv(r)), 0U);
    const std::function<void(std::optional<int>)> f = [&](std::optional<int> v) { calls += *v; };
    c.send(10);
    EXPECT_EQ(select(on_recv(r, f)), 0U);
    EXPECT_EQ(calls, 12);
    struct mutable_state {
        int* at;
        int own = 0;
        void operator()() { *at = ++own; }
    };
    c.send(1);
    EXPECT_EQ(select(on_recv(c, mutable_state{&calls})), 0U);
    EXPECT_EQ(calls, 1);
    auto reused = on_recv(c, [&, only = std::make_unique<int>(5)] { calls = *only; });
    c.send(1);
    EXPECT_EQ(select(reused), 0U);
    c.send(1);
    EXPECT_EQ(select(reused, on_timeout(1h)), 0U);
    EXPECT_EQ(calls, 5);
}

WEFT_TEST(select_test, waits_for_a_sender)
{
    const procs one(1);
    const chan<int> a;
    const chan<int> b;
    weft::wait_group all;
    all.go([=] { b.send(4); });
    int got = 0;
    EXPECT_EQ(select(on_recv(a), on_recv(b, [&](std::optional<int> v) { got = *v; })), 1U);
    EXPECT_EQ(got, 4);
    all.go([&] { EXPECT_EQ(select(on_recv(a, [&](std::optional<int> v) { got = *v; }), on_recv(b)), 0U); });
    EXPECT_TRUE(parked(1));
    EXPECT_EQ(a.try_send(5), chan_status::success);
    all.wait();
    EXPECT_EQ(got, 5);
    // Nothing of the selects is left on b.
    EXPECT_EQ(b.try_send(1), chan_status::full);
}

WEFT_TEST(select_test, waits_for_a_receiver)
{
    const procs one(1);
    const chan<int> a;
    const chan<int> b;
    weft::wait_group all;
    bool handled = false;
    all.go([&] { EXPECT_EQ(select(on_send(a, 1), on_send(b, 2, [&] { handled = true; })), 1U); });
    EXPECT_TRUE(parked(1));
    EXPECT_EQ(b.recv(), 2);
    all.wait();
    EXPECT_TRUE(handled);
    int v = 0;
    EXPECT_EQ(a.try_recv(v), chan_status::empty);
}

WEFT_TEST(select_test, a_default_is_chosen_only_when_nothing_is_ready)
{
    const chan<int> c(1);
    const chan<int> nil = nullptr;
    bool chosen = false;
    EXPECT_EQ(select(on_recv(c), otherwise([&] { chosen = true; })), 1U);
    EXPECT_TRUE(chosen);
    EXPECT_EQ(select(otherwise()), 0U);
    EXPECT_EQ(select(otherwise(), on_recv(nil), on_send(nil, 1)), 0U);
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(select(otherwise(), on_send(c, i)), 1U);
        EXPECT_EQ(select(on_send(c, i), otherwise()), 1U);
        EXPECT_EQ(select(on_recv(c), otherwise()), 0U);
    }
    // With a deadline that has passed as well: the default goes first, select does not wait.
    EXPECT_EQ(select(on_recv(c), on_deadline(weft::clock::now() - 1s), otherwise()), 2U);
}

WEFT_TEST(select_test, times_out)
{
    const chan<int> a;
    const chan<int> b(1);
    b.send(1);
    const auto before = weft::clock::now();
    bool chosen = false;
    EXPECT_EQ(select(on_recv(a), on_send(b, 2), on_timeout(2ms, [&] { chosen = true; })), 2U);
    EXPECT_TRUE(chosen);
    EXPECT_GE(weft::clock::now() - before, 2ms);
    const auto deadline = weft::clock::now() + 2ms;
    EXPECT_EQ(select(on_deadline(deadline), on_recv(a)), 0U);
    EXPECT_GE(weft::clock::now(), deadline);
    EXPECT_EQ(select(on_timeout(1ms)), 0U);  // without a channel: a sleep
    const chan<int> nil = nullptr;
    EXPECT_EQ(select(on_recv(nil), on_timeout(1ms)), 1U);
    EXPECT_EQ(a.try_send(1), chan_status::full);
}

WEFT_TEST(select_test, the_earliest_of_several_deadlines_counts)
{
    const chan<int> c;
    const auto now = weft::clock::now();
    EXPECT_EQ(select(on_timeout(1h), on_deadline(now + 1ms), on_recv(c), on_timeout(2h)), 1U);
    EXPECT_EQ(select(on_deadline(now - 1s), on_deadline(now - 2s)), 1U);
    EXPECT_EQ(
        select(on_deadline(weft::clock::time_point::max()), on_timeout(std::chrono::hours::max()), on_timeout(1ms)),
        2U);
}

WEFT_TEST(select_test, a_ready_channel_goes_before_a_deadline_that_has_passed)
{
    const chan<int> c(1);
    for (int i = 0; i < 100; ++i) {
        c.send(i);
        EXPECT_EQ(select(on_deadline(weft::clock::now() - 1s), on_recv(c)), 1U);
    }
    EXPECT_EQ(select(on_recv(c), on_deadline(weft::clock::now() - 1s)), 1U);
    EXPECT_EQ(select(on_recv(c), on_timeout(-1s)), 1U);
}

template <class Clock>
void takes_points_of()
{
    const chan<int> c;
    EXPECT_EQ(select(on_recv(c), on_deadline(Clock::now() - 1h)), 1U);
    EXPECT_EQ(select(on_recv(c), on_deadline(Clock::time_point::min())), 1U);
    const auto deadline = Clock::now() + 2ms;
    EXPECT_EQ(select(on_recv(c), on_deadline(deadline)), 1U);
    EXPECT_TRUE(!Clock::is_steady || Clock::now() >= deadline);
    weft::selector s;
    s.on_deadline(Clock::now() + 1h)
        .on_deadline(std::chrono::time_point_cast<std::chrono::minutes>(Clock::now()))
        .on_deadline(Clock::time_point::max());
    EXPECT_EQ(s.wait(), 1U);
    const chan<int> ready(1);
    ready.send(1);
    EXPECT_EQ(select(on_recv(ready), on_deadline(Clock::time_point::max())), 0U);
}

WEFT_TEST(select_test, deadlines_are_points_of_any_clock)
{
    takes_points_of<std::chrono::steady_clock>();
    takes_points_of<std::chrono::system_clock>();
    takes_points_of<weft::clock>();
}

WEFT_TEST(select_test, a_timeout_that_is_not_needed_leaves_no_timer)
{
    const procs one(1);
    const chan<int> c;
    weft::wait_group all;
    all.go([&] { EXPECT_EQ(select(on_recv(c), on_timeout(1h)), 0U); });
    EXPECT_TRUE(parked(1));
    c.send(1);
    all.wait();  // the fixture counts timers
}

WEFT_TEST(select_test, nil_channels_are_left_out)
{
    const chan<int> nil = nullptr;
    const chan<int> c(1);
    c.send(1);
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(select(on_recv(nil), on_send(nil, 1), on_recv(c)), 2U);
        EXPECT_EQ(select(on_send(weft::sender<int>(), 1), on_send(c, 1), on_recv(weft::receiver<int>())), 1U);
    }
}

WEFT_TEST(select_test, closed_channels_are_ready)
{
    const chan<int> closed(1);
    closed.send(1);
    closed.close();
    const chan<int> other;
    std::optional<int> got = 9;
    const auto keep = [&](std::optional<int> v) { got = v; };
    EXPECT_EQ(select(on_recv(other), on_recv(closed, keep)), 1U);
    EXPECT_EQ(got, 1);
    EXPECT_EQ(select(on_recv(other), on_recv(closed, keep), otherwise()), 1U);
    EXPECT_EQ(got, std::nullopt);
    bool handled = false;
    EXPECT_THROW(select(on_recv(other), on_send(closed, 2, [&] { handled = true; })), weft::closed_channel);
    EXPECT_THROW(select(on_send(closed, 2), otherwise()), weft::closed_channel);
    EXPECT_THROW(select(on_send(closed, 2), on_timeout(0s)), weft::closed_channel);
    EXPECT_FALSE(handled);
}

WEFT_TEST(select_test, a_close_wakes_it)
{
    const procs one(1);
    for (const bool sends : {false, true}) {
        const chan<int> a;
        const chan<int> b;
        weft::wait_group all;
        all.go(
            [&]
            {
                if (sends)
                    EXPECT_THROW(select(on_recv(a), on_send(b, 1)), weft::closed_channel);
                else
                    EXPECT_EQ(select(on_recv(a), on_recv(b, [](auto v) { EXPECT_FALSE(v); }), on_timeout(1h)), 1U);
            });
        EXPECT_TRUE(parked(1));
        b.close();
        all.wait();
        EXPECT_EQ(a.try_send(1), chan_status::full);
    }
}

WEFT_TEST(select_test, the_same_channel_several_times)
{
    const procs one(1);
    const chan<int> c;
    weft::wait_group all;
    std::atomic<int> sum{0};
    const auto add = [&](std::optional<int> v) { sum += *v; };
    for (int i = 0; i < 3; ++i) {
        all.go([&] { EXPECT_LT(select(on_recv(c, add), on_recv(c, add), on_recv(c, add), on_recv(c, add)), 4U); });
        all.go([&] { EXPECT_LT(select(on_send(c, 1), on_send(c, 1), on_send(c, 1)), 3U); });
    }
    all.wait();
    EXPECT_EQ(sum, 3);
    all.go([&] { EXPECT_LT(select(on_recv(c, add), on_recv(c, add), on_recv(c, add)), 3U); });
    EXPECT_TRUE(parked(1));
    EXPECT_EQ(c.try_send(5), chan_status::success);
    EXPECT_EQ(c.try_send(5), chan_status::full);  // the other two cases are gone
    all.wait();
    EXPECT_EQ(sum, 8);
}

WEFT_TEST(select_test, both_sides_of_a_channel)
{
    const chan<int> c;
    // It does not meet itself.
    EXPECT_EQ(select(on_send(c, 1), on_recv(c), otherwise()), 2U);
    EXPECT_EQ(select(on_send(c, 1), on_recv(c), on_timeout(1ms)), 2U);
    weft::wait_group all;
    std::atomic<int> sends{0};
    std::atomic<int> receives{0};
    for (int i = 0; i < 10; ++i)
        all.go(
            [&, i]
            {
                select(on_send(c, i, [&] { ++sends; }), on_recv(c,
                                                                [&, i](std::optional<int> v)
                                                                {
                                                                    EXPECT_NE(*v, i);
                                                                    ++receives;
                                                                }));
            });
    all.wait();
    EXPECT_EQ(sends, 5);
    EXPECT_EQ(receives, 5);
}

// ---- what becomes of values

WEFT_TEST(select_test, an_rvalue_is_moved_from_only_when_its_case_is_chosen)
{
    const chan<std::unique_ptr<int>> a(1);
    const chan<std::unique_ptr<int>> b(1);
    auto p = std::make_unique<int>(1);
    auto q = std::make_unique<int>(2);
    b.send(nullptr);
    EXPECT_EQ(select(on_send(a, std::move(p)), on_send(b, std::move(q))), 0U);
    EXPECT_FALSE(p);
    ASSERT_TRUE(q);
    p = std::make_unique<int>(3);
    EXPECT_EQ(select(on_send(a, std::move(p)), on_send(b, std::move(q)), otherwise()), 2U);
    EXPECT_EQ(select(on_send(a, std::move(p)), on_send(b, std::move(q)), on_timeout(1ms)), 2U);
    EXPECT_TRUE(p);
    EXPECT_TRUE(q);
    a.close();
    EXPECT_THROW(select(on_send(a, std::move(p)), on_send(b, std::move(q))), weft::closed_channel);
    EXPECT_TRUE(p);
    EXPECT_TRUE(q);
}

// At every moment one of the two channels has a value: the deadline that has passed must not be chosen.
WEFT_TEST(select_test, a_deadline_that_has_passed_does_not_win_over_a_ready_channel)
{
    const chan<int> a(1);
    const chan<int> b(1);
    std::atomic<std::size_t> begun{0};
    std::atomic<std::size_t> moved{0};
    const std::size_t rounds = scaled(5'000);
    std::thread moving(
        [&]
        {
            for (std::size_t i = 1; i <= rounds; ++i) {
                while (begun < i)
                    std::this_thread::yield();
                b.send(1);
                int old = 0;
                (void)a.try_recv(old);
                moved = i;
            }
        });
    for (std::size_t i = 1; i <= rounds; ++i) {
        a.send(1);
        begun = i;
        EXPECT_NE(select(on_recv(a), on_recv(b), on_timeout(0ms)), 2U);
        while (moved < i)
            std::this_thread::yield();
        int left = 0;
        (void)a.try_recv(left);
        (void)b.try_recv(left);
    }
    moving.join();
}

/// Move-only, and its move throws when it is told to.
struct throws_when_moved {
    std::unique_ptr<int> owned;
    bool armed = false;
    explicit throws_when_moved(int v, bool a = false) : owned(std::make_unique<int>(v)), armed(a) {}
    throws_when_moved(throws_when_moved&& other) noexcept(false)
    {
        if (other.armed)
            throw std::runtime_error("move");
        owned = std::move(other.owned);
    }
    throws_when_moved& operator=(throws_when_moved&& other) noexcept(false)
    {
        owned = std::move(other.owned);
        return *this;
    }
    ~throws_when_moved() = default;
};

WEFT_TEST(select_test, values_stay_when_a_later_case_throws)
{
    const chan<throws_when_moved> a(1);
    const chan<throws_when_moved> b(1);
    throws_when_moved first(7);
    throws_when_moved second(8, true);
    EXPECT_THROW(select(on_send(a, std::move(first)), on_send(b, std::move(second))), std::runtime_error);
    EXPECT_EQ(a.size(), 0U);
    ASSERT_TRUE(first.owned);
    EXPECT_EQ(*first.owned, 7);
    b.close();
    const chan<throws_when_moved> never;
    second.armed = false;
    EXPECT_THROW(select(on_send(never, std::move(first)), on_send(b, std::move(second))), weft::closed_channel);
    EXPECT_TRUE(first.owned && second.owned);
}

WEFT_TEST(select_test, a_handler_may_clear_its_selector)
{
    const chan<int> c(1);
    c.send(1);
    weft::selector s;
    int after_clear = 0;
    s.on_recv(c,
              [&, kept = std::make_shared<int>(5)](std::optional<int>)
              {
                  s.clear();
                  after_clear = *kept;
              });
    EXPECT_EQ(s.wait(), 0U);
    EXPECT_EQ(after_clear, 5);
}

WEFT_TEST(select_test, an_lvalue_is_copied)
{
    const chan<std::string> c(2);
    const std::string s(100, 's');
    std::string t(100, 't');
    EXPECT_EQ(select(on_send(c, s)), 0U);
    EXPECT_EQ(select(on_send(c, t)), 0U);
    EXPECT_EQ(t.size(), 100U);
    EXPECT_EQ(c.recv(), s);
    EXPECT_EQ(select(on_send(c, "converted")), 0U);
    EXPECT_EQ(c.recv(), t);
    EXPECT_EQ(c.recv(), "converted");
}

/// Its moves may throw; it knows whether it was moved from.
struct boxed {
    static inline int copies = 0;
    static inline bool fails = false;
    static inline int fuse = -1;  ///< the move that fails, counted from 0
    counted count;
    bool full = true;
    boxed() = default;
    boxed(const boxed& o) : count(o.count), full(o.full)
    {
        if (fails)
            throw std::domain_error("boxed");
        ++copies;
    }
    boxed(boxed&& o) : count(o.count)  // NOLINT
    {
        burn();
        full = std::exchange(o.full, false);
    }
    boxed& operator=(const boxed&) = default;
    boxed& operator=(boxed&& o)  // NOLINT
    {
        burn();
        full = std::exchange(o.full, false);
        return *this;
    }
    ~boxed() = default;
    static void burn()
    {
        if (fuse >= 0 && fuse-- == 0)
            throw std::domain_error("boxed");
    }
};
struct boxed_move_only : boxed {
    boxed_move_only() = default;
    boxed_move_only(const boxed_move_only&) = delete;
    boxed_move_only& operator=(const boxed_move_only&) = delete;
    boxed_move_only(boxed_move_only&&) = default;
    boxed_move_only& operator=(boxed_move_only&&) = default;
    ~boxed_move_only() = default;
};

WEFT_TEST(select_test, a_kept_case_sends_a_copy_each_time)
{
    const chan<std::string> c(3);
    const chan<std::string> full;
    const std::string text(100, 't');
    auto kept = on_send(c, text);
    auto converted = on_send(c, "text");
    const chan<boxed> d(2);
    const boxed value;
    auto kept_boxed = on_send(d, value);
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(select(on_send(full, text), kept), 1U);
        EXPECT_EQ(c.recv(), text);
        EXPECT_EQ(select(converted), 0U);
        EXPECT_EQ(c.recv(), "text");
        EXPECT_EQ(select(kept_boxed), 0U);
        EXPECT_EQ(select(kept_boxed, otherwise()), 0U);
        EXPECT_EQ(select(kept_boxed, otherwise()), 1U);
        EXPECT_TRUE(d.recv()->full);
        EXPECT_TRUE(d.recv()->full);
        EXPECT_EQ(select(std::move(kept)), 0U);  // for the last time
        EXPECT_EQ(c.recv(), text);
        kept = on_send(c, text);
    }
}

WEFT_TEST(select_test, elements_with_throwing_moves)
{
    const chan<boxed> a(1);
    const chan<boxed_move_only> b;
    boxed x;
    boxed_move_only y;
    EXPECT_EQ(select(on_send(a, std::move(x)), on_send(b, std::move(y))), 0U);
    EXPECT_TRUE(y.full);
    EXPECT_EQ(select(on_send(a, std::move(x)), on_send(b, std::move(y)), otherwise()), 2U);
    EXPECT_TRUE(y.full);
    bool arrived = false;
    EXPECT_EQ(select(on_recv(a, [&](std::optional<boxed> v) { arrived = v->full; }), on_send(b, std::move(y))), 0U);
    EXPECT_TRUE(arrived);
    EXPECT_TRUE(y.full);
    boxed::fails = true;
    EXPECT_THROW(select(on_send(a, x)), std::domain_error);
    boxed::fails = false;
    EXPECT_EQ(a.size(), 0U);
    weft::wait_group all;
    all.go([&] { EXPECT_EQ(select(on_send(b, std::move(y)), on_timeout(1h)), 0U); });
    EXPECT_TRUE(b.recv()->full);
    all.wait();
    EXPECT_FALSE(y.full);
}

// Nothing has happened then: what was moved into a box for another case is put back.
WEFT_TEST(select_test, a_value_that_cannot_be_copied_leaves_the_others_as_they_were)
{
    const chan<boxed_move_only> a(1);
    const chan<boxed> b(1);
    boxed_move_only mine;
    boxed copied;
    boxed::fails = true;
    EXPECT_THROW(select(on_send(a, std::move(mine)), on_send(b, std::move(copied))), std::domain_error);
    EXPECT_TRUE(mine.full);
    boxed::fails = false;
    weft::selector s;
    s.on_send(a, std::move(mine)).on_send(b, copied);
    boxed::fails = true;
    for (int i = 0; i < 2; ++i)
        EXPECT_THROW(s.wait(), std::domain_error);
    boxed::fails = false;
    EXPECT_EQ(a.size() + b.size(), 0U);
    b.send(boxed());
    EXPECT_EQ(s.wait(), 0U);
    EXPECT_TRUE(a.recv()->full);
}

// It is lost, and select throws. What has arrived is neither lost nor kept.
WEFT_TEST(select_test, a_value_that_cannot_be_put_back_takes_no_other_with_it)
{
    const chan<boxed> a(1);
    const chan<boxed_move_only> full;
    int handled = 0;
    const auto receive = [&](std::optional<boxed> v) { handled += v->full ? 1 : 0; };
    for (const bool sends_first : {true, false}) {
        boxed_move_only mine;
        a.send(boxed());
        boxed::fuse = 1;  // into the box, and back
        if (sends_first)
            EXPECT_THROW(select(on_send(full, std::move(mine)), on_recv(a, receive)), std::domain_error);
        else
            EXPECT_THROW(select(on_recv(a, receive), on_send(full, std::move(mine))), std::domain_error);
        EXPECT_EQ(counted::alive, 1);
        weft::selector s;
        s.on_send(full, boxed_move_only()).on_recv(a, receive);
        a.send(boxed());
        boxed::fuse = 1;
        EXPECT_THROW(s.wait(), std::domain_error);
    }
    EXPECT_EQ(handled, 4);
    EXPECT_EQ(counted::alive, 0);
    a.send(boxed());
    boxed::fuse = 0;
    EXPECT_THROW(select(on_recv(a, receive)), std::domain_error);
    EXPECT_EQ(boxed::fuse, -1);
    EXPECT_EQ(handled, 4);
    EXPECT_EQ(a.size(), 0U);
    EXPECT_EQ(counted::alive, 0);
}

WEFT_TEST(select_test, a_handler_that_throws_has_its_value)
{
    const chan<counted> a(1);
    const chan<counted> b(1);
    a.send({});
    EXPECT_THROW(select(on_recv(a, [](std::optional<counted>) { throw std::domain_error("handler"); }), on_recv(b)),
                 std::domain_error);
    EXPECT_THROW(select(on_send(a, counted(), [] { throw std::domain_error("handler"); })), std::domain_error);
    EXPECT_EQ(a.size(), 1U);
    EXPECT_THROW(select(on_recv(a, [] { throw std::domain_error("handler"); })), std::domain_error);
    EXPECT_EQ(a.size(), 0U);
    EXPECT_THROW(select(otherwise([] { throw std::domain_error("handler"); })), std::domain_error);
    EXPECT_THROW(select(on_timeout(1us, [] { throw std::domain_error("handler"); })), std::domain_error);
}

WEFT_TEST(select_test, a_handler_may_use_the_channels)
{
    const chan<int> c(2);
    c.send(1);
    std::size_t inner = 9;
    EXPECT_EQ(select(on_recv(c,
                             [&](std::optional<int> v)
                             {
                                 c.send(*v + 1);
                                 weft::yield();
                                 inner = select(on_recv(c, [](std::optional<int> w) { EXPECT_EQ(w, 2); }));
                                 c.close();
                             })),
              0U);
    EXPECT_EQ(inner, 0U);
    EXPECT_TRUE(c.closed());
}

// ---- many cases

template <std::size_t... I>
std::size_t receive_from_any(std::vector<chan<int>>& c, int& got, std::index_sequence<I...>)
{
    return select(on_recv(c[I], [&](std::optional<int> v) { got = *v; })...);
}
template <std::size_t... I>
std::size_t send_to_any(std::vector<chan<int>>& c, int value, std::index_sequence<I...>)
{
    return select(on_send(c[I], value)...);
}

/// Each case is reached, at once and by waiting.
template <std::size_t N>
void with_cases()
{
    std::vector<chan<int>> buffered;
    std::vector<chan<int>> unbuffered;
    for (std::size_t i = 0; i < N; ++i) {
        buffered.emplace_back(1);
        unbuffered.emplace_back();
    }
    constexpr auto all_of_them = std::make_index_sequence<N>();
    for (std::size_t i = 0; i < N; ++i) {
        int got = 0;
        const int value = static_cast<int>(i);
        buffered[i].send(value);
        ASSERT_EQ(receive_from_any(buffered, got, all_of_them), i);
        ASSERT_EQ(got, value);
        weft::wait_group all;
        all.go([&] { ASSERT_EQ(receive_from_any(unbuffered, got, all_of_them), i); });
        ASSERT_TRUE(parked(1));
        ASSERT_EQ(unbuffered[i].try_send(value + 1), chan_status::success);
        all.wait();
        ASSERT_EQ(got, value + 1);
        all.go([&] { ASSERT_EQ(send_to_any(unbuffered, value, all_of_them), i); });
        ASSERT_TRUE(parked(1));
        ASSERT_EQ(unbuffered[i].try_recv(got), chan_status::success);
        all.wait();
        ASSERT_EQ(got, value);
    }
    for (std::size_t i = 0; i < N; ++i)
        ASSERT_LT(send_to_any(buffered, 1, all_of_them), N);
    for (const auto& c : buffered)
        ASSERT_EQ(c.size(), 1U);
}

WEFT_TEST(select_test, one_case)
{
    const procs one(1);
    with_cases<1>();
}
WEFT_TEST(select_test, few_cases)
{
    const procs one(1);
    with_cases<2>();
    with_cases<4>();
    with_cases<5>();
}
WEFT_TEST(select_test, many_cases)
{
    const procs one(1);
    with_cases<16>();
    with_cases<17>();
}
WEFT_TEST(select_test, a_hundred_cases)
{
    const procs one(1);
    with_cases<100>();
}

// ---- chance

/// The probability of a statistic beyond this is below 1e-12 for up to 16 degrees of freedom (and far below for fewer),
/// were the choice uniform; one case never chosen gives thousands.
constexpr double generous = 110;

double chi_square(const std::vector<std::size_t>& seen)
{
    double total = 0;
    for (const std::size_t n : seen)
        total += static_cast<double>(n);
    const double expected = total / static_cast<double>(seen.size());
    double sum = 0;
    for (const std::size_t n : seen)
        sum += (static_cast<double>(n) - expected) * (static_cast<double>(n) - expected) / expected;
    return sum;
}

template <std::size_t... I>
std::size_t receive_any(const std::array<chan<int>, sizeof...(I)>& c, std::index_sequence<I...>)
{
    return select(on_recv(c[I])...);
}

template <std::size_t N>
void chooses_evenly()
{
    std::array<chan<int>, N> c;
    for (chan<int>& one : c) {
        one = chan<int>(1);
        one.send(0);
    }
    std::vector<std::size_t> seen(N);
    for (std::size_t i = 0; i < 2'000 * N; ++i) {
        const std::size_t at = receive_any(c, std::make_index_sequence<N>());
        ++seen[at];
        c[at].send(0);
    }
    EXPECT_LT(chi_square(seen), generous);
}

WEFT_TEST(select_test, chooses_evenly_among_ready_receives)
{
    chooses_evenly<2>();
    chooses_evenly<4>();
    chooses_evenly<16>();
    chooses_evenly<17>();
}

TEST_F(select_test, chooses_evenly_on_a_plain_thread)
{
    chooses_evenly<4>();
}

WEFT_TEST(select_test, chooses_evenly_among_cases_of_one_channel_and_closed_ones)
{
    const chan<int> c(2);
    c.send(1);
    const chan<int> closed;
    closed.close();
    std::vector<std::size_t> seen(4);
    for (int i = 0; i < 8'000; ++i) {
        const std::size_t at = select(on_recv(c), on_send(c, 1), on_recv(closed), on_recv(c));
        ++seen[at];
        if (at == 1)
            (void)c.recv();
        else if (at != 2)
            c.send(1);
    }
    EXPECT_LT(chi_square(seen), generous);
}

WEFT_TEST(select_test, chooses_evenly_among_some_that_are_ready)
{
    const chan<int> ready(1);
    const chan<int> nil = nullptr;
    const chan<int> never;
    ready.send(1);
    std::vector<std::size_t> seen(5);
    for (int i = 0; i < 4'000; ++i) {
        const std::size_t at = select(on_recv(nil), on_recv(ready), on_recv(never), on_recv(never), on_recv(ready));
        ++seen[at];
        ready.send(1);
    }
    EXPECT_LT(chi_square({seen[1], seen[4]}), generous);
    EXPECT_EQ(seen[0] + seen[2] + seen[3], 0U);
}

// ---- many at once

// Two that meet on two channels, each sending on the one and receiving from the other, the cases in both orders.
WEFT_TEST(select_test, two_selects_meet)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        const chan<int> a;
        const chan<int> b;
        const std::size_t rounds = scaled(20'000);
        std::atomic<std::size_t> sends{0};
        std::atomic<std::size_t> receives{0};
        weft::wait_group all;
        for (int side = 0; side < 2; ++side)
            all.go(
                [&, side]
                {
                    const chan<int>& out = side == 0 ? a : b;
                    const chan<int>& in = side == 0 ? b : a;
                    for (std::size_t i = 0; i < rounds; ++i) {
                        const auto sent = [&] { ++sends; };
                        const auto received = [&](std::optional<int> v)
                        {
                            EXPECT_EQ(v, 1 - side);
                            ++receives;
                        };
                        if ((i / 2 + static_cast<std::size_t>(side)) % 2 == 0)
                            select(on_send(out, side, sent), on_recv(in, received));
                        else
                            select(on_recv(in, received), on_send(out, side, sent));
                    }
                });
        all.wait();
        EXPECT_EQ(sends, rounds);
        EXPECT_EQ(receives, rounds);
    }
}

TEST_F(select_test, plain_threads_meet)
{
    const chan<std::size_t> a;
    const chan<std::size_t> b;
    const std::size_t rounds = scaled(2'000);
    std::atomic<std::size_t> sends{0};
    std::array<std::thread, 2> threads;
    for (std::size_t side = 0; side < 2; ++side)
        threads[side] = std::thread(
            [&, side]
            {
                for (std::size_t i = 0; i < rounds; ++i)
                    select(on_send(side == 0 ? a : b, i, [&] { ++sends; }), on_recv(side == 0 ? b : a), on_timeout(1h));
            });
    for (std::thread& t : threads)
        t.join();
    EXPECT_EQ(sends, rounds);
}

TEST_F(select_test, a_plain_thread_selects)
{
    const chan<int> a;
    const chan<int> b(1);
    EXPECT_EQ(select(on_recv(a), on_recv(b), otherwise()), 2U);
    EXPECT_EQ(select(on_recv(a), on_recv(b), on_timeout(1ms)), 2U);
    EXPECT_EQ(select(on_recv(a), on_send(b, 1)), 1U);
    std::thread sends([&] { a.send(3); });
    int got = 0;
    EXPECT_EQ(select(on_recv(a, [&](std::optional<int> v) { got = *v; }), on_send(b, 2)), 0U);
    EXPECT_EQ(got, 3);
    sends.join();
    weft::go([=] { a.send(4); });
    EXPECT_EQ(select(on_recv(a, [&](std::optional<int> v) { got = *v; }), on_send(b, 2)), 0U);
    EXPECT_EQ(got, 4);
    std::thread closes([&] { a.close(); });
    EXPECT_THROW(select(on_send(a, 1), on_send(b, 2)), weft::closed_channel);
    closes.join();
}

/// Selects of all kinds on a few channels, some of them on plain threads: each value arrives once.
void storm(int proc_count, std::size_t goroutines, std::size_t threads)
{
    const procs p(proc_count);
    const std::array<chan<std::size_t>, 4> c{chan<std::size_t>(), chan<std::size_t>(), chan<std::size_t>(1),
                                             chan<std::size_t>(3)};
    const std::size_t each = scaled(1'000);
    std::atomic<std::size_t> sent{0};
    std::atomic<std::size_t> received{0};
    std::atomic<std::size_t> received_count{0};
    std::atomic<bool> done{false};
    const auto send = [&](std::size_t who)
    {
        rng r(who);
        for (std::size_t i = 0; i < each; ++i) {
            const std::size_t v = who * each + i + 1;
            const std::size_t k = r.below(4);
            for (;;) {
                const std::size_t at =
                    r.one_in(2) ? select(on_send(c[k], v), on_send(c[(k + 1) % 4], v), on_send(c[3 - k], v),
                                         on_timeout(std::chrono::microseconds(r.below(100))))
                                : select(on_send(c[k], v), on_send(c[(k + 2) % 4], v), on_send(c[k], v), otherwise());
                if (at < 3)
                    break;
                weft::yield();
            }
            sent += v;
        }
    };
    const auto receive = [&](std::size_t who)
    {
        rng r(who + 100);
        const auto take = [&](std::optional<std::size_t> v)
        {
            received += *v;
            ++received_count;
        };
        while (!done || c[2].size() + c[3].size() > 0) {
            const std::size_t k = r.below(4);
            const auto patience = std::chrono::microseconds(r.below(200));
            if (r.one_in(3))
                select(on_recv(c[k], take), on_recv(c[(k + 3) % 4], take), on_timeout(patience));
            else
                select(on_recv(c[0], take), on_recv(c[1], take), on_recv(c[2], take), on_recv(c[3], take),
                       on_recv(c[k], take), on_timeout(patience));
        }
    };
    weft::wait_group senders;
    weft::wait_group receivers;
    std::vector<std::thread> plain;
    for (std::size_t i = 0; i < goroutines; ++i) {
        senders.go([&, i] { send(i); });
        receivers.go([&, i] { receive(i); });
    }
    senders.add(static_cast<int>(threads));
    for (std::size_t i = goroutines; i < goroutines + threads; ++i) {
        plain.emplace_back(
            [&, i]
            {
                send(i);
                senders.done();
            });
        plain.emplace_back([&, i] { receive(i); });
    }
    senders.wait();
    done = true;
    receivers.wait();
    for (std::thread& t : plain)
        t.join();
    EXPECT_EQ(received_count, (goroutines + threads) * each);
    EXPECT_EQ(received, sent);
}

TEST_F(select_test, goroutines_select_in_a_storm)
{
    for (const int n : {1, 2, 4, 16})
        storm(n, 4, 0);
}

TEST_F(select_test, goroutines_and_plain_threads_select_in_a_storm)
{
    for (const int n : {1, 2, 4})
        storm(n, 2, 2);
}

// One side at a time: who migrates occupies a P.
WEFT_TEST(select_test, goroutines_that_migrate)
{
    const procs two(2);
    const chan<int> a;
    const chan<int> b;
    weft::wait_group all;
    const std::size_t rounds = scaled(200);
    const auto work = [&](bool sends, bool migrates)
    {
        for (std::size_t i = 0; i < rounds; ++i) {
            if (sends)
                select(on_send(a, 1), on_send(b, 2));
            else
                select(on_recv(a), on_recv(b));
            if (migrates)
                migrate();
        }
    };
    for (const bool sender_migrates : {true, false}) {
        all.go([&] { work(true, sender_migrates); });
        work(false, !sender_migrates);
        all.wait();
    }
}

// One of two channels is ready at any time, so a default must not be chosen, nor a deadline that has passed; the ways
// to become ready and back differ.
WEFT_TEST(select_test, a_default_is_never_chosen_wrongly)
{
    const procs two(2);
    for (std::size_t i = 0; i < scaled(20'000); ++i) {
        const chan<int> a(1);
        const chan<int> b(1);
        a.send(1);
        bool wrong = false;
        weft::wait_group all;
        all.go(
            [&]
            {
                wrong = (i / 2 % 2 == 0 ? select(on_recv(a), on_recv(b), otherwise())
                                        : select(on_recv(a), on_recv(b), on_timeout(0s))) == 2;
            });
        if (i % 2 == 0)
            b.send(1);
        else
            b.close();
        int v = 0;
        (void)a.try_recv(v);
        all.wait();
        ASSERT_FALSE(wrong) << i;
    }
}

// ---- allocations

WEFT_TEST(select_test, allocates_nothing_for_up_to_16_cases)
{
    const procs one(1);
    std::array<chan<int>, 16> c;
    const auto sixteen = std::make_index_sequence<16>();
    weft::wait_group all;
    const chan<int> go_on;
    for (int i = 0; i < 3; ++i) {
        all.go(
            [&]
            {
                const std::size_t before = weft::test::allocations();
                EXPECT_EQ(receive_any(c, sixteen), 9U);  // parks
                EXPECT_EQ(select(on_recv(c[0]), on_timeout(1us)), 1U);
                EXPECT_EQ(select(on_recv(c[0]), on_send(c[1], 2), otherwise()), 2U);
                EXPECT_EQ(weft::test::allocations(), before);
            });
        EXPECT_TRUE(parked(1));
        EXPECT_EQ(c[9].try_send(1), chan_status::success);
        all.wait();
    }
}

// ---- selector

WEFT_TEST(selector_test, is_a_select_put_together_at_run_time)
{
    const chan<int> a(1);
    const chan<std::string> b(1);
    weft::selector s;
    EXPECT_TRUE(s.empty());
    int got = 0;
    std::string text;
    s.on_recv(a, [&](std::optional<int> v) { got = *v; })
        .on_recv(weft::receiver<std::string>(b), [&](std::optional<std::string> v) { text = *v; })
        .on_timeout(1ms);
    EXPECT_EQ(s.size(), 3U);
    EXPECT_EQ(s.wait(), 2U);
    a.send(3);
    EXPECT_EQ(s.wait(), 0U);
    EXPECT_EQ(got, 3);
    b.send("text");
    EXPECT_EQ(s.wait(), 1U);
    EXPECT_EQ(text, "text");
    EXPECT_EQ(s.wait(), 2U);  // the timeout counts anew
    s.otherwise();
    EXPECT_EQ(s.wait(), 3U);
    EXPECT_THROW(s.otherwise(), std::logic_error);
    EXPECT_EQ(s.size(), 4U);
    s.clear();
    EXPECT_TRUE(s.empty());
    s.otherwise();
    EXPECT_EQ(s.wait(), 0U);
}

WEFT_TEST(selector_test, sends_a_copy_each_time)
{
    const chan<std::string> c(3);
    weft::selector s;
    const std::string text(100, 'x');
    int handled = 0;
    s.on_send(c, text, [&] { ++handled; }).otherwise();
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(s.wait(), 0U);
    EXPECT_EQ(s.wait(), 1U);
    EXPECT_EQ(handled, 3);
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(c.recv(), text);
    c.close();
    EXPECT_THROW(s.wait(), weft::closed_channel);
    EXPECT_THROW(s.wait(), weft::closed_channel);
    EXPECT_EQ(handled, 3);
}

WEFT_TEST(selector_test, sends_what_cannot_be_copied_once)
{
    const chan<std::unique_ptr<int>> c(2);
    weft::selector s;
    s.on_send(c, std::make_unique<int>(7)).otherwise();
    EXPECT_EQ(s.wait(), 0U);
    EXPECT_EQ(s.wait(), 1U);
    EXPECT_EQ(**c.recv(), 7);
    c.close();
    EXPECT_EQ(s.wait(), 1U);  // spent: never ready, closed or not
    weft::selector unspent;
    unspent.on_send(c, std::make_unique<int>(8)).otherwise();
    EXPECT_THROW(unspent.wait(), weft::closed_channel);
}

WEFT_TEST(selector_test, keeps_a_value_that_was_not_chosen)
{
    const procs one(1);
    const chan<boxed_move_only> full;
    const chan<boxed> also_full;
    const chan<int> other(1);
    weft::selector s;
    s.on_send(full, boxed_move_only()).on_send(also_full, boxed()).on_recv(other).otherwise();
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(s.wait(), 3U);
        other.send(1);
        EXPECT_EQ(s.wait(), 2U);
    }
    weft::wait_group all;
    all.go([&] { EXPECT_TRUE(full.recv()->full); });
    EXPECT_TRUE(parked(1));
    EXPECT_EQ(s.wait(), 0U);
    all.wait();
}

WEFT_TEST(selector_test, keeps_its_channels_alive)
{
    weft::selector s;
    {
        const chan<counted> c(1);
        c.send({});
        s.on_recv(c);
    }
    EXPECT_EQ(counted::alive, 1);
    EXPECT_EQ(s.wait(), 0U);
    EXPECT_EQ(counted::alive, 0);
    weft::selector moved = std::move(s);
    EXPECT_EQ(moved.size(), 1U);
    moved.on_timeout(1us);
    EXPECT_EQ(moved.wait(), 1U);
}

WEFT_TEST(selector_test, any_number_of_cases)
{
    const procs one(1);
    for (const std::size_t n : {0U, 1U, 4U, 5U, 16U, 17U, 100U, 1'000U}) {
        std::vector<chan<std::size_t>> c;
        weft::selector s;
        std::size_t got = 0;
        for (std::size_t i = 0; i < n; ++i)
            s.on_recv(c.emplace_back(), [&](std::optional<std::size_t> v) { got = *v; });
        s.on_deadline(weft::clock::now());
        EXPECT_EQ(s.wait(), n);
        weft::selector waits;
        for (std::size_t i = 0; i < n; ++i)
            waits.on_recv(c[i], [&](std::optional<std::size_t> v) { got = *v; });
        for (std::size_t i = 0; i < n; i += 1 + n / 20) {
            weft::wait_group all;
            all.go([&] { EXPECT_EQ(waits.wait(), i); });
            ASSERT_TRUE(parked(1));
            EXPECT_EQ(c[i].try_send(i + 5), chan_status::success);
            all.wait();
            EXPECT_EQ(got, i + 5);
        }
    }
}

WEFT_TEST(selector_test, the_earliest_deadline_counts)
{
    const chan<int> c;
    weft::selector s;
    s.on_timeout(1h).on_recv(c).on_timeout(1ms).on_deadline(weft::clock::now() + 1h);
    EXPECT_EQ(s.wait(), 2U);
    EXPECT_EQ(s.wait(), 2U);
    s.on_deadline(weft::clock::now() - 1s);
    EXPECT_EQ(s.wait(), 4U);
    weft::selector for_ever;
    for_ever.on_timeout(std::chrono::hours::max()).on_deadline(weft::clock::time_point::max()).on_recv(c);
    weft::wait_group all;
    all.go([=] { c.send(1); });
    EXPECT_EQ(for_ever.wait(), 2U);
    all.wait();
}

WEFT_TEST(selector_test, chooses_evenly)
{
    std::vector<chan<int>> c;
    weft::selector s;
    constexpr std::size_t n = 16;
    for (std::size_t i = 0; i < n; ++i) {
        c.emplace_back(1).send(1);
        s.on_recv(c.back());
    }
    std::vector<std::size_t> seen(n);
    for (std::size_t i = 0; i < 500 * n; ++i) {
        const std::size_t at = s.wait();
        ++seen[at];
        c[at].send(1);
    }
    EXPECT_LT(chi_square(seen), generous);
}

WEFT_TEST(selector_test, a_handler_that_throws_leaves_it_usable)
{
    const chan<int> c(2);
    c.send(1);
    c.send(2);
    weft::selector s;
    bool throws = true;
    int got = 0;
    s.on_recv(c,
              [&](std::optional<int> v)
              {
                  if (std::exchange(throws, false))
                      throw std::domain_error("handler");
                  got = *v;
              });
    EXPECT_THROW(s.wait(), std::domain_error);
    EXPECT_EQ(s.wait(), 0U);
    EXPECT_EQ(got, 2);
}

// What a handler holds lives until the handler has returned.
WEFT_TEST(selector_test, a_handler_may_change_and_destroy_its_selector)
{
    const chan<int> c(8);
    for (int i = 0; i < 8; ++i)
        c.send(i);
    auto s = std::make_unique<weft::selector>();
    bool alive = false;
    std::weak_ptr<int> watched;
    const auto holds = [&](std::function<void()> act)
    {
        auto held = std::make_shared<int>();
        watched = held;
        return [&, act = std::move(act), held = std::move(held)]
        {
            EXPECT_TRUE(held);
            act();
            alive = !watched.expired();
        };
    };
    const std::function<void()> clear = [&] { s->clear(); };
    const std::function<void()> destroy = [&] { s.reset(); };
    const std::function<void()> grow = [&]
    {
        for (int i = 0; i < 100; ++i)
            s->on_recv(c);
    };
    for (const auto& act : {clear, grow, destroy}) {
        s = std::make_unique<weft::selector>();
        s->on_recv(c, holds(act));
        EXPECT_EQ(s->wait(), 0U);
        EXPECT_TRUE(alive);
    }
    for (const auto& act : {clear, destroy}) {
        s = std::make_unique<weft::selector>();
        s->otherwise(holds(act));
        EXPECT_EQ(s->wait(), 0U);
        EXPECT_TRUE(alive);
        s = std::make_unique<weft::selector>();
        s->on_send(chan<std::string>(1), "text", holds(act));
        EXPECT_EQ(s->wait(), 0U);
        EXPECT_TRUE(alive);
    }
    s = std::make_unique<weft::selector>();
    int inner = 0;
    s->on_recv(c,
               [&](std::optional<int> v)
               {
                   if (inner++ == 0) {
                       EXPECT_EQ(s->wait(), 0U);
                   }
                   EXPECT_TRUE(v);
               });
    EXPECT_EQ(s->wait(), 0U);
    EXPECT_EQ(inner, 2);
}

TEST_F(selector_test, on_a_plain_thread)
{
    const chan<int> a;
    const chan<int> b;
    weft::selector s;
    int sum = 0;
    const auto add = [&](std::optional<int> v) { sum += *v; };
    s.on_recv(a, add).on_recv(b, add);
    std::thread sends(
        [&]
        {
            for (int i = 0; i < 100; ++i)
                (i % 2 == 0 ? a : b).send(i);
        });
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(s.wait(), static_cast<std::size_t>(i % 2));
    sends.join();
    EXPECT_EQ(sum, 4'950);
}

}  // namespace
