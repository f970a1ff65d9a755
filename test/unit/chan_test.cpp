// weft::chan: queues between goroutines and plain threads.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "../support/rng.hpp"
#include "fixture.hpp"
#include "weft/chan.hpp"
#include "weft/select.hpp"

namespace {

using chan_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::chan;
using weft::chan_status;
using weft::test::counted;
using weft::test::eventually;
using weft::test::migrate;
using weft::test::procs;
using weft::test::rng;
using weft::test::scaled;

static_assert(std::ranges::input_range<chan<int>>);
static_assert(std::ranges::input_range<const weft::receiver<std::unique_ptr<int>>>);
static_assert(!std::ranges::range<weft::sender<int>>);
static_assert(sizeof(chan<int>) == sizeof(void*));
static_assert(std::is_nothrow_copy_constructible_v<chan<int>> && std::is_nothrow_move_assignable_v<chan<int>>);
static_assert(std::is_base_of_v<std::runtime_error, weft::closed_channel>);
static_assert(!std::is_convertible_v<int, chan<int>>);

/// Waits until `n` goroutines are parked, the caller not among them. Exact with one P only: the counts are not taken
/// at one moment.
bool parked(std::size_t n)
{
    return eventually([n] { return weft::stats().goroutines_waiting == n; });
}

WEFT_TEST(chan_test, hands_over)
{
    const chan<int> c;
    EXPECT_EQ(c.capacity(), 0U);
    EXPECT_EQ(c.size(), 0U);
    EXPECT_FALSE(c.closed());
    EXPECT_TRUE(c);
    weft::wait_group all;
    all.go([=] { c.send(7); });
    EXPECT_EQ(c.recv(), 7);
    all.go([=] { EXPECT_EQ(c.recv(), 8); });
    c.send(8);
    all.wait();
}

WEFT_TEST(chan_test, an_unbuffered_send_waits_for_its_receiver)
{
    const procs one(1);
    const chan<int> c;
    std::atomic<bool> sent{false};
    weft::wait_group all;
    all.go(
        [&]
        {
            c.send(1);
            sent = true;
        });
    EXPECT_TRUE(parked(1));
    EXPECT_FALSE(sent);
    EXPECT_EQ(c.size(), 0U);
    EXPECT_EQ(c.recv(), 1);
    all.wait();
    EXPECT_TRUE(sent);
}

WEFT_TEST(chan_test, a_buffer_takes_its_capacity_and_no_more)
{
    for (const std::size_t capacity : {1U, 2U, 3U, 64U}) {
        const chan<std::size_t> c(capacity);
        EXPECT_EQ(c.capacity(), capacity);
        for (std::size_t turn = 0; turn < 3; ++turn) {  // the ring begins at another place each time
            for (std::size_t i = 0; i < capacity; ++i) {
                EXPECT_EQ(c.try_send(i), chan_status::success);
                EXPECT_EQ(c.size(), i + 1);
            }
            EXPECT_EQ(c.try_send(99), chan_status::full);
            for (std::size_t i = 0; i < capacity; ++i)
                EXPECT_EQ(c.recv(), i);
            std::size_t out = 77;
            EXPECT_EQ(c.try_recv(out), chan_status::empty);
            EXPECT_EQ(out, 77U);
            c.send(1);
            EXPECT_EQ(c.recv(), 1U);
        }
    }
}

WEFT_TEST(chan_test, a_capacity_that_cannot_be_is_refused)
{
    EXPECT_THROW(chan<int>(-1), std::invalid_argument);
    EXPECT_THROW((chan<int>(std::numeric_limits<long long>::min())), std::invalid_argument);
    EXPECT_THROW((chan<int>(std::numeric_limits<std::size_t>::max())), std::length_error);
    EXPECT_THROW((chan<std::array<char, 1U << 20U>>(std::numeric_limits<std::int64_t>::max() >> 20)),
                 std::length_error);
    struct nothing {};
    EXPECT_THROW((chan<nothing>(std::numeric_limits<std::uint64_t>::max())), std::length_error);
    EXPECT_EQ(chan<nothing>(std::numeric_limits<std::int32_t>::max()).capacity(), 0x7fff'ffffU);
    try {
        (void)chan<int>(-3);
    } catch (const std::invalid_argument& e) {
        EXPECT_NE(std::string(e.what()).find("-3"), std::string::npos) << e.what();
    }
    EXPECT_EQ(chan<int>(0).capacity(), 0U);
    EXPECT_EQ(chan<int>(std::uint8_t{3}).capacity(), 3U);
}

WEFT_TEST(chan_test, nil_is_never_ready)
{
    const chan<int> nil = nullptr;
    EXPECT_FALSE(nil);
    EXPECT_EQ(nil.size(), 0U);
    EXPECT_EQ(nil.capacity(), 0U);
    EXPECT_FALSE(nil.closed());
    int v = 5;
    EXPECT_EQ(nil.try_send(v), chan_status::full);
    EXPECT_EQ(nil.try_recv(v), chan_status::empty);
    EXPECT_EQ(nil.send_for(v, 1ms), chan_status::timeout);
    EXPECT_EQ(nil.recv_for(v, 1ms), chan_status::timeout);
    const auto deadline = weft::clock::now() + 1ms;
    EXPECT_EQ(nil.recv_until(v, deadline), chan_status::timeout);
    EXPECT_GE(weft::clock::now(), deadline);
    EXPECT_EQ(nil.send_until(v, weft::clock::now() - 1s), chan_status::timeout);
    EXPECT_EQ(v, 5);
    EXPECT_THROW(nil.close(), weft::closed_channel);
    const weft::sender<int> no_sender;
    const weft::receiver<int> no_receiver = nullptr;
    EXPECT_FALSE(no_sender);
    EXPECT_FALSE(no_receiver);
    EXPECT_THROW(no_sender.close(), weft::closed_channel);
    EXPECT_EQ(no_receiver.try_recv(v), chan_status::empty);
    EXPECT_EQ(chan<int>(nullptr), nil);
}

WEFT_TEST(chan_test, close_lets_drain)
{
    const chan<int> c(3);
    c.send(1);
    c.send(2);
    c.close();
    EXPECT_TRUE(c.closed());
    EXPECT_EQ(c.size(), 2U);
    EXPECT_THROW(c.send(3), weft::closed_channel);
    int v = 3;
    EXPECT_EQ(c.try_send(v), chan_status::closed);
    EXPECT_EQ(c.send_for(v, 1h), chan_status::closed);
    EXPECT_EQ(c.send_until(v, weft::clock::now() - 1s), chan_status::closed);
    EXPECT_EQ(c.recv(), 1);
    EXPECT_EQ(c.try_recv(v), chan_status::success);
    EXPECT_EQ(v, 2);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(c.recv(), std::nullopt);
        EXPECT_EQ(c.try_recv(v), chan_status::closed);
        EXPECT_EQ(c.recv_for(v, 1h), chan_status::closed);
        EXPECT_EQ(c.recv_until(v, weft::clock::now() - 1s), chan_status::closed);
    }
    EXPECT_EQ(v, 2);
    EXPECT_THROW(c.close(), weft::closed_channel);
}

WEFT_TEST(chan_test, close_wakes_receivers)
{
    const procs one(1);
    for (const int capacity : {0, 2}) {
        const chan<int> c(capacity);
        weft::wait_group all;
        std::atomic<int> ended{0};
        for (int i = 0; i < 10; ++i) {
            all.go(
                [&, i]
                {
                    int v = 0;
                    const bool closed = i % 2 == 0 ? !c.recv() : c.recv_for(v, 1h) == chan_status::closed;
                    ended += closed ? 1 : 0;
                });
        }
        EXPECT_TRUE(parked(10));
        c.close();
        all.wait();
        EXPECT_EQ(ended, 10);
    }
}

WEFT_TEST(chan_test, close_wakes_senders_with_closed_channel)
{
    const procs one(1);
    for (const int capacity : {0, 2}) {
        const chan<counted> c(capacity);
        for (int i = 0; i < capacity; ++i)
            c.send({});
        weft::wait_group all;
        std::atomic<int> refused{0};
        for (int i = 0; i < 10; ++i) {
            all.go(
                [&, i]
                {
                    counted v;
                    if (i % 2 == 0) {
                        refused += c.send_for(v, 1h) == chan_status::closed ? 1 : 0;
                    } else {
                        try {
                            c.send(v);
                        } catch (const weft::closed_channel&) {
                            ++refused;
                        }
                    }
                });
        }
        EXPECT_TRUE(parked(10));
        c.close();
        all.wait();
        EXPECT_EQ(refused, 10);
        EXPECT_EQ(c.size(), static_cast<std::size_t>(capacity));  // what was in the buffer stays
    }
}

WEFT_TEST(chan_test, range_for_ends_at_close)
{
    const chan<int> c(2);
    weft::wait_group all;
    all.go(
        [=]
        {
            for (int i = 0; i < 100; ++i)
                c.send(i);
            c.close();
        });
    int expected = 0;
    for (const int v : c)
        EXPECT_EQ(v, expected++);
    EXPECT_EQ(expected, 100);
    for (auto&& v : weft::receiver<int>(c))
        FAIL() << v;
    all.wait();
}

WEFT_TEST(chan_test, range_for_over_what_can_only_be_moved)
{
    const chan<std::unique_ptr<int>> c(4);
    for (int i = 0; i < 4; ++i)
        c.send(std::make_unique<int>(i));
    c.close();
    std::vector<std::unique_ptr<int>> got;
    for (std::unique_ptr<int> p : c)
        got.push_back(std::move(p));
    ASSERT_EQ(got.size(), 4U);
    EXPECT_EQ(*got[3], 3);
}

WEFT_TEST(chan_test, leaving_a_range_for_leaves_the_rest)
{
    const chan<int> c(8);
    for (int i = 0; i < 8; ++i)
        c.send(i);
    for (const int v : c)
        if (v == 2)
            break;
    EXPECT_EQ(c.recv(), 3);
    EXPECT_EQ(c.size(), 4U);
}

WEFT_TEST(chan_test, ranges_take_it)
{
    const chan<int> c(8);
    for (int i = 0; i < 8; ++i)
        c.send(i);
    c.close();
    std::vector<int> odd;
    for (const int v : weft::receiver<int>(c) | std::views::filter([](int i) { return i % 2 == 1; }))
        odd.push_back(v);
    EXPECT_EQ(odd, (std::vector{1, 3, 5, 7}));
}

WEFT_TEST(chan_test, an_rvalue_is_moved_from_only_on_success)
{
    const chan<std::unique_ptr<int>> c(1);
    auto p = std::make_unique<int>(1);
    EXPECT_EQ(c.try_send(std::move(p)), chan_status::success);
    EXPECT_FALSE(p);
    p = std::make_unique<int>(2);
    EXPECT_EQ(c.try_send(std::move(p)), chan_status::full);
    ASSERT_TRUE(p);
    EXPECT_EQ(c.try_send(p), chan_status::full);
    EXPECT_EQ(c.send_for(std::move(p), 1ms), chan_status::timeout);
    EXPECT_EQ(c.send_until(std::move(p), weft::clock::now() - 1s), chan_status::timeout);
    ASSERT_TRUE(p);
    std::unique_ptr<int> out;
    EXPECT_EQ(c.try_recv(out), chan_status::success);
    EXPECT_EQ(*out, 1);
    EXPECT_EQ(c.send_for(std::move(p), 1h), chan_status::success);
    EXPECT_FALSE(p);
    c.close();
    p = std::make_unique<int>(3);
    EXPECT_EQ(c.try_send(std::move(p)), chan_status::closed);
    EXPECT_EQ(c.send_for(p, 1h), chan_status::closed);
    EXPECT_TRUE(p);
}

// ---- kinds of elements

template <class T>
void goes_through(T value)
{
    for (const int capacity : {0, 1, 3}) {
        const chan<T> c(capacity);
        weft::wait_group all;
        constexpr int n = 10;
        all.go(
            [&]
            {
                for (int i = 0; i < n; ++i)
                    c.send(value);
                for (int i = 0; i < n; ++i) {
                    T copy = value;
                    EXPECT_EQ(c.send_for(copy, 1h), chan_status::success);
                }
                c.close();
            });
        int got = 0;
        for (T v : c) {
            EXPECT_TRUE(v == value);
            ++got;
        }
        EXPECT_EQ(got, 2 * n);
        all.wait();
    }
}

struct nothing {
    friend bool operator==(nothing, nothing) = default;
};
struct nothing_without_default {
    explicit constexpr nothing_without_default(int) {}
    friend bool operator==(nothing_without_default, nothing_without_default) = default;
};
struct alignas(128) over_aligned {
    std::array<int, 3> v;
    over_aligned(int i) : v{i, i + 1, i + 2} {}
    over_aligned(const over_aligned& o) : v(o.v) { check(); }
    over_aligned(over_aligned&& o) noexcept : v(o.v) { check(); }
    over_aligned& operator=(const over_aligned&) = default;
    over_aligned& operator=(over_aligned&&) = default;
    ~over_aligned() { check(); }
    void check() const { EXPECT_EQ(reinterpret_cast<std::uintptr_t>(this) % 128, 0U); }
    friend bool operator==(const over_aligned& a, const over_aligned& b) { return a.v == b.v; }
};
struct no_default {
    int v;
    no_default() = delete;
    explicit no_default(int i) : v(i) {}
    friend bool operator==(const no_default&, const no_default&) = default;
};

WEFT_TEST(chan_test, elements_of_every_kind)
{
    goes_through(nothing{});
    goes_through(nothing_without_default(1));
    goes_through('x');
    goes_through(std::int16_t{-7});
    goes_through(0x0123'4567'89ab'cdefLL);
    goes_through(1.5L);
    goes_through(std::string("short"));
    goes_through(std::string(1'000, 'l'));
    goes_through(std::vector<int>(100, 3));
    goes_through(std::make_shared<int>(3) == nullptr);
    goes_through(over_aligned(5));
    goes_through(no_default(5));
    goes_through(std::array<char, 3>{'a', 'b', 'c'});
    std::array<std::uint64_t, 512> huge{};
    huge[0] = 1;
    huge[511] = 2;
    goes_through(huge);
    goes_through(std::optional<int>(3));
    goes_through(chan<int>(1));
    goes_through(&chan_test::SetUpTestSuite);
}

WEFT_TEST(chan_test, elements_that_nothing_is_stored_for_are_counted)
{
    const chan<nothing> c(1'000'000);
    for (int i = 0; i < 1'000; ++i)
        c.send({});
    EXPECT_EQ(c.size(), 1'000U);
    for (int i = 0; i < 1'000; ++i)
        EXPECT_TRUE(c.recv());
    nothing n;
    EXPECT_EQ(c.try_recv(n), chan_status::empty);
}

WEFT_TEST(chan_test, a_channel_dies_with_its_last_handle_and_destroys_what_is_inside)
{
    {
        chan<counted> c(5);
        const weft::sender<counted> s = c;
        const weft::receiver<counted> r = c;
        for (int i = 0; i < 5; ++i)
            s.send({});
        (void)r.recv();
        s.send({});  // the ring has gone round
        c = nullptr;
        EXPECT_EQ(counted::alive, 5);
        EXPECT_TRUE(s);
    }
    EXPECT_EQ(counted::alive, 0);
    {
        const chan<chan<counted>> outer(2);
        outer.send(chan<counted>(1));
        outer.recv()->send({});
        outer.send(chan<counted>(3));
    }
    EXPECT_EQ(counted::alive, 0);
}

/// An element that contains channels of its own type.
struct node {
    chan<node> next = nullptr;
    weft::sender<node> up = nullptr;
    weft::receiver<node> down = nullptr;
    counted count = {};
};

WEFT_TEST(chan_test, elements_may_contain_channels_of_their_type)
{
    const chan<node> answers(1);
    const chan<node> c(1);
    c.send({.next = c, .up = answers});
    node n = c.recv().value();
    EXPECT_EQ(n.next, c);
    n.up.send({.down = answers});
    EXPECT_EQ(answers.recv()->down, weft::receiver<node>(answers));
}

/// `depth` channels, each the only element of another one.
chan<node> nested(std::size_t depth)
{
    chan<node> inner(1);
    for (std::size_t i = 1; i < depth; ++i) {
        chan<node> outer(1);
        outer.send({.next = std::exchange(inner, nullptr)});
        inner = std::move(outer);
    }
    return inner;
}

// On a goroutine's stack, or on a thread's 8 MiB.
WEFT_TEST(chan_test, channels_in_channels_are_freed_one_after_the_other)
{
    const procs two(2);
    const std::size_t depth = scaled(100'000);
    const chan<node> two_of_them(2);
    two_of_them.send({.next = nested(depth)});
    two_of_them.send({.next = nested(depth)});
    EXPECT_EQ(counted::alive, static_cast<int>(2 * depth));
    weft::wait_group all;
    all.go([c = nested(depth)] {});
    std::thread([c = nested(depth)] {}).join();
    all.wait();
    EXPECT_EQ(counted::alive, static_cast<int>(2 * depth));
    while (two_of_them.size() != 0)
        (void)two_of_them.recv();
    EXPECT_EQ(counted::alive, 0);
}

/// Parks in its destructor, and goes on elsewhere.
struct parks_at_its_end {
    counted count;
    chan<parks_at_its_end> inner = nullptr;
    explicit parks_at_its_end(chan<parks_at_its_end> c) : inner(std::move(c)) {}
    parks_at_its_end(parks_at_its_end&&) noexcept = default;
    parks_at_its_end& operator=(parks_at_its_end&&) = default;
    ~parks_at_its_end() { migrate(); }
};

WEFT_TEST(chan_test, a_channel_is_freed_by_who_parks_meanwhile)
{
    const procs two(2);
    weft::wait_group all;
    for (int i = 0; i < 20; ++i)
        all.go(
            []
            {
                chan<parks_at_its_end> c(3);
                const chan<parks_at_its_end> inner(2);
                inner.send(parks_at_its_end(nullptr));
                inner.send(parks_at_its_end(chan<parks_at_its_end>(1)));
                c.send(parks_at_its_end(inner));
                c.send(parks_at_its_end(nullptr));
            });
    all.wait();
    EXPECT_EQ(counted::alive, 0);
}

WEFT_TEST(chan_test, handles_share_and_compare)
{
    const chan<int> a(1);
    const chan<int> b(1);
    chan<int> c = a;
    EXPECT_EQ(a, c);
    EXPECT_NE(a, b);
    EXPECT_EQ(weft::sender<int>(a), weft::sender<int>(c));
    EXPECT_NE(weft::receiver<int>(a), weft::receiver<int>(b));
    c.send(3);
    EXPECT_EQ(a.recv(), 3);
    const chan<int> moved = std::move(c);
    EXPECT_FALSE(c);  // NOLINT(bugprone-use-after-move): documented: nil
    EXPECT_EQ(moved, a);
    c = b;
    const chan<int>& itself = c;
    c = itself;
    EXPECT_EQ(c, b);
    EXPECT_EQ(weft::sender<int>(a) == a, true);
}

WEFT_TEST(chan_test, the_views_do_one_thing_each)
{
    const chan<int> c(2);
    const weft::sender<int> s = c;
    const weft::receiver<int> r = c;
    s.send(1);
    EXPECT_EQ(s.try_send(2), chan_status::success);
    EXPECT_EQ(s.try_send(3), chan_status::full);
    EXPECT_EQ(s.send_for(3, 1ms), chan_status::timeout);
    EXPECT_EQ(s.send_until(3, weft::clock::now()), chan_status::timeout);
    EXPECT_EQ(s.size(), 2U);
    EXPECT_EQ(r.capacity(), 2U);
    EXPECT_EQ(r.recv(), 1);
    int v = 0;
    EXPECT_EQ(r.try_recv(v), chan_status::success);
    EXPECT_EQ(v, 2);
    EXPECT_EQ(r.recv_for(v, 1ms), chan_status::timeout);
    EXPECT_EQ(r.recv_until(v, weft::clock::now()), chan_status::timeout);
    s.close();
    EXPECT_TRUE(r.closed());
    EXPECT_EQ(r.recv(), std::nullopt);
}

// ---- elements whose moves throw

/// Counts its living values and how often it was copied and moved; throws in the `fuse`-th of both.
struct fragile {
    static inline std::atomic<int> alive{0};
    static inline int copies = 0;
    static inline int moves = 0;
    static inline int fuse = -1;
    int v;
    bool full = true;  ///< not moved from

    explicit fragile(int i) : v(i) { ++alive; }
    fragile(const fragile& o) : v(o.v), full(o.full)
    {
        burn();
        ++copies;
        ++alive;
    }
    fragile(fragile&& o) : v(o.v), full(o.full)  // NOLINT: it throws
    {
        burn();
        ++moves;
        o.full = false;
        ++alive;
    }
    fragile& operator=(const fragile&) = default;
    fragile& operator=(fragile&& o)  // NOLINT: it throws
    {
        burn();
        v = o.v;
        full = o.full;
        o.full = false;
        return *this;
    }
    ~fragile() { --alive; }
    static void burn()
    {
        if (fuse >= 0 && fuse-- == 0)
            throw std::domain_error("fragile");
    }
    static void reset()
    {
        copies = moves = 0;
        fuse = -1;
    }
};
static_assert(!std::is_nothrow_move_constructible_v<fragile>);

/// The same, and it can only be moved.
struct fragile_move_only : fragile {
    using fragile::fragile;
    fragile_move_only(const fragile_move_only&) = delete;
    fragile_move_only& operator=(const fragile_move_only&) = delete;
    fragile_move_only(fragile_move_only&&) = default;
    fragile_move_only& operator=(fragile_move_only&&) = default;
    ~fragile_move_only() = default;
};

WEFT_TEST(chan_test, elements_with_throwing_moves_pass)
{
    fragile::reset();
    {
        const chan<fragile> c(2);
        weft::wait_group all;
        all.go(
            [=]
            {
                for (int i = 0; i < 50; ++i)
                    c.send(fragile(i));
                c.close();
            });
        int expected = 0;
        while (const std::optional<fragile> v = c.recv())
            EXPECT_EQ(v->v, expected++);
        EXPECT_EQ(expected, 50);
        all.wait();
        const chan<fragile> left_over(3);
        left_over.send(fragile(1));
        left_over.send(fragile(2));
    }
    EXPECT_EQ(fragile::alive, 0);
}

WEFT_TEST(chan_test, a_send_that_throws_has_sent_nothing)
{
    fragile::reset();
    {
        const chan<fragile> c(2);
        fragile mine(3);
        for (int fuse = 0; fuse < 2; ++fuse) {
            fragile::fuse = fuse;
            EXPECT_THROW(c.send(mine), std::domain_error);
            EXPECT_EQ(c.size(), 0U);
            EXPECT_TRUE(mine.full);
        }
        fragile::fuse = 0;
        EXPECT_THROW((void)c.try_send(mine), std::domain_error);
        fragile::fuse = 0;
        EXPECT_THROW((void)c.send_for(std::move(mine), 1h), std::domain_error);
        EXPECT_TRUE(mine.full);
        EXPECT_EQ(c.size(), 0U);
        fragile::reset();
        EXPECT_EQ(c.try_send(mine), chan_status::success);
        EXPECT_EQ(c.recv()->v, 3);
    }
    EXPECT_EQ(fragile::alive, 0);
}

WEFT_TEST(chan_test, an_element_whose_move_out_throws_is_lost_to_its_receiver_alone)
{
    fragile::reset();
    {
        const chan<fragile> c(4);
        for (int i = 0; i < 4; ++i)
            c.send(fragile(i));
        fragile::fuse = 0;
        EXPECT_THROW((void)c.recv(), std::domain_error);
        fragile out(9);
        fragile::fuse = 0;
        EXPECT_THROW((void)c.try_recv(out), std::domain_error);
        fragile::fuse = 0;
        EXPECT_THROW((void)c.recv_for(out, 1h), std::domain_error);
        EXPECT_EQ(c.recv()->v, 3);
    }
    EXPECT_EQ(fragile::alive, 0);
}

WEFT_TEST(chan_test, a_refused_element_with_throwing_moves_is_as_it_was)
{
    fragile::reset();
    {
        const chan<fragile> c;
        fragile mine(3);
        EXPECT_EQ(c.try_send(std::move(mine)), chan_status::full);
        EXPECT_EQ(fragile::copies + fragile::moves, 0);  // not even boxed
        EXPECT_EQ(c.send_for(std::move(mine), 1ms), chan_status::timeout);
        EXPECT_TRUE(mine.full);
        EXPECT_EQ(fragile::moves, 0);
        const chan<fragile_move_only> d;
        fragile_move_only only(4);
        EXPECT_EQ(d.try_send(std::move(only)), chan_status::full);
        EXPECT_EQ(d.send_for(std::move(only), 1ms), chan_status::timeout);
        EXPECT_TRUE(only.full);
        EXPECT_EQ(only.v, 4);
        d.close();
        EXPECT_EQ(d.try_send(std::move(only)), chan_status::closed);
        EXPECT_EQ(d.send_for(std::move(only), 1h), chan_status::closed);
        EXPECT_TRUE(only.full);
        EXPECT_THROW(d.send(std::move(only)), weft::closed_channel);
    }
    EXPECT_EQ(fragile::alive, 0);
}

/// Its destruction may throw: refused, as in the standard's containers.
struct loud_end {
    ~loud_end() noexcept(false) {}  // NOLINT
};
struct immovable {
    immovable(const immovable&) = delete;
};
static_assert(!weft::detail::chan_value<loud_end> && !weft::detail::chan_value<immovable>);
static_assert(!weft::detail::chan_value<const int> && !weft::detail::chan_value<int&> &&
              !weft::detail::chan_value<void>);

// ---- what a move leaves behind

/// Calls `at_end`, if it has one, where what has been moved from is destroyed.
struct calls_at_its_rest {
    counted count;
    int v = 0;
    std::function<void()> at_end;
    bool moved = false;
    calls_at_its_rest() = default;
    explicit calls_at_its_rest(int i, std::function<void()> f = {}) : v(i), at_end(std::move(f)) {}
    calls_at_its_rest(calls_at_its_rest&& o) noexcept : v(o.v), at_end(o.at_end) { o.moved = true; }
    calls_at_its_rest& operator=(calls_at_its_rest&& o) noexcept
    {
        v = o.v;
        at_end = o.at_end;
        o.moved = true;
        return *this;
    }
    ~calls_at_its_rest()
    {
        if (moved && at_end)
            at_end();
    }
};

WEFT_TEST(chan_test, what_a_move_leaves_in_a_buffer_may_use_the_channel)
{
    for (int way = 0; way < 4; ++way) {
        const chan<calls_at_its_rest> c(3);
        bool armed = false;
        const auto sends_one_more = [&]
        {
            if (std::exchange(armed, false)) {
                EXPECT_EQ(c.size(), 0U);
                EXPECT_EQ(c.try_send(calls_at_its_rest(2)), chan_status::success);
            }
        };
        c.send(calls_at_its_rest(1, sends_one_more));
        armed = true;
        calls_at_its_rest out;
        if (way == 0)
            out = c.recv().value();
        else if (way == 1)
            EXPECT_EQ(c.try_recv(out), chan_status::success);
        else if (way == 2)
            EXPECT_EQ(c.recv_for(out, 1h), chan_status::success);
        else
            weft::select(weft::on_recv(c, [&](std::optional<calls_at_its_rest> got) { out = std::move(*got); }));
        EXPECT_FALSE(armed);
        EXPECT_EQ(out.v, 1);
        EXPECT_EQ(c.size(), 1U);
        EXPECT_EQ(c.recv()->v, 2);
    }
    EXPECT_EQ(counted::alive, 0);
}

// A place is free when what was left there is gone, and not before those in front of it.
WEFT_TEST(chan_test, places_come_free_in_their_order)
{
    const procs one(1);
    for (const bool closes : {false, true}) {
        const chan<calls_at_its_rest> c(2);
        const chan<int> gate;
        int sent = 0;
        weft::wait_group all;
        bool waits = false;
        c.send(calls_at_its_rest(1,
                                 [&]
                                 {
                                     if (waits)
                                         (void)gate.recv();
                                 }));
        c.send(calls_at_its_rest(2));
        waits = true;
        all.go(
            [&]
            {
                calls_at_its_rest out;
                EXPECT_EQ(c.try_recv(out), chan_status::success);  // waits at the gate
                EXPECT_EQ(out.v, 1);
                out.at_end = nullptr;
            });
        EXPECT_TRUE(parked(1));
        EXPECT_EQ(c.size(), 1U);
        EXPECT_EQ(c.try_send(calls_at_its_rest(9)), chan_status::full);
        EXPECT_EQ(c.recv()->v, 2);
        EXPECT_EQ(c.size(), 0U);
        EXPECT_EQ(c.try_send(calls_at_its_rest(9)), chan_status::full);
        calls_at_its_rest out;
        EXPECT_EQ(c.try_recv(out), chan_status::empty);
        for (std::size_t i = 0; i < 3; ++i) {
            all.go(
                [&, i]
                {
                    try {
                        c.send(calls_at_its_rest(static_cast<int>(i) + 3));
                        ++sent;
                    } catch (const weft::closed_channel&) {
                        EXPECT_TRUE(closes);
                    }
                });
            EXPECT_TRUE(parked(i + 2));
        }
        waits = false;
        if (closes) {
            c.close();
            EXPECT_EQ(c.try_recv(out), chan_status::closed);
            EXPECT_TRUE(parked(1));
        }
        gate.send(0);
        for (int i = 3; i <= 5 && !closes; ++i)
            EXPECT_EQ(c.recv()->v, i);
        all.wait();
        EXPECT_EQ(sent, closes ? 0 : 3);
        EXPECT_EQ(c.try_send(calls_at_its_rest(6)), closes ? chan_status::closed : chan_status::success);
    }
    EXPECT_EQ(counted::alive, 0);
}

struct tracked {
    static inline std::atomic<int> moves{0};
    counted count;
    tracked() = default;
    tracked(const tracked&) = delete;
    tracked& operator=(const tracked&) = delete;
    tracked(tracked&&) noexcept { ++moves; }
    tracked& operator=(tracked&&) noexcept
    {
        ++moves;
        return *this;
    }
    ~tracked() = default;
};

WEFT_TEST(chan_test, a_value_is_moved_from_frame_to_frame)
{
    const procs one(1);
    tracked::moves = 0;
    const chan<tracked> c;
    weft::wait_group all;
    tracked out;
    all.go([&] { EXPECT_EQ(c.recv_for(out, 1h), chan_status::success); });
    EXPECT_TRUE(parked(1));
    tracked in;
    EXPECT_EQ(c.try_send(in), chan_status::success);
    all.wait();
    EXPECT_EQ(tracked::moves, 2);  // into the receiver's frame, from there to `out`
}

// ---- order

WEFT_TEST(chan_test, values_stay_in_order)
{
    for (const int n : {1, 2, 4})
        for (const int capacity : {0, 1, 7}) {
            const procs p(n);
            const chan<std::size_t> c(capacity);
            const std::size_t rounds = scaled(20'000);
            weft::wait_group all;
            all.go(
                [=]
                {
                    for (std::size_t i = 0; i < rounds; ++i)
                        c.send(i);
                    c.close();
                });
            std::size_t wrong = 0;
            std::size_t expected = 0;
            while (const auto v = c.recv())
                wrong += *v == expected++ ? 0U : 1U;
            EXPECT_EQ(wrong, 0U);
            EXPECT_EQ(expected, rounds);
            all.wait();
        }
}

WEFT_TEST(chan_test, each_sender_stays_in_order_with_many)
{
    const procs four(4);
    constexpr std::size_t senders = 8;
    const std::size_t rounds = scaled(4'000);
    for (const int capacity : {0, 4}) {
        const chan<std::pair<std::size_t, std::size_t>> c(capacity);
        weft::wait_group all;
        for (std::size_t s = 0; s < senders; ++s)
            all.go(
                [=]
                {
                    for (std::size_t i = 0; i < rounds; ++i)
                        c.send({s, i});
                });
        std::array<std::size_t, senders> next{};
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < senders * rounds; ++i) {
            const auto v = c.recv();
            wrong += v->second == next[v->first]++ ? 0U : 1U;
        }
        EXPECT_EQ(wrong, 0U);
        all.wait();
    }
}

// The k-th to wait is the k-th to be served.
WEFT_TEST(chan_test, waiters_stay_in_order)
{
    const procs one(1);
    for (const int capacity : {0, 2}) {
        const chan<int> c(capacity);
        for (int i = 0; i < capacity; ++i)
            c.send(-1);
        weft::wait_group all;
        constexpr int n = 20;
        for (int i = 0; i < n; ++i) {
            all.go(
                [&, i]
                {
                    int v = i;
                    if (i % 3 == 0)
                        c.send(v);
                    else
                        EXPECT_EQ(c.send_for(v, 1h), chan_status::success);
                });
            ASSERT_TRUE(parked(static_cast<std::size_t>(i) + 1));
        }
        for (int i = 0; i < capacity; ++i)
            EXPECT_EQ(c.recv(), -1);
        for (int i = 0; i < n; ++i)
            EXPECT_EQ(c.recv(), i);
        all.wait();

        std::array<std::atomic<int>, n> got{};
        for (int i = 0; i < n; ++i) {
            all.go([&, i] { got[static_cast<std::size_t>(i)] = c.recv().value_or(-1); });
            ASSERT_TRUE(parked(static_cast<std::size_t>(i) + 1));
        }
        for (int i = 0; i < n; ++i)
            c.send(i);
        all.wait();
        for (int i = 0; i < n; ++i)
            EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
    }
}

WEFT_TEST(chan_test, who_gives_up_leaves_the_order_of_the_others)
{
    const procs one(1);
    const chan<int> c;
    weft::wait_group all;
    std::array<std::atomic<int>, 3> got{};
    std::atomic<bool> gave_up{false};
    const auto waits = [&](std::size_t i) { all.go([&, i] { got[i] = c.recv().value_or(-1); }); };
    waits(0);
    ASSERT_TRUE(parked(1));
    all.go(
        [&]
        {
            int v = 0;
            EXPECT_EQ(c.recv_for(v, 20ms), chan_status::timeout);
            gave_up = true;
        });
    waits(1);
    waits(2);
    EXPECT_TRUE(eventually([&] { return gave_up.load(); }));
    ASSERT_TRUE(parked(3));
    for (int i = 1; i <= 3; ++i)
        c.send(i);
    all.wait();
    EXPECT_EQ(got[0], 1);
    EXPECT_EQ(got[1] + got[2], 5);
}

// The k-th receive happens before the (k + capacity)-th send completes: a channel as a counting semaphore.
WEFT_TEST(chan_test, a_buffer_bounds_how_many_are_inside)
{
    const procs four(4);
    const chan<int> c(3);
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    weft::wait_group all;
    for (int g = 0; g < 16; ++g)
        all.go(
            [&]
            {
                for (std::size_t i = 0; i < scaled(500); ++i) {
                    c.send(1);
                    const int now = ++inside;
                    int seen = most;
                    while (now > seen && !most.compare_exchange_weak(seen, now)) {
                    }
                    if (i % 8 == 0)
                        weft::yield();
                    --inside;
                    (void)c.recv();
                }
            });
    all.wait();
    EXPECT_LE(most, 3);
    EXPECT_GE(most, 1);
}

// ---- deadlines

WEFT_TEST(chan_test, a_timeout_is_never_early)
{
    const chan<int> c;
    int v = 3;
    for (const auto d : {100us, 1'000us, 3'000us}) {
        auto before = weft::clock::now();
        EXPECT_EQ(c.recv_for(v, d), chan_status::timeout);
        EXPECT_GE(weft::clock::now() - before, d);
        before = weft::clock::now();
        EXPECT_EQ(c.send_for(v, d), chan_status::timeout);
        EXPECT_GE(weft::clock::now() - before, d);
    }
    EXPECT_EQ(v, 3);
}

WEFT_TEST(chan_test, a_deadline_in_the_past_makes_it_an_attempt)
{
    const procs one(1);
    const chan<int> c(1);
    int v = 3;
    const auto past = weft::clock::now() - 1s;
    EXPECT_EQ(c.recv_until(v, past), chan_status::timeout);
    EXPECT_EQ(c.send_until(v, past), chan_status::success);
    EXPECT_EQ(c.send_until(v, past), chan_status::timeout);
    EXPECT_EQ(c.recv_until(v, weft::clock::time_point::min()), chan_status::success);
    EXPECT_EQ(c.recv_for(v, 0ms), chan_status::timeout);
    EXPECT_EQ(c.recv_for(v, -1h), chan_status::timeout);
    const chan<int> unbuffered;
    weft::wait_group all;
    all.go([=] { unbuffered.send(8); });
    EXPECT_TRUE(parked(1));
    EXPECT_EQ(unbuffered.recv_until(v, past), chan_status::success);
    EXPECT_EQ(v, 8);
    all.wait();
}

template <class Clock>
void takes_points_of()
{
    const chan<int> c(1);
    int v = 1;
    EXPECT_EQ(c.recv_until(v, Clock::now() - 1h), chan_status::timeout);
    EXPECT_EQ(c.recv_until(v, Clock::time_point::min()), chan_status::timeout);
    const auto deadline = Clock::now() + 2ms;
    EXPECT_EQ(c.recv_until(v, deadline), chan_status::timeout);
    EXPECT_TRUE(!Clock::is_steady || Clock::now() >= deadline);
    EXPECT_EQ(c.send_until(v, Clock::now() + 1h), chan_status::success);
    EXPECT_EQ(c.send_until(2, Clock::now() + 1ms), chan_status::timeout);
    EXPECT_EQ(c.recv_until(v, std::chrono::time_point_cast<std::chrono::minutes>(Clock::now()) + 2min),
              chan_status::success);
    weft::wait_group all;
    all.go([=] { c.send(3); });
    EXPECT_EQ(c.recv_until(v, Clock::time_point::max()), chan_status::success);
    EXPECT_EQ(v, 3);
    all.wait();
}

WEFT_TEST(chan_test, deadlines_are_points_of_any_clock)
{
    const procs one(1);
    takes_points_of<std::chrono::steady_clock>();
    takes_points_of<std::chrono::system_clock>();
    takes_points_of<weft::clock>();
    const chan<int> c(1);
    c.send(1);
    int v = 0;
    EXPECT_EQ(c.recv_until(v, std::chrono::sys_days::max()), chan_status::success);
}

WEFT_TEST(chan_test, a_timeout_beyond_the_clock_waits_for_ever)
{
    const procs one(1);
    const chan<int> c;
    weft::wait_group all;
    all.go(
        [=]
        {
            int v = 0;
            EXPECT_EQ(c.recv_until(v, weft::clock::time_point::max()), chan_status::success);
            EXPECT_EQ(c.recv_for(v, std::chrono::hours::max()), chan_status::success);
            EXPECT_EQ(v, 2);
        });
    EXPECT_TRUE(parked(1));
    c.send(1);
    c.send(2);
    all.wait();
}

// Timeouts about as long as the hand-over: whichever wins, a value is somebody's, and only one's.
void timeouts_race_hand_overs(int n, int capacity)
{
    const procs p(n);
    const chan<std::size_t> c(capacity);
    const std::size_t rounds = scaled(3'000);
    std::atomic<std::size_t> sent{0};
    std::atomic<std::size_t> sum_sent{0};
    std::atomic<std::size_t> received{0};
    std::atomic<std::size_t> sum_received{0};
    weft::wait_group senders;
    weft::wait_group receivers;
    std::atomic<bool> done{false};
    for (std::size_t g = 0; g < 3; ++g) {
        senders.go(
            [&, g]
            {
                rng r(g);
                for (std::size_t i = 0; i < rounds; ++i) {
                    std::size_t v = i * 3 + g;
                    if (c.send_for(v, std::chrono::microseconds(r.below(30))) == chan_status::success) {
                        ++sent;
                        sum_sent += v;
                    }
                }
            });
        receivers.go(
            [&, g]
            {
                rng r(g + 10);
                while (!done || c.size() > 0) {
                    std::size_t v = 0;
                    if (c.recv_for(v, std::chrono::microseconds(r.below(30))) == chan_status::success) {
                        ++received;
                        sum_received += v;
                    }
                }
            });
    }
    senders.wait();
    done = true;
    receivers.wait();
    EXPECT_EQ(sent, received);
    EXPECT_EQ(sum_sent, sum_received);
    EXPECT_EQ(c.size(), 0U);
}

WEFT_TEST(chan_test, timeouts_race_hand_overs)
{
    for (const int n : {1, 2, 4})
        for (const int capacity : {0, 2})
            timeouts_race_hand_overs(n, capacity);
}

// ---- many, and plain threads

/// `threads` of each side are plain ones. Each value arrives once, in whatever order.
void many_to_many(int proc_count, int capacity, std::size_t goroutines, std::size_t threads, std::size_t each)
{
    const procs p(proc_count);
    const chan<std::size_t> c(capacity);
    std::atomic<std::size_t> count{0};
    std::atomic<std::size_t> sum{0};
    const auto send = [&](std::size_t from)
    {
        for (std::size_t i = 0; i < each; ++i)
            c.send(from * each + i);
    };
    const auto receive = [&]
    {
        std::size_t own = 0;
        std::size_t own_sum = 0;
        for (const std::size_t v : c) {
            ++own;
            own_sum += v;
        }
        count += own;
        sum += own_sum;
    };
    weft::wait_group senders;
    weft::wait_group receivers;
    std::vector<std::thread> plain;
    for (std::size_t i = 0; i < goroutines; ++i) {
        senders.go([&, i] { send(i); });
        receivers.go(receive);
    }
    senders.add(static_cast<int>(threads));
    for (std::size_t i = 0; i < threads; ++i) {
        plain.emplace_back(
            [&, i]
            {
                send(goroutines + i);
                senders.done();
            });
        plain.emplace_back(receive);
    }
    senders.wait();
    c.close();
    receivers.wait();
    for (std::thread& t : plain)
        t.join();
    const std::size_t all = (goroutines + threads) * each;
    EXPECT_EQ(count, all);
    EXPECT_EQ(sum, all * (all - 1) / 2);
}

TEST_F(chan_test, between_goroutines)
{
    for (const int n : {1, 2, 4, 16})
        for (const int capacity : {0, 1, 100})
            many_to_many(n, capacity, 10, 0, scaled(2'000));
}

TEST_F(chan_test, between_plain_threads)
{
    for (const int capacity : {0, 1, 100})
        many_to_many(2, capacity, 0, 4, scaled(2'000));
}

TEST_F(chan_test, between_goroutines_and_plain_threads)
{
    for (const int n : {1, 2, 4})
        for (const int capacity : {0, 1, 100})
            many_to_many(n, capacity, 5, 3, scaled(1'000));
}

TEST_F(chan_test, a_plain_thread_uses_all_of_it)
{
    const chan<int> c(1);
    int v = 0;
    c.send(1);
    EXPECT_EQ(c.try_send(2), chan_status::full);
    EXPECT_EQ(c.send_for(2, 1ms), chan_status::timeout);
    EXPECT_EQ(c.recv(), 1);
    EXPECT_EQ(c.try_recv(v), chan_status::empty);
    EXPECT_EQ(c.recv_for(v, 1ms), chan_status::timeout);
    EXPECT_EQ(c.recv_until(v, weft::clock::now() - 1s), chan_status::timeout);
    std::thread other([&] { EXPECT_EQ(c.recv_for(v, 1h), chan_status::success); });
    c.send(5);
    other.join();
    EXPECT_EQ(v, 5);
    std::thread waits([&] { EXPECT_EQ(c.recv(), std::nullopt); });
    c.close();
    waits.join();
    EXPECT_THROW(c.send(1), weft::closed_channel);
}

TEST_F(chan_test, timeouts_of_plain_threads_race_hand_overs)
{
    const chan<std::size_t> c;
    const std::size_t rounds = scaled(2'000);
    std::atomic<std::size_t> sum{0};
    std::atomic<bool> done{false};
    std::thread receiver(
        [&]
        {
            rng r(1);
            while (!done) {
                std::size_t v = 0;
                if (c.recv_for(v, std::chrono::microseconds(r.below(50))) == chan_status::success)
                    sum += v;
            }
        });
    weft::run(
        [&]
        {
            rng r(2);
            std::size_t sent = 0;
            for (std::size_t i = 1; i <= rounds; ++i)
                if (c.send_for(i, std::chrono::microseconds(r.below(50))) == chan_status::success)
                    sent += i;
            done = true;
            EXPECT_TRUE(eventually([&] { return sum == sent; }));
        });
    receiver.join();
}

// The lock's bias and the section must not stay with a thread that the goroutine has left. One side at a time: who
// migrates occupies a P.
WEFT_TEST(chan_test, goroutines_that_migrate)
{
    const procs two(2);
    const std::size_t rounds = scaled(100);
    for (const bool sender_migrates : {true, false}) {
        const chan<int> ping;
        const chan<int> pong(1);
        weft::wait_group all;
        all.go(
            [&]
            {
                for (std::size_t i = 0; i < rounds; ++i) {
                    const std::optional<int> v = ping.recv();
                    if (!sender_migrates)
                        migrate();
                    pong.send(*v + 1);
                }
            });
        for (std::size_t i = 0; i < rounds; ++i) {
            for (int k = 0; k < 20; ++k) {  // makes the lock ours
                EXPECT_EQ(pong.try_send(k), chan_status::success);
                EXPECT_EQ(pong.recv(), k);
            }
            ping.send(static_cast<int>(i));
            if (sender_migrates)
                migrate();
            EXPECT_EQ(pong.recv(), static_cast<int>(i) + 1);
        }
        all.wait();
    }
}

// One uses the channel most of the time, another, a plain thread, now and then.
WEFT_TEST(chan_test, the_bias_of_the_lock_comes_and_goes)
{
    const chan<std::size_t> c(64);
    std::atomic<bool> done{false};
    std::atomic<std::size_t> sum{0};
    std::thread thief(
        [&]
        {
            std::size_t v = 0;
            while (!done) {
                if (c.try_recv(v) == chan_status::success)
                    sum += v;
                std::this_thread::sleep_for(20us);
            }
        });
    std::size_t sent = 0;
    std::size_t own = 0;
    for (std::size_t i = 0; i < scaled(300'000); ++i) {
        c.send(i);
        sent += i;
        std::size_t v = 0;
        if (c.size() > 32 || i % 2 == 0)
            if (c.try_recv(v) == chan_status::success)
                own += v;
        while (c.size() == 64)
            own += c.recv().value_or(0);
    }
    done = true;
    thief.join();
    c.close();
    for (const std::size_t v : c)
        own += v;
    EXPECT_EQ(own + sum, sent);
}

WEFT_TEST(chan_test, a_close_races_senders_and_receivers)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        for (std::size_t round = 0; round < scaled(1'000); ++round) {
            const chan<counted> c(static_cast<int>(round % 3));
            std::atomic<int> sent{0};
            std::atomic<int> received{0};
            weft::wait_group all;
            for (int i = 0; i < 3; ++i) {
                all.go(
                    [&]
                    {
                        try {
                            for (;;) {
                                c.send({});
                                ++sent;
                            }
                        } catch (const weft::closed_channel&) {
                        }
                    });
                all.go(
                    [&]
                    {
                        while (c.recv())
                            ++received;
                    });
            }
            weft::yield();
            c.close();
            all.wait();
            ASSERT_EQ(sent, received);
        }
    }
}

WEFT_TEST(chan_test, one_of_many_closes_succeeds)
{
    const procs four(4);
    for (std::size_t round = 0; round < scaled(500); ++round) {
        const chan<int> c;
        std::atomic<int> closed{0};
        std::atomic<int> refused{0};
        weft::wait_group all;
        for (int i = 0; i < 4; ++i)
            all.go(
                [&]
                {
                    try {
                        c.close();
                        ++closed;
                    } catch (const weft::closed_channel&) {
                        ++refused;
                    }
                });
        all.wait();
        ASSERT_EQ(closed, 1);
        ASSERT_EQ(refused, 3);
    }
}

// Plain data written before a send is read after the receive: a race otherwise, to TSan.
WEFT_TEST(chan_test, a_hand_over_orders_plain_data)
{
    const procs two(2);
    for (const int capacity : {0, 1}) {
        const chan<nothing> c(capacity);
        const chan<nothing> back(capacity);
        std::size_t data = 0;
        weft::wait_group all;
        const std::size_t rounds = scaled(5'000);
        all.go(
            [&]
            {
                for (std::size_t i = 0; i < rounds; ++i) {
                    ++data;
                    c.send({});
                    (void)back.recv();
                }
                ++data;
                c.close();
            });
        std::size_t expected = 0;
        while (c.recv()) {
            EXPECT_EQ(data, ++expected);
            ++data;
            ++expected;
            back.send({});
        }
        EXPECT_EQ(data, 2 * rounds + 1);
        all.wait();
    }
}

// The last handle goes while the other side has just been served.
WEFT_TEST(chan_test, a_channel_ends_as_soon_as_its_last_user_lets_go)
{
    const procs four(4);
    for (std::size_t i = 0; i < scaled(5'000); ++i) {
        auto c = std::make_unique<chan<counted>>(static_cast<int>(i % 2));
        weft::wait_group all;
        all.go([own = *c] { own.send({}); });
        (void)c->recv();
        c.reset();
        all.wait();
    }
}

// ---- twenty types: each costs thin templates only. The file must compile in seconds.

template <int N>
struct kind {
    std::array<char, static_cast<std::size_t>(N)> v{};
    friend bool operator==(const kind&, const kind&) = default;
};
template <int... N>
void all_kinds(std::integer_sequence<int, N...>)
{
    (goes_through(kind<N + 1>{}), ...);
}

WEFT_TEST(chan_test, twenty_types)
{
    all_kinds(std::make_integer_sequence<int, 20>());
}

}  // namespace
