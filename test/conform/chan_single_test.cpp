// Channels one operation at a time, as Go has them: see docs/conformance/channels.md.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "../unit/fixture.hpp"
#include "weft/weft.hpp"

namespace {

using chan_single_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::chan;
using weft::chan_status;
using weft::on_recv;
using weft::on_send;
using weft::otherwise;
using weft::receiver;
using weft::select;
using weft::sender;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;

/// Waits until `n` goroutines are parked, the caller not among them. Exact with one P only: the counts are not taken
/// at one moment.
bool parked(std::size_t n)
{
    return eventually([n] { return weft::stats().goroutines_waiting == n; });
}

// ---- perm.go: what each direction allows is a matter of types

template <class C>
concept can_send = requires(const C& c) { c.send(1); };
template <class C>
concept can_try_send = requires(const C& c, int v) { c.try_send(v); };
template <class C>
concept can_recv = requires(const C& c) { c.recv(); };
template <class C>
concept can_try_recv = requires(const C& c, int& v) { c.try_recv(v); };
template <class C>
concept can_range = requires(const C& c) { c.begin(); };
template <class C>
concept can_close = requires(const C& c) { c.close(); };
template <class C>
concept can_select_send = requires(const C& c) { on_send(c, 1); };
template <class C>
concept can_select_recv = requires(const C& c) { on_recv(c); };
template <class C>
concept sends = can_send<C> && can_try_send<C> && can_select_send<C>;
template <class C>
concept sends_a_little = can_send<C> || can_try_send<C> || can_select_send<C>;
template <class C>
concept receives = can_recv<C> && can_try_recv<C> && can_range<C> && can_select_recv<C>;
template <class C>
concept receives_a_little = can_recv<C> || can_try_recv<C> || can_range<C> || can_select_recv<C>;

static_assert(sends<chan<int>> && receives<chan<int>> && can_close<chan<int>>);
static_assert(sends<sender<int>> && !receives_a_little<sender<int>> && can_close<sender<int>>);
static_assert(!sends_a_little<receiver<int>> && receives<receiver<int>> && !can_close<receiver<int>>);
static_assert(!sends_a_little<int> && !receives_a_little<int> && !can_close<int>);
static_assert(std::is_convertible_v<chan<int>, sender<int>> && std::is_convertible_v<chan<int>, receiver<int>>);
static_assert(std::is_assignable_v<sender<int>&, chan<int>&> && std::is_assignable_v<receiver<int>&, chan<int>&>);
static_assert(!std::is_constructible_v<chan<int>, receiver<int>> && !std::is_constructible_v<chan<int>, sender<int>>);
static_assert(!std::is_assignable_v<chan<int>&, receiver<int>> && !std::is_assignable_v<chan<int>&, sender<int>>);
static_assert(!std::is_constructible_v<receiver<int>, sender<int>> &&
              !std::is_constructible_v<sender<int>, receiver<int>>);
static_assert(!std::is_constructible_v<chan<long>, chan<int>> && !std::is_constructible_v<receiver<long>, chan<int>>);

// ---- fifo.go

WEFT_TEST(chan_single_test, a_buffer_is_a_queue)
{
    constexpr int n = 10;
    const chan<int> c(n);
    for (int i = 0; i < n; ++i)
        c.send(i);
    for (int i = 0; i < n; ++i)
        EXPECT_EQ(c.recv(), i);
}

WEFT_TEST(chan_single_test, a_chain_of_goroutines_receives_in_turn)
{
    constexpr int n = 10;
    const chan<int> values;
    const chan<int> first;
    chan<int> before = first;
    for (int i = 0; i < n; ++i) {
        const chan<int> after;
        weft::go(
            [=]
            {
                (void)before.recv();
                EXPECT_EQ(values.recv(), i);
                after.send(1);
            });
        before = after;
    }
    first.send(0);
    for (int i = 0; i < n; ++i)
        values.send(i);
    EXPECT_EQ(before.recv(), 1);
}

// ---- goroutines.go

WEFT_TEST(chan_single_test, a_value_passes_through_very_many_goroutines)
{
    const std::size_t n = weft::test::scaled_live(10'000);
    const chan<int> leftmost;
    chan<int> left = leftmost;
    for (std::size_t i = 0; i < n; ++i) {
        const chan<int> right;
        weft::go([=] { left.send(*right.recv() + 1); });
        left = right;
    }
    weft::go([=] { left.send(1); });
    EXPECT_EQ(leftmost.recv(), static_cast<int>(n) + 1);
}

// ---- zerosize.go, sendstmt.go

WEFT_TEST(chan_single_test, elements_without_size)
{
    struct empty {};
    struct empty_array {
        std::array<char, 0> none;
    };
    for (const int capacity : {0, 1}) {
        const chan<empty> a(capacity);
        const chan<empty_array> b(capacity);
        weft::go([=] { a.send({}); });
        EXPECT_TRUE(a.recv());
        weft::go([=] { b.send({}); });
        EXPECT_TRUE(b.recv());
    }
}

WEFT_TEST(chan_single_test, channels_of_channels)
{
    const chan<chan<int>> cc(1);
    const chan<int> c(1);
    cc.send(c);
    EXPECT_EQ(select(on_send(*cc.recv(), 2), otherwise()), 0U);
    EXPECT_EQ(c.recv(), 2);
}

// ---- nonblock.go: attempts that fail until the other side has come

template <class T>
void attempts(const T& there, const T& back)
{
    for (const int capacity : {0, 1}) {
        const chan<T> c(capacity);
        T got{};
        EXPECT_EQ(select(on_recv(c), otherwise()), 1U);
        EXPECT_EQ(c.try_recv(got), chan_status::empty);
        weft::wait_group all;
        all.go([&] { EXPECT_TRUE(c.recv() == there); });
        EXPECT_TRUE(eventually([&] { return select(on_send(c, there), otherwise()) == 0; }));
        all.wait();
        all.go([&] { c.send(back); });
        EXPECT_TRUE(eventually(
            [&] { return select(on_recv(c, [&](std::optional<T> v) { got = *std::move(v); }), otherwise()) == 0; }));
        all.wait();
        EXPECT_TRUE(got == back);
    }
}

WEFT_TEST(chan_single_test, attempts_succeed_once_the_other_side_is_there)
{
    attempts<std::int32_t>(123, 234);
    attempts<std::int64_t>(123'456, 234'567);
    attempts(true, true);
    attempts<std::string>("hello", "hello again");
}

// ---- runtime/chan_test.go

WEFT_TEST(chan_single_test, empty_and_full_channels_block)
{
    const procs one(1);
    for (int capacity = 0; capacity < 20; ++capacity) {
        const chan<int> c(capacity);
        std::atomic<int> received{0};
        weft::wait_group all;
        for (int i = 0; i < 2; ++i)
            all.go(
                [&]
                {
                    (void)c.recv();
                    ++received;
                });
        ASSERT_TRUE(parked(2));
        ASSERT_EQ(received, 0);
        ASSERT_EQ(select(on_recv(c), otherwise()), 1U);
        c.send(0);
        c.send(0);
        all.wait();

        const chan<int> full(capacity);
        for (int i = 0; i < capacity; ++i)
            full.send(i);
        ASSERT_EQ(full.size(), static_cast<std::size_t>(capacity));
        ASSERT_EQ(full.capacity(), static_cast<std::size_t>(capacity));
        std::atomic<bool> sent{false};
        all.go(
            [&]
            {
                full.send(capacity);
                sent = true;
            });
        ASSERT_TRUE(parked(1));
        ASSERT_FALSE(sent);
        ASSERT_EQ(select(on_send(full, 0), otherwise()), 1U);
        for (int i = 0; i <= capacity; ++i)
            ASSERT_EQ(full.recv(), i);
        all.wait();
    }
}

WEFT_TEST(chan_single_test, a_closed_channel_drains_and_then_says_so)
{
    const procs one(1);
    for (int capacity = 0; capacity < 20; ++capacity) {
        const chan<int> c(capacity);
        for (int i = 0; i < capacity; ++i)
            c.send(i);
        c.close();
        for (int i = 0; i < capacity; ++i)
            ASSERT_EQ(c.recv(), i);
        ASSERT_EQ(c.recv(), std::nullopt);
        ASSERT_EQ(c.recv(), std::nullopt);

        const chan<int> waited_at(capacity);
        weft::wait_group all;
        all.go([&] { EXPECT_EQ(waited_at.recv(), std::nullopt); });
        ASSERT_TRUE(parked(1));
        waited_at.close();
        all.wait();
    }
}

WEFT_TEST(chan_single_test, what_many_send_many_receive)
{
    const procs four(4);
    constexpr std::size_t pairs = 4;
    const std::size_t values = scaled(1'000);
    for (int capacity = 0; capacity < 20; ++capacity) {
        const chan<std::size_t> c(capacity);
        const chan<std::map<std::size_t, std::size_t>> done;
        for (std::size_t p = 0; p < pairs; ++p) {
            weft::go(
                [=]
                {
                    for (std::size_t i = 0; i < values; ++i)
                        c.send(i);
                });
            weft::go(
                [=]
                {
                    std::map<std::size_t, std::size_t> seen;
                    for (std::size_t i = 0; i < values; ++i)
                        ++seen[*c.recv()];
                    done.send(std::move(seen));
                });
        }
        std::map<std::size_t, std::size_t> seen;
        for (std::size_t p = 0; p < pairs; ++p) {
            const auto part = done.recv();
            for (const auto& [value, times] : *part)
                seen[value] += times;
        }
        ASSERT_EQ(seen.size(), values);
        for (const auto& [value, times] : seen)
            ASSERT_EQ(times, pairs) << value;
    }
}

// A receive that does not wait finds the element of a channel that is being closed and drained: one of the two gets it,
// the other sees the end; none sees an empty one.
WEFT_TEST(chan_single_test, an_attempt_to_receive_races_close)
{
    for (std::size_t i = 0; i < scaled(10'000); ++i) {
        const chan<int> c(1);
        c.send(1);
        weft::wait_group all;
        std::size_t chosen = 9;
        all.go([&] { chosen = select(on_recv(c), otherwise()); });
        c.close();
        (void)c.recv();
        all.wait();
        ASSERT_EQ(chosen, 0U);
    }
}

WEFT_TEST(chan_single_test, elements_of_an_abstract_type)
{
    struct base {
        virtual ~base() = default;
    };
    struct derived : base {};
    const chan<std::shared_ptr<base>> c(1);
    const auto m = std::make_shared<derived>();
    c.send(m);
    EXPECT_EQ(select(on_send(c, m), otherwise()), 1U);
    EXPECT_EQ(select(on_send(c, m), on_send(c, std::make_shared<derived>()), otherwise()), 2U);
    EXPECT_EQ(c.recv(), m);
}

WEFT_TEST(chan_single_test, many_consumers_of_a_queue)
{
    const procs four(4);
    constexpr int workers = 23;
    const std::size_t items = scaled(100'000);
    constexpr std::array values{2, 3, 7, 11, 13, 17, 19, 23, 27, 31};
    const chan<int> queue(workers * 3);
    const chan<int> results(workers * 3);
    weft::wait_group all;
    for (int w = 0; w < workers; ++w)
        all.go(
            [=]
            {
                for (const int v : queue) {
                    if (values[static_cast<std::size_t>(w) % values.size()] == v)
                        weft::yield();
                    results.send(v);
                }
            });
    long expected = 0;
    for (std::size_t i = 0; i < items; ++i)
        expected += values[i % values.size()];
    weft::go(
        [&]
        {
            for (std::size_t i = 0; i < items; ++i)
                queue.send(values[i % values.size()]);
            queue.close();
            all.wait();
            results.close();
        });
    std::size_t n = 0;
    long sum = 0;
    for (const int v : results) {
        ++n;
        sum += v;
    }
    EXPECT_EQ(n, items);
    EXPECT_EQ(sum, expected);
}

// A goroutine that waits to send has its value on its stack, which it has used deeply before.
[[gnu::noinline]] int use_stack(int depth)
{
    std::array<char, 1'024> room{};
    asm volatile("" : : "r"(room.data()) : "memory");
    return depth == 0 ? 0 : use_stack(depth - 1) + room[1];
}

WEFT_TEST(chan_single_test, a_sender_with_a_used_stack_waits)
{
    const procs one(1);
    constexpr int n = 10;
    const chan<int> c;
    const chan<int> done;
    weft::go(
        [=]
        {
            for (int i = 0; i < n; ++i) {
                c.send(i);
                (void)use_stack(20);
            }
            done.send(1);
        });
    for (int i = 0; i < n; ++i) {
        ASSERT_TRUE(parked(1));
        EXPECT_EQ(c.recv(), i);
    }
    EXPECT_TRUE(done.recv());
}

}  // namespace
