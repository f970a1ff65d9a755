// Select, as Go has it: see docs/conformance/channels.md.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "../support/rng.hpp"
#include "../unit/fixture.hpp"
#include "weft/weft.hpp"

namespace {

using chan_select_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::chan;
using weft::chan_status;
using weft::on_recv;
using weft::on_send;
using weft::on_timeout;
using weft::otherwise;
using weft::select;
using weft::test::eventually;
using weft::test::procs;
using weft::test::rng;
using weft::test::scaled;

/// Waits until `n` goroutines are parked, the caller not among them. Exact with one P only: the counts are not taken
/// at one moment.
bool parked(std::size_t n)
{
    return eventually([n] { return weft::stats().goroutines_waiting == n; });
}

// ---- doubleselect.go: one select is never won by two receivers

WEFT_TEST(chan_select_test, one_select_sends_once)
{
    const procs two(2);
    const std::size_t n = scaled(50'000);
    std::array<chan<std::size_t>, 4> c;
    const chan<std::size_t> all;
    weft::go(
        [=]
        {
            for (std::size_t i = 0; i < n; ++i)
                select(on_send(c[0], i), on_send(c[1], i), on_send(c[2], i), on_send(c[3], i));
            for (const auto& one : c)
                one.close();
        });
    weft::wait_group merging;
    for (const auto& one : c)
        merging.go(
            [=]
            {
                for (const std::size_t v : one)
                    all.send(v);
            });
    weft::go(
        [&]
        {
            merging.wait();
            all.close();
        });
    std::vector<bool> seen(n);
    std::size_t count = 0;
    for (const std::size_t v : all) {
        EXPECT_FALSE(seen[v]) << v << " twice";
        seen[v] = true;
        ++count;
    }
    EXPECT_EQ(count, n);
}

// ---- select.go: what a case sends is computed once for each select, whichever is chosen; a nil channel leaves a case
// out

WEFT_TEST(chan_select_test, values_are_computed_before_the_choice)
{
    unsigned computed = 0;
    unsigned shift = 0;
    const auto value = [&]
    {
        ++computed;
        return 1U << shift;
    };
    const auto send_until_full = [&](chan<unsigned> a, chan<unsigned> b)
    {
        int sent = 0;
        for (;; ++shift) {
            const std::size_t at = select(on_send(a, value()), on_send(b, value()), otherwise());
            if (at == 2)
                return sent;
            ++sent;
            (at == 0 ? a : b) = nullptr;
        }
    };
    const chan<unsigned> a(1);
    const chan<unsigned> b(1);
    EXPECT_EQ(send_until_full(a, b), 2);
    EXPECT_EQ(*a.recv() | *b.recv(), 3U);
    EXPECT_EQ(send_until_full(a, nullptr), 1);
    EXPECT_EQ(computed, 10U);
}

// ---- select2.go: selects that are won leave nothing behind on the channels they did not choose

WEFT_TEST(chan_select_test, leaves_nothing_on_channels_that_are_never_ready)
{
    const chan<int> c;
    const chan<int> never;
    for (int turn = 0; turn < 2; ++turn) {
        weft::wait_group all;
        const std::size_t n = scaled(50'000);
        all.go(
            [&]
            {
                for (std::size_t i = 0; i < n; ++i)
                    c.send(1);
            });
        for (std::size_t i = 0; i < n; ++i)
            ASSERT_EQ(select(on_recv(c), on_recv(never)), 0U);
        all.wait();
        EXPECT_EQ(never.try_send(1), chan_status::full);
    }
}

// ---- select3.go: what blocks, what does not, what throws.

/// Whether `f` parks: it is then ended by `release`.
bool blocks(const std::function<void()>& f, const std::function<void()>& release)
{
    bool returned = false;
    bool was_parked = false;
    weft::wait_group all;
    all.go(
        [&]
        {
            f();
            returned = true;
        });
    was_parked = parked(1) && !returned;
    release();
    all.wait();
    return was_parked;
}

WEFT_TEST(chan_select_test, what_blocks)
{
    const procs one(1);
    chan<int> c;
    const chan<int> nil = nullptr;
    const auto send = [&] { c.send(1); };
    const auto close = [&] { c.close(); };
    EXPECT_TRUE(blocks([&] { (void)c.recv(); }, send));
    EXPECT_TRUE(blocks([&] { EXPECT_FALSE(c.recv()); }, close));
    c = chan<int>();
    EXPECT_TRUE(blocks([&] { select(on_recv(c)); }, send));
    EXPECT_TRUE(blocks([&] { select(on_recv(c), on_recv(nil), on_send(nil, 7)); }, send));
    // A select does not meet itself.
    EXPECT_TRUE(blocks([&] { EXPECT_EQ(select(on_send(c, 1), on_recv(c)), 1U); }, send));
    EXPECT_TRUE(blocks([&] { EXPECT_EQ(select(on_recv(c), on_send(c, 1)), 0U); }, close));
}

WEFT_TEST(chan_select_test, what_does_not_block)
{
    const chan<int> nil = nullptr;
    const chan<int> closed;
    closed.close();
    const chan<int> c(1);
    c.send(7);
    EXPECT_EQ(c.recv(), 7);
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(closed.recv(), std::nullopt);
    EXPECT_THROW(closed.send(7), weft::closed_channel);
    EXPECT_EQ(select(otherwise()), 0U);
    EXPECT_EQ(select(on_recv(nil), otherwise()), 1U);
    EXPECT_EQ(select(on_send(nil, 7), otherwise()), 1U);
    EXPECT_EQ(select(on_send(c, 7), otherwise()), 0U);
    EXPECT_EQ(select(on_recv(c), otherwise()), 0U);
    EXPECT_EQ(select(on_recv(closed)), 0U);
    EXPECT_EQ(select(on_recv(closed, [](std::optional<int> v) { EXPECT_FALSE(v); })), 0U);
    EXPECT_THROW(select(on_send(closed, 7)), weft::closed_channel);
}

// ---- select4.go, select5.go: only the chosen case's effects are seen

WEFT_TEST(chan_select_test, only_the_chosen_handler_runs)
{
    const chan<int> c(1);
    const chan<int> never;
    struct {
        int a = 0;
    } x;
    c.send(42);
    EXPECT_EQ(
        select(on_recv(never, [](std::optional<int>) { FAIL(); }), on_recv(c, [&](std::optional<int> v) { x.a = *v; })),
        1U);
    EXPECT_EQ(x.a, 42);
}

WEFT_TEST(chan_select_test, a_ready_case_is_found_among_all_kinds_of_others)
{
    const chan<int> c(1);
    const chan<int> never;
    const chan<int> nil = nullptr;
    rng r(5);
    for (int round = 0; round < 500; ++round) {
        int got = -1;
        const auto keep = [&](std::optional<int> v) { got = *v; };
        auto from_c = on_recv(c, keep);
        auto from_never = on_recv(never, keep);
        auto from_nil = on_recv(nil, keep);
        auto to_c = on_send(c, round);
        auto to_never = on_send(never, round);
        auto to_nil = on_send(nil, round);
        if (r.one_in(2))
            ASSERT_EQ(select(from_never, to_nil, to_c, to_never, from_nil), 2U);
        else
            ASSERT_EQ(select(to_c, to_nil, otherwise([] { FAIL(); }), from_never), 0U);
        ASSERT_EQ(c.size(), 1U);
        if (r.one_in(2))
            ASSERT_EQ(select(from_nil, otherwise([] { FAIL(); }), to_never, from_c), 3U);
        else
            ASSERT_EQ(select(to_never, to_nil, from_never, from_c), 3U);
        ASSERT_EQ(got, round);
    }
}

// ---- select6.go: a select that another channel wins leaves its place in the middle of a queue

WEFT_TEST(chan_select_test, leaves_the_middle_of_a_queue)
{
    const procs one(1);
    const chan<bool> a;
    const chan<bool> b;
    const chan<bool> c;
    weft::wait_group all;
    all.go([=] { (void)a.recv(); });
    ASSERT_TRUE(parked(1));
    all.go(
        [=]
        {
            EXPECT_EQ(select(on_recv(a), on_recv(b)), 1U);
            c.send(true);
            (void)a.recv();
        });
    ASSERT_TRUE(parked(2));
    all.go([=] { b.send(true); });
    (void)c.recv();
    a.send(true);
    a.send(true);
    all.wait();
}

// ---- select7.go: every kind of wait meets every kind of send

WEFT_TEST(chan_select_test, every_kind_of_receiver_meets_every_kind_of_sender)
{
    const chan<int> never;
    const chan<int> also_never;
    const std::array<std::function<void(const chan<int>&)>, 3> receivers{
        [](const chan<int>& c) { EXPECT_EQ(c.recv(), 1); },
        [](const chan<int>& c) { EXPECT_EQ(select(on_recv(c)), 0U); },
        [&](const chan<int>& c) { EXPECT_EQ(select(on_recv(c), on_recv(never)), 0U); }};
    const std::array<std::function<void(const chan<int>&)>, 3> senders{
        [](const chan<int>& c) { c.send(1); }, [](const chan<int>& c) { EXPECT_EQ(select(on_send(c, 1)), 0U); },
        [&](const chan<int>& c) { EXPECT_EQ(select(on_send(c, 1), on_send(also_never, 1)), 0U); }};
    for (const auto& receive : receivers)
        for (const auto& send : senders)
            for (const bool sender_first : {false, true}) {
                const chan<int> c;
                weft::wait_group all;
                all.go([&] { sender_first ? send(c) : receive(c); });
                weft::yield();
                sender_first ? receive(c) : send(c);
                all.wait();
            }
}

// ---- runtime/chan_test.go

/// One of two channels is ready at any moment: `second` becomes so before the element of the first goes.
void is_never_without_a_ready_case(const std::function<chan<int>()>& make,
                                   const std::function<void(const chan<int>&)>& second)
{
    const procs two(2);
    const chan<bool> done(1);
    for (std::size_t i = 0; i < scaled(20'000); ++i) {
        const chan<int> a(1);
        const chan<int> b = make();
        a.send(1);
        weft::go([=] { done.send(select(on_recv(a), on_recv(b), otherwise()) != 2); });
        second(b);
        select(on_recv(a), otherwise());
        ASSERT_TRUE(*done.recv());
    }
}

WEFT_TEST(chan_select_test, a_default_is_not_chosen_while_a_send_makes_up_for_a_receive)
{
    is_never_without_a_ready_case([] { return chan<int>(1); }, [](const chan<int>& c) { c.send(1); });
}

WEFT_TEST(chan_select_test, a_default_is_not_chosen_while_a_close_makes_up_for_a_receive)
{
    is_never_without_a_ready_case([] { return chan<int>(); }, [](const chan<int>& c) { c.close(); });
}

WEFT_TEST(chan_select_test, both_sides_of_a_channel_in_one_select)
{
    const procs two(2);
    for (const int capacity : {0, 10}) {
        const chan<int> c(capacity);
        weft::wait_group all;
        for (int p = 0; p < 2; ++p)
            all.go(
                [&, p]
                {
                    const auto received = [&](std::optional<int> v) { EXPECT_TRUE(capacity > 0 || *v != p); };
                    for (std::size_t i = 0; i < scaled(5'000); ++i) {
                        if (p == 0 || i % 2 == 0)
                            select(on_send(c, p), on_recv(c, received));
                        else
                            select(on_recv(c, received), on_send(c, p));
                    }
                });
        all.wait();
    }
}

// Ten goroutines, four channels: plain senders and receivers of each, and one select that does all of either.
WEFT_TEST(chan_select_test, stress)
{
    const procs ten(10);
    const std::array<chan<int>, 4> c{chan<int>(), chan<int>(), chan<int>(2), chan<int>(3)};
    const std::size_t n = scaled(10'000);
    weft::wait_group all;
    for (const auto& one : c) {
        all.go(
            [=]
            {
                for (std::size_t i = 0; i < n; ++i)
                    one.send(0);
            });
        all.go(
            [=]
            {
                for (std::size_t i = 0; i < n; ++i)
                    (void)one.recv();
            });
    }
    for (const bool sends : {true, false})
        all.go(
            [=]
            {
                auto left = c;
                std::array<std::size_t, 4> done{};
                for (std::size_t i = 0; i < 4 * n; ++i) {
                    std::size_t k = 0;
                    if (sends)
                        k = 3 -
                            select(on_send(left[3], 0), on_send(left[2], 0), on_send(left[1], 0), on_send(left[0], 0));
                    else
                        k = select(on_recv(left[0]), on_recv(left[1]), on_recv(left[2]), on_recv(left[3]));
                    if (++done[k] == n)
                        left[k] = nullptr;
                }
            });
    all.wait();
    for (const auto& one : c)
        EXPECT_EQ(one.size(), 0U);
}

WEFT_TEST(chan_select_test, is_fair)
{
    constexpr int trials = 10'000;
    const chan<int> a(trials + 1);
    const chan<int> b(trials + 1);
    for (int i = 0; i <= trials; ++i) {
        a.send(0);
        b.send(1);
    }
    const chan<int> never;
    const chan<int> also_never;
    const chan<int> out;
    const chan<bool> done;
    weft::wait_group all;
    all.go(
        [=]
        {
            for (;;) {
                int v = -1;
                const auto keep = [&](std::optional<int> got) { v = *got; };
                select(on_recv(never, keep), on_recv(also_never, keep), on_recv(a, keep), on_recv(b, keep));
                if (select(on_send(out, v), on_recv(done)) == 1)
                    return;
            }
        });
    std::array<int, 2> count{};
    for (int i = 0; i < trials; ++i)
        ++count.at(static_cast<std::size_t>(*out.recv()));
    done.close();
    all.wait();
    // Ten standard deviations (50 each) from the mean.
    EXPECT_NEAR(count[0], trials / 2, 500);
}

WEFT_TEST(chan_select_test, sends_at_random)
{
    constexpr int n = 200;
    for (const int capacity : {0, n}) {
        const chan<int> c(capacity);
        std::atomic<int> ones{0};
        weft::wait_group all;
        all.go(
            [&]
            {
                for (int i = 0; i < n; ++i) {
                    weft::yield();
                    ones += *c.recv();
                }
            });
        for (int i = 0; i < n; ++i)
            select(on_send(c, 1), on_send(c, 0));
        all.wait();
        EXPECT_GT(ones, n / 10);
        EXPECT_LT(ones, n - n / 10);
    }
}

WEFT_TEST(chan_select_test, a_channel_given_twice_is_left_twice)
{
    const procs one(1);
    const chan<int> c;
    const chan<int> d;
    const chan<int> e;
    weft::wait_group all;
    all.go(
        [=]
        {
            EXPECT_EQ(select(on_recv(c), on_recv(c), on_recv(d)), 2U);
            e.send(9);
        });
    ASSERT_TRUE(parked(1));
    all.go([=] { EXPECT_EQ(c.recv(), 8); });
    ASSERT_TRUE(parked(2));
    d.send(7);
    EXPECT_EQ(e.recv(), 9);
    c.send(8);
    all.wait();
}

// A case's value goes only to the case that was chosen.
WEFT_TEST(chan_select_test, a_case_that_is_not_chosen_leaves_its_target)
{
    const procs one(1);
    const chan<int*> c;
    const chan<int*> d;
    weft::wait_group all;
    for (const bool twice : {false, true})
        all.go(
            [=]
            {
                int value = 42;
                int* at = &value;
                const auto into_at = [&](std::optional<int*> v) { at = *v; };
                const chan<int*> nil = nullptr;
                select(on_recv(c, into_at), on_recv(twice ? c : nil), on_recv(d), on_recv(twice ? d : nil));
                EXPECT_EQ(at, &value);
                EXPECT_EQ(value, 42);
            });
    ASSERT_TRUE(parked(2));
    d.close();
    all.wait();
}

}  // namespace
