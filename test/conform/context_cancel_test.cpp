// What Go's context tests check of cancellation, causes and values. docs/conformance/context.md has the table.
#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "../unit/fixture.hpp"
#include "weft/context.hpp"
#include "weft/testing.hpp"

namespace {

using namespace std::chrono_literals;
using conform_context = weft::test::fixture;
using weft::context;
using weft::context_errc;
using weft::test::procs;
using weft::test::scaled;

bool ended(const context& c)
{
    std::monostate m;
    return c.done().try_recv(m) == weft::chan_status::closed;
}

std::string text_of(const std::exception_ptr& e)
{
    try {
        if (e != nullptr)
            std::rethrow_exception(e);
    } catch (const std::system_error& error) {
        return error.code().message();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

std::exception_ptr cause(const char* text)
{
    return std::make_exception_ptr(std::runtime_error(text));
}

// TestBackground
WEFT_TEST(conform_context, background)
{
    const context c = weft::background();
    EXPECT_FALSE(ended(c));
    EXPECT_FALSE(c.err());
    EXPECT_FALSE(c.done()) << "nil, as Go's";
}

// TestWithCancel: what hangs below is told, with values in between; canceling twice is harmless.
WEFT_TEST(conform_context, with_cancel)
{
    weft::cancel_context c1 = weft::with_cancel(weft::background());
    const context o = weft::with_value<int>(c1, 1);
    const weft::cancel_context c2 = weft::with_cancel(o);
    const std::array<context, 3> all{c1, o, c2};
    for (const context& c : all) {
        EXPECT_TRUE(c.done());
        EXPECT_EQ(c.done(), c.done()) << "the same channel each time";
        EXPECT_FALSE(ended(c));
        EXPECT_FALSE(c.err());
    }
    c1.cancel();
    c1.cancel();
    for (const context& c : all) {
        EXPECT_TRUE(ended(c));
        EXPECT_EQ(c.err(), context_errc::canceled);
    }
}

// TestParentFinishesChild: children, with a deadline and without, end with the parent and keep nothing armed.
WEFT_TEST(conform_context, a_parent_ends_its_children)
{
    weft::cancel_context parent = weft::with_cancel(weft::background());
    const weft::cancel_context cancel_child = weft::with_cancel(parent);
    const context value_child = weft::with_value<int>(parent, 7);
    const weft::cancel_context timer_child = weft::with_timeout(value_child, 10h);
    const weft::cancel_context below_value = weft::with_cancel(value_child);
    EXPECT_EQ(weft::stats().timers, 1U);
    parent.cancel();
    for (const context& c :
         {context(parent), context(cancel_child), value_child, context(timer_child), context(below_value)}) {
        EXPECT_TRUE(ended(c));
        EXPECT_EQ(c.err(), context_errc::canceled);
    }
    EXPECT_EQ(weft::stats().timers, 0U);
    const weft::cancel_context late = weft::with_cancel(parent);
    EXPECT_EQ(late.err(), context_errc::canceled);
    EXPECT_TRUE(ended(late));
}

// TestChildFinishesFirst, TestCancelRemoves: a child that ends leaves its parent, which goes on.
WEFT_TEST(conform_context, a_child_that_ends_leaves_its_parent)
{
    for (const bool endless : {true, false}) {
        weft::cancel_context root = weft::with_cancel(weft::background());
        const context parent = endless ? weft::background() : root;
        weft::cancel_context child = weft::with_cancel(parent);
        weft::cancel_context timed = weft::with_timeout(parent, 10h);
        child.cancel();
        timed.cancel();
        EXPECT_TRUE(ended(child));
        EXPECT_TRUE(ended(timed));
        EXPECT_EQ(weft::stats().timers, 0U);
        EXPECT_FALSE(ended(parent));
        EXPECT_FALSE(parent.err());
    }
}

// TestSimultaneousCancels: a tree, all of whose nodes are canceled at the same time.
WEFT_TEST(conform_context, simultaneous_cancels)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        for (std::size_t round = 0; round < scaled(50); ++round) {
            std::vector<weft::cancel_context> nodes;
            nodes.reserve(32);
            nodes.push_back(weft::with_cancel(weft::background()));
            for (std::size_t i = 0; nodes.size() < 31; ++i) {
                nodes.push_back(weft::with_cancel(nodes[i]));
                nodes.push_back(weft::with_cancel(nodes[i]));
            }
            weft::wait_group all;
            for (weft::cancel_context& c : nodes)
                all.go([&c] { c.cancel(); });
            for (const weft::cancel_context& c : nodes)
                EXPECT_FALSE(c.done().recv().has_value());
            all.wait();
            for (const weft::cancel_context& c : nodes)
                EXPECT_EQ(c.err(), context_errc::canceled);
        }
    }
}

// TestInterlockedCancels: the parent is canceled, and a child cancels when it sees that.
WEFT_TEST(conform_context, interlocked_cancels)
{
    weft::cancel_context parent = weft::with_cancel(weft::background());
    weft::cancel_context child = weft::with_cancel(parent);
    weft::wait_group all;
    all.go(
        [&]
        {
            (void)parent.done().recv();
            child.cancel();
        });
    parent.cancel();
    EXPECT_FALSE(child.done().recv().has_value());
    all.wait();
}

struct key {
    int at;
};

// TestLayersCancel, TestLayersTimeout: random chains of values, cancels and deadlines, ended from any place.
void layers(std::mt19937& random, bool by_timeout)
{
    context c = weft::background();
    std::vector<weft::cancel_context> layer;
    std::vector<context> each;
    const std::size_t count = 5 + random() % 60;
    int values = 0;
    for (std::size_t i = 0; i < count; ++i) {
        switch (random() % 3) {
            case 0:
                c = weft::with_value<key>(c, key{++values});
                break;
            case 1:
                layer.push_back(weft::with_cancel(c));
                c = layer.back();
                break;
            default:
                layer.push_back(weft::with_timeout(c, 10h));
                c = layer.back();
        }
        each.push_back(c);
    }
    if (by_timeout) {
        layer.push_back(weft::with_timeout(c, 200us));
        c = layer.back();
    } else if (layer.empty()) {
        return;
    }
    for (const context& l : each)
        EXPECT_FALSE(l.err());
    if (values > 0) {
        EXPECT_EQ(c.value<key>()->at, values);
    }
    if (by_timeout) {
        (void)c.done().recv();
        EXPECT_EQ(c.err(), context_errc::deadline_exceeded);
        EXPECT_TRUE(std::none_of(each.begin(), each.end(), [](const context& l) { return l.err(); }));
        return;
    }
    weft::cancel_context& chosen = layer[random() % layer.size()];
    const context from = chosen;
    chosen.cancel();
    bool below = false;
    for (const context& l : each) {
        below = below || l == from;
        EXPECT_EQ(static_cast<bool>(l.err()), below);
        EXPECT_EQ(ended(l), below);
    }
    if (values > 0) {
        EXPECT_EQ(c.value<key>()->at, values) << "values stay";
    }
}

WEFT_TEST(conform_context, layers_end_by_cancel)
{
    std::mt19937 random(1);
    for (std::size_t i = 0; i < scaled(200); ++i)
        layers(random, false);
}

WEFT_TEST(conform_context, layers_end_by_timeout)
{
    std::mt19937 random(2);
    for (std::size_t i = 0; i < scaled(50); ++i)
        layers(random, true);
}

// TestWithCancelCanceledParent
WEFT_TEST(conform_context, below_a_canceled_parent)
{
    weft::cancel_context parent = weft::with_cancel(weft::background());
    parent.cancel(cause("because"));
    const weft::cancel_context c = weft::with_cancel(parent);
    EXPECT_FALSE(c.done().recv().has_value());
    EXPECT_EQ(c.err(), context_errc::canceled);
    EXPECT_EQ(text_of(c.cause()), "because");
}

// TestWithCancelSimultaneouslyCanceledParent: whenever the parent ends, the child does.
WEFT_TEST(conform_context, below_a_parent_that_is_being_canceled)
{
    const procs two(2);
    for (std::size_t i = 0; i < scaled(500); ++i) {
        weft::cancel_context other = weft::with_cancel(weft::background());
        weft::wait_group all;
        all.go([&] { other.cancel(); });
        const weft::cancel_context child = weft::with_cancel(other);
        EXPECT_FALSE(child.done().recv().has_value());
        all.wait();
    }
}

struct key1 {
    using type = std::string;
};
struct key2 {
    using type = std::string;
};
struct key3 {
    using type = std::string;
};

// TestValues: keys are told apart by their types; the nearest value counts.
WEFT_TEST(conform_context, values)
{
    const auto look = [](const context& c, const char* v1, const char* v2, const char* v3)
    {
        const auto same = [](const std::string* got, const char* want)
        { return want == nullptr ? got == nullptr : got != nullptr && *got == want; };
        return same(c.value<key1>(), v1) && same(c.value<key2>(), v2) && same(c.value<key3>(), v3);
    };
    const context c0 = weft::background();
    EXPECT_TRUE(look(c0, nullptr, nullptr, nullptr));
    const context c1 = weft::with_value<key1>(weft::background(), "c1k1");
    EXPECT_TRUE(look(c1, "c1k1", nullptr, nullptr));
    const context c2 = weft::with_value<key2>(c1, "c2k2");
    EXPECT_TRUE(look(c2, "c1k1", "c2k2", nullptr));
    const context c3 = weft::with_value<key3>(c2, "c3k3");
    EXPECT_TRUE(look(c3, "c1k1", "c2k2", "c3k3"));
    const context c4 = weft::with_value<key1>(c3, "");
    EXPECT_TRUE(look(c4, "", "c2k2", "c3k3"));
    const weft::cancel_context o1 = weft::with_cancel(c4);
    EXPECT_TRUE(look(o1, "", "c2k2", "c3k3"));
    const context o2 = weft::with_value<key2>(o1, "o2k2");
    EXPECT_TRUE(look(o2, "", "o2k2", "c3k3"));
}

// TestCause: which cause is seen where.
WEFT_TEST(conform_context, causes)
{
    using weft::background;
    using weft::with_cancel;
    EXPECT_EQ(background().cause(), nullptr);
    {
        weft::cancel_context c = with_cancel(background());
        EXPECT_EQ(text_of(c.cause()), "") << "lives";
        c.cancel(cause("own"));
        c.cancel(cause("second"));
        EXPECT_EQ(c.err(), context_errc::canceled);
        EXPECT_EQ(text_of(c.cause()), "own");
    }
    {
        weft::cancel_context c = with_cancel(background());
        c.cancel(std::exception_ptr());
        EXPECT_EQ(text_of(c.cause()), "context canceled") << "no cause: the error";
    }
    {  // the parent first: its cause in both
        weft::cancel_context parent = with_cancel(background());
        weft::cancel_context child = with_cancel(parent);
        parent.cancel(cause("parent"));
        child.cancel(cause("child"));
        EXPECT_EQ(text_of(parent.cause()), "parent");
        EXPECT_EQ(text_of(child.cause()), "parent");
    }
    {  // the child first: each its own
        weft::cancel_context parent = with_cancel(background());
        weft::cancel_context child = with_cancel(parent);
        child.cancel(cause("child"));
        parent.cancel(cause("parent"));
        EXPECT_EQ(text_of(parent.cause()), "parent");
        EXPECT_EQ(text_of(child.cause()), "child");
    }
    {  // canceled without a cause below one with
        weft::cancel_context parent = with_cancel(background());
        weft::cancel_context child = with_cancel(parent);
        child.cancel();
        parent.cancel(cause("parent"));
        EXPECT_EQ(text_of(child.cause()), "context canceled");
        EXPECT_EQ(text_of(parent.cause()), "parent");
    }
    {  // a value in between, a deadline below
        weft::cancel_context parent = with_cancel(background());
        const context valued = weft::with_value<int>(parent, 1);
        const weft::cancel_context timed = weft::with_timeout(valued, 10h);
        parent.cancel(cause("parent"));
        EXPECT_EQ(text_of(valued.cause()), "parent");
        EXPECT_EQ(text_of(timed.cause()), "parent");
        EXPECT_EQ(timed.err(), context_errc::canceled);
    }
    {
        const weft::cancel_context timed = weft::with_timeout(background(), 0s);
        EXPECT_EQ(timed.err(), context_errc::deadline_exceeded);
        EXPECT_EQ(text_of(timed.cause()), "context deadline exceeded");
        const weft::cancel_context below = with_cancel(timed);
        EXPECT_EQ(text_of(below.cause()), "context deadline exceeded");
    }
}

// TestCauseRace: the cause is there as soon as the error is.
WEFT_TEST(conform_context, the_cause_is_there_with_the_error)
{
    const procs two(2);
    for (std::size_t i = 0; i < scaled(300); ++i) {
        weft::cancel_context c = weft::with_cancel(weft::background());
        weft::wait_group all;
        all.go([&] { c.cancel(cause("why")); });
        while (c.cause() == nullptr)
            weft::yield();
        EXPECT_EQ(text_of(c.cause()), "why");
        EXPECT_EQ(c.err(), context_errc::canceled);
        all.wait();
    }
}

// TestContextErrDoneRace: who sees the error finds the channel closed.
WEFT_TEST(conform_context, the_closed_channel_is_there_with_the_error)
{
    const auto closed = [](const weft::context& c)
    {
        std::monostate m;
        return c.done().try_recv(m) == weft::chan_status::closed;
    };
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        for (std::size_t i = 0; i < scaled(300); ++i) {
            weft::cancel_context c = weft::with_cancel(weft::background());
            if (i % 2 == 0)
                (void)c.done();
            weft::wait_group all;
            for (int k = 0; k < 4; ++k) {
                all.go(
                    [&]
                    {
                        while (!c.err())
                            weft::yield();
                        EXPECT_TRUE(closed(c));
                        EXPECT_NE(c.cause(), nullptr);
                    });
            }
            c.cancel();
            all.wait();
        }
    }
    weft::testing::explore(100,
                           [&]
                           {
                               weft::cancel_context c = weft::with_cancel(weft::background());
                               const auto done = c.done();
                               weft::wait_group all;
                               all.go([&] { EXPECT_EQ(weft::sleep_for(1h, c), weft::context_errc::canceled); });
                               all.go(
                                   [&]
                                   {
                                       while (!c.err())
                                           weft::yield();
                                       EXPECT_TRUE(closed(c));
                                   });
                               weft::yield();
                               c.cancel();
                               all.wait();
                           });
}

// The other way round: who sees the channel closed sees the error.
WEFT_TEST(conform_context, the_error_is_there_with_the_closed_channel)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        for (std::size_t i = 0; i < scaled(300); ++i) {
            weft::cancel_context c = weft::with_cancel(weft::background());
            const auto done = c.done();
            weft::wait_group all;
            for (int k = 0; k < 4; ++k) {
                all.go(
                    [&]
                    {
                        (void)done.recv();
                        EXPECT_TRUE(c.err());
                    });
            }
            c.cancel();
            all.wait();
        }
    }
}

}  // namespace
