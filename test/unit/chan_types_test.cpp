// Channels of twenty element types, each with all that can be done with one: the templates over the one core are thin,
// so that such a file compiles in seconds (docs/design/channels.md has the figures).
#include <array>
#include <chrono>
#include <complex>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "fixture.hpp"
#include "weft/future.hpp"
#include "weft/local.hpp"
#include "weft/select.hpp"

namespace {

using chan_types_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::chan;
using weft::chan_status;

struct nothing {
    bool operator==(const nothing&) const = default;
};
struct cache_line {
    std::array<std::uint8_t, 64> bytes{};
    bool operator==(const cache_line&) const = default;
};
struct page {
    std::array<std::uint64_t, 512> words{};
    bool operator==(const page&) const = default;
};
/// Moved through a heap allocation.
struct may_throw {
    std::string text;
    explicit may_throw(std::string t) : text(std::move(t)) {}
    may_throw(const may_throw&) = default;
    may_throw(may_throw&& other) noexcept(false) : text(std::move(other.text)) {}
    may_throw& operator=(const may_throw&) = default;
    may_throw& operator=(may_throw&& other) noexcept(false)
    {
        text = std::move(other.text);
        return *this;
    }
    ~may_throw() = default;
    bool operator==(const may_throw&) const = default;
};
/// What wants its address by `&` does not compile.
template <bool Boxed>
struct hides_its_address {
    int v;
    explicit hides_its_address(int i) : v(i) {}
    hides_its_address(const hides_its_address&) = default;
    hides_its_address(hides_its_address&& other) noexcept(!Boxed) : v(std::exchange(other.v, 0)) {}
    hides_its_address& operator=(const hides_its_address&) = default;
    hides_its_address& operator=(hides_its_address&& other) noexcept(!Boxed)
    {
        v = std::exchange(other.v, 0);
        return *this;
    }
    ~hides_its_address() = default;
    void operator&() const = delete;
    bool operator==(const hides_its_address&) const = default;
};
enum class colour { red, green };

/// Not a macro: what is to be measured is the library's share of the time that this file takes.
void expect(bool held, const char* what)
{
    EXPECT_TRUE(held) << what;
}

/// Sends what `make` makes by each way there is, and receives it by each way. `same` compares.
template <class T, class Make, class Same = std::equal_to<>>
void passes(Make make, Same same = {})
{
    const chan<T> c(4);
    c.send(make());
    T second = make();
    expect(c.try_send(second) == chan_status::success, "try_send");
    expect(c.send_for(make(), 1min) == chan_status::success, "send_for");
    expect(weft::select(weft::on_send(c, make())) == 0, "a send by select");

    T out = make();
    expect(same(c.recv().value(), make()), "recv");
    expect(c.try_recv(out) == chan_status::success && same(out, make()), "try_recv");
    expect(c.recv_for(out, 1min) == chan_status::success && same(out, make()), "recv_for");
    weft::select(weft::on_recv(c, [&](std::optional<T> v) { expect(same(v.value(), make()), "a receive by select"); }));

    const chan<T> direct;
    weft::wait_group all;
    all.go(
        [direct, &make]
        {
            const weft::sender<T> to = direct;
            to.send(make());
            to.close();
        });
    int received = 0;
    for (T v : weft::receiver<T>(direct))
        received += same(v, make()) ? 1 : 0;
    expect(received == 1, "for");
    all.wait();
}

template <class T>
void passes(const T& value)
{
    passes<T>([&value] { return value; });
}

WEFT_TEST(chan_types_test, numbers_and_pointers)
{
    static const int target = 0;
    passes(true);
    passes('c');
    passes(std::int64_t{-1});
    passes(0.5);
    passes(std::complex<double>(1, 2));
    passes(colour::green);
    passes(&target);
    passes(std::chrono::nanoseconds(5));
}

WEFT_TEST(chan_types_test, aggregates)
{
    passes(nothing{});
    passes(cache_line{{1, 2, 3}});
    // A dozen of them and more, and ASan gives each temporary a place of its own.
    weft::async(weft::attr{.stack_size = std::size_t{1} << 20U}, [] { passes(page{{1, 2, 3}}); }).get();
    passes(std::pair<int, std::string>(1, "one"));
    passes(std::tuple<int, double, std::string>(1, 2, "three"));
    passes(std::variant<int, std::string>("a string that has no room in itself"));
    passes(std::optional<int>());
}

WEFT_TEST(chan_types_test, owners)
{
    passes(std::string(100, 's'));
    passes(std::vector<int>{1, 2, 3});
    passes(std::make_shared<int>(1));
    passes(may_throw("text"));
    passes<hides_its_address<false>>([] { return hides_its_address<false>(3); });
    passes<hides_its_address<true>>([] { return hides_its_address<true>(4); });
    const auto points_at = [](const auto& a, const auto& b) { return *a == *b; };
    passes<std::unique_ptr<int>>([] { return std::make_unique<int>(7); }, points_at);
    const auto returns = [](const auto& a, const auto& b) { return a() == b(); };
    passes<std::function<int()>>([] { return std::function<int()>([] { return 7; }); }, returns);
}

/// A list whose links are channels.
struct node {
    int value = 0;
    chan<node> next;
    weft::sender<node> back;
};

WEFT_TEST(chan_types_test, an_element_may_contain_channels_of_its_own_type)
{
    const chan<node> c(1);
    const chan<node> next(1);
    next.send({2, {}, {}});
    c.send({1, next, c});
    const std::optional<node> got = c.recv();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->value, 1);
    EXPECT_EQ(got->next.recv()->value, 2);
    got->back.send({3, {}, {}});
    EXPECT_EQ(c.recv()->value, 3);
}

// One inside the other: ended one after the other, not one on the other's stack.
WEFT_TEST(chan_types_test, deeply_nested_channels_end)
{
    chan<node> c(1);
    for (int i = 0; i < 200'000; ++i) {
        chan<node> outer(1);
        outer.send({i, std::move(c), {}});
        c = std::move(outer);
    }
    c = {};
}

/// As pointers of COM, which let go when their address is asked for.
struct with_address_of_its_own {
    int v = 0;
    explicit with_address_of_its_own(int x = 0) : v(x) {}
    with_address_of_its_own(with_address_of_its_own&& other) noexcept : v(std::exchange(other.v, 0)) {}
    with_address_of_its_own& operator=(with_address_of_its_own&& other) noexcept
    {
        v = std::exchange(other.v, 0);
        return *this;
    }
    ~with_address_of_its_own() = default;
    with_address_of_its_own* operator&()  // NOLINT(google-runtime-operator): that is the point
    {
        v = 0;
        return this;
    }
};

WEFT_TEST(chan_types_test, an_address_of_its_own_is_not_asked_for)
{
    using element = with_address_of_its_own;
    const chan<element> c(1);
    c.send(element(7));
    EXPECT_EQ(c.recv()->v, 7);
    element one(8);
    EXPECT_EQ(c.try_send(std::move(one)), chan_status::success);
    element into(1);
    EXPECT_EQ(c.try_recv(into), chan_status::success);
    EXPECT_EQ(into.v, 8);
    EXPECT_EQ(weft::select(weft::on_send(c, element(9))), 0U);
    EXPECT_EQ(weft::select(weft::on_recv(c, [](std::optional<element> e) { EXPECT_EQ(e->v, 9); })), 0U);
    EXPECT_EQ(weft::async([] { return element(5); }).get().v, 5);
    weft::local<element> l([] { return element(3); });
    EXPECT_EQ(l->v, 3);
    l.reset();
}

/// What is left of it after a move closes the channel that it was in.
struct closes_its_channel {
    static inline bool armed = false;
    const chan<closes_its_channel>* in;
    bool left = false;
    explicit closes_its_channel(const chan<closes_its_channel>& c) : in(&c) {}
    closes_its_channel(closes_its_channel&& other) noexcept : in(other.in) { other.left = true; }
    closes_its_channel& operator=(closes_its_channel&&) = delete;
    ~closes_its_channel()
    {
        if (left && std::exchange(armed, false))
            in->close();
    }
};

WEFT_TEST(chan_types_test, destructors_run_without_the_lock)
{
    const chan<closes_its_channel> c(1);
    c.send(closes_its_channel(c));
    closes_its_channel::armed = true;
    EXPECT_TRUE(c.recv());
    EXPECT_FALSE(closes_its_channel::armed);
    EXPECT_EQ(c.try_send(closes_its_channel(c)), chan_status::closed);
    const chan<closes_its_channel> d(1);
    d.send(closes_its_channel(d));
    closes_its_channel::armed = true;
    EXPECT_EQ(weft::select(weft::on_recv(d)), 0U);
    EXPECT_FALSE(closes_its_channel::armed);
}

}  // namespace
