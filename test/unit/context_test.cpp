// weft::context: the tree, its ends by cancel, deadline and stop token, its values, and who is told.
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "fixture.hpp"
#include "weft/context.hpp"

namespace {

using namespace std::chrono_literals;
using context_test = weft::test::fixture;
using weft::context;
using weft::context_errc;
using weft::test::counted;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;
using weft::test::scaled_live;

static_assert(sizeof(context) == sizeof(void*));
// Moving out of a cancel_context would leave nothing that cancels.
static_assert(!std::is_constructible_v<context, weft::cancel_context>);
static_assert(!std::is_convertible_v<weft::cancel_context, context>);
static_assert(!std::is_assignable_v<context&, weft::cancel_context>);
static_assert(std::is_convertible_v<weft::cancel_context&, context>);
static_assert(std::is_convertible_v<const weft::cancel_context&, context>);
static_assert(std::is_assignable_v<context&, weft::cancel_context&>);
static_assert(std::is_nothrow_move_constructible_v<weft::cancel_context>);
static_assert(std::is_nothrow_move_assignable_v<weft::cancel_context>);
static_assert(!std::is_copy_constructible_v<weft::cancel_context>);

template <class E>
E thrown_by(const std::exception_ptr& e)
{
    try {
        std::rethrow_exception(e);
    } catch (const E& caught) {
        return caught;
    }
}

bool is_done(const context& ctx)
{
    std::monostate m;
    return ctx.done().try_recv(m) == weft::chan_status::closed;
}

WEFT_TEST(context_test, background_never_ends)
{
    const context b = weft::background();
    EXPECT_EQ(b, context());
    EXPECT_FALSE(b.err());
    EXPECT_EQ(b.cause(), nullptr);
    EXPECT_FALSE(b.deadline().has_value());
    EXPECT_FALSE(b.done());
    EXPECT_FALSE(b.stop_token().stop_possible());
    EXPECT_EQ(b.value<int>(), nullptr);
}

WEFT_TEST(context_test, cancel_ends_it)
{
    weft::cancel_context ctx = weft::with_cancel(weft::background());
    EXPECT_FALSE(ctx.err());
    EXPECT_EQ(ctx.cause(), nullptr);
    EXPECT_FALSE(is_done(ctx));
    ctx.cancel();
    EXPECT_EQ(ctx.err(), context_errc::canceled);
    EXPECT_TRUE(is_done(ctx));
    EXPECT_EQ(thrown_by<std::system_error>(ctx.cause()).code(), context_errc::canceled);
    ctx.cancel(std::make_exception_ptr(1));
    EXPECT_EQ(thrown_by<std::system_error>(ctx.cause()).code(), context_errc::canceled) << "the first one counts";
}

WEFT_TEST(context_test, errors_are_error_codes)
{
    const std::error_code canceled = context_errc::canceled;
    const std::error_code exceeded = context_errc::deadline_exceeded;
    EXPECT_STREQ(canceled.category().name(), "weft.context");
    EXPECT_EQ(canceled.message(), "context canceled");
    EXPECT_EQ(exceeded.message(), "context deadline exceeded");
    EXPECT_TRUE(canceled == std::errc::operation_canceled);
    EXPECT_TRUE(exceeded == std::errc::timed_out);
    EXPECT_FALSE(canceled == std::errc::timed_out);
}

WEFT_TEST(context_test, a_cause_is_handed_down)
{
    weft::cancel_context parent = weft::with_cancel(weft::background());
    const weft::cancel_context child = weft::with_cancel(parent);
    const weft::cancel_context own = weft::with_cancel(parent);
    parent.cancel(std::make_exception_ptr(std::out_of_range("too much")));
    EXPECT_STREQ(thrown_by<std::out_of_range>(child.cause()).what(), "too much");
    EXPECT_EQ(child.err(), context_errc::canceled);
    const weft::cancel_context late = weft::with_cancel(child);
    EXPECT_EQ(late.err(), context_errc::canceled) << "below one that has ended";
    EXPECT_STREQ(thrown_by<std::out_of_range>(late.cause()).what(), "too much");

    weft::cancel_context coded = weft::with_cancel(weft::background());
    coded.cancel(std::make_error_code(std::errc::broken_pipe));
    EXPECT_EQ(thrown_by<std::system_error>(coded.cause()).code(), std::errc::broken_pipe);
}

WEFT_TEST(context_test, a_child_does_not_end_its_parent)
{
    const weft::cancel_context parent = weft::with_cancel(weft::background());
    weft::cancel_context child = weft::with_cancel(parent);
    const weft::cancel_context sibling = weft::with_cancel(parent);
    child.cancel();
    EXPECT_FALSE(parent.err());
    EXPECT_FALSE(sibling.err());
}

WEFT_TEST(context_test, the_end_of_the_object_cancels)
{
    context copy;
    context below;
    {
        const weft::cancel_context ctx = weft::with_cancel(weft::background());
        copy = ctx;
        below = weft::with_value<int>(ctx, 1);
        EXPECT_FALSE(copy.err());
    }
    EXPECT_EQ(copy.err(), context_errc::canceled);
    EXPECT_EQ(below.err(), context_errc::canceled);
}

WEFT_TEST(context_test, moves)
{
    weft::cancel_context a = weft::with_cancel(weft::background());
    const context seen_a = a;
    weft::cancel_context b = std::move(a);
    EXPECT_FALSE(seen_a.err());
    weft::cancel_context c = weft::with_cancel(weft::background());
    const context seen_c = c;
    c = std::move(b);
    EXPECT_EQ(seen_c.err(), context_errc::canceled) << "what was assigned to has ended";
    EXPECT_FALSE(seen_a.err());
    c.cancel();
    EXPECT_EQ(seen_a.err(), context_errc::canceled);
}

WEFT_TEST(context_test, one_that_was_moved_from_is_background)
{
    weft::cancel_context a = weft::with_cancel(weft::background());
    const weft::cancel_context b = std::move(a);
    a.cancel();  // NOLINT(bugprone-use-after-move)
    a.cancel(std::make_error_code(std::errc::io_error));
    EXPECT_EQ(static_cast<const context&>(a), weft::background());
    EXPECT_FALSE(b.err());
    a = weft::with_cancel(b);
    a.cancel();
    EXPECT_EQ(a.err(), context_errc::canceled);
    EXPECT_FALSE(b.err());
}

WEFT_TEST(context_test, a_move_onto_itself_does_nothing)
{
    weft::cancel_context a = weft::with_cancel(weft::background());
    weft::cancel_context& same = a;
    a = std::move(same);
    EXPECT_FALSE(a.err());
    a.cancel();
    EXPECT_EQ(a.err(), context_errc::canceled);
}

// --- values

struct user_id {
    using type = std::string;
};
struct request {
    int number;
};

WEFT_TEST(context_test, values_are_found_by_their_key)
{
    const context root = weft::with_value<user_id>(weft::background(), "ada");
    const weft::cancel_context middle = weft::with_cancel(root);
    const context leaf = weft::with_value<request>(middle, request{7});
    ASSERT_NE(leaf.value<user_id>(), nullptr);
    EXPECT_EQ(*leaf.value<user_id>(), "ada");
    EXPECT_EQ(leaf.value<request>()->number, 7);
    EXPECT_EQ(root.value<request>(), nullptr);
    const context hidden = weft::with_value<user_id>(leaf, "bob");
    EXPECT_EQ(*hidden.value<user_id>(), "bob");
    EXPECT_EQ(*leaf.value<user_id>(), "ada");
}

struct noted_value : counted {
    int n = 0;
};

WEFT_TEST(context_test, values_live_as_long_as_what_holds_them)
{
    context leaf;
    {
        context held = weft::with_value<noted_value>(weft::background(), noted_value());
        leaf = weft::with_value<int>(held, 1);
    }
    EXPECT_EQ(counted::alive, 1);
    leaf = {};
    EXPECT_EQ(counted::alive, 0);
}

struct throwing_copy {
    throwing_copy() = default;
    throwing_copy(const throwing_copy&) { throw std::runtime_error("copy"); }
    throwing_copy& operator=(const throwing_copy&) = default;
    ~throwing_copy() = default;
};

WEFT_TEST(context_test, a_value_that_throws_leaves_nothing)
{
    const throwing_copy v;
    EXPECT_THROW((void)weft::with_value<throwing_copy>(weft::background(), v), std::runtime_error);
}

// --- deadlines

WEFT_TEST(context_test, a_deadline_ends_it)
{
    const auto begin = weft::clock::now();
    const weft::cancel_context ctx = weft::with_timeout(weft::background(), 2ms);
    const weft::cancel_context child = weft::with_cancel(ctx);
    ASSERT_TRUE(ctx.deadline().has_value());
    EXPECT_EQ(child.deadline(), ctx.deadline());
    EXPECT_FALSE(child.done().recv().has_value());
    EXPECT_GE(weft::clock::now() - begin, 2ms);
    EXPECT_EQ(ctx.err(), context_errc::deadline_exceeded);
    EXPECT_EQ(child.err(), context_errc::deadline_exceeded);
    EXPECT_EQ(thrown_by<std::system_error>(child.cause()).code(), context_errc::deadline_exceeded);
}

TEST_F(context_test, a_deadline_ends_it_on_a_plain_thread)
{
    const weft::cancel_context ctx = weft::with_timeout(weft::background(), 1ms);
    EXPECT_FALSE(ctx.done().recv().has_value());
    EXPECT_EQ(ctx.err(), context_errc::deadline_exceeded);
}

WEFT_TEST(context_test, the_earlier_deadline_counts)
{
    const weft::cancel_context outer = weft::with_timeout(weft::background(), 1h);
    const weft::cancel_context later = weft::with_timeout(outer, 2h);
    EXPECT_EQ(later.deadline(), outer.deadline());
    const weft::cancel_context earlier = weft::with_timeout(outer, 1ms);
    EXPECT_LT(*earlier.deadline(), *outer.deadline());
    (void)earlier.done().recv();
    EXPECT_EQ(earlier.err(), context_errc::deadline_exceeded);
    EXPECT_FALSE(outer.err());
    EXPECT_FALSE(later.err());
}

WEFT_TEST(context_test, a_deadline_that_has_passed_ends_it_at_once)
{
    for (const auto timeout : {0ns, -1ns, std::chrono::nanoseconds(-1h)}) {
        const weft::cancel_context ctx = weft::with_timeout(weft::background(), timeout);
        EXPECT_EQ(ctx.err(), context_errc::deadline_exceeded);
        EXPECT_TRUE(is_done(ctx));
    }
}

WEFT_TEST(context_test, the_parents_end_wins_over_a_deadline_that_has_passed)
{
    weft::cancel_context parent = weft::with_cancel(weft::background());
    const auto deadline = weft::clock::now() + 1h;
    parent.cancel(std::make_error_code(std::errc::io_error));
    const weft::cancel_context late = weft::with_timeout(parent, 0s);
    EXPECT_EQ(late.err(), context_errc::canceled);
    EXPECT_EQ(thrown_by<std::system_error>(late.cause()).code(), std::errc::io_error);
    EXPECT_TRUE(is_done(late));
    const weft::cancel_context early = weft::with_deadline(parent, deadline);
    EXPECT_EQ(early.err(), context_errc::canceled);
    EXPECT_EQ(early.deadline(), deadline);
    EXPECT_EQ(weft::stats().timers, 0U);
}

WEFT_TEST(context_test, cancel_disarms_the_timer)
{
    weft::cancel_context ctx = weft::with_timeout(weft::background(), 1h);
    EXPECT_EQ(weft::stats().timers, 1U);
    ctx.cancel();
    EXPECT_EQ(weft::stats().timers, 0U);
    EXPECT_EQ(ctx.err(), context_errc::canceled);
    {
        weft::cancel_context parent = weft::with_cancel(weft::background());
        const weft::cancel_context child = weft::with_timeout(parent, 1h);
        const weft::cancel_context endless = weft::with_deadline(parent, weft::clock::time_point::max());
        EXPECT_FALSE(endless.deadline().has_value());
        EXPECT_EQ(weft::stats().timers, 1U);
        parent.cancel();
        EXPECT_EQ(weft::stats().timers, 0U);
    }
}

// --- stop tokens

WEFT_TEST(context_test, tells_a_stop_token)
{
    weft::cancel_context ctx = weft::with_cancel(weft::background());
    const std::stop_token token = ctx.stop_token();
    EXPECT_TRUE(token.stop_possible());
    EXPECT_FALSE(token.stop_requested());
    EXPECT_EQ(token, ctx.stop_token());
    int called = 0;
    const std::stop_callback on_stop(token, [&] { ++called; });
    ctx.cancel();
    EXPECT_TRUE(token.stop_requested());
    EXPECT_EQ(called, 1);
    const weft::cancel_context late = weft::with_cancel(ctx);
    EXPECT_TRUE(late.stop_token().stop_requested());
}

WEFT_TEST(context_test, ends_by_a_stop_token)
{
    std::stop_source source;
    const context ctx = source.get_token();
    const weft::cancel_context child = weft::with_cancel(ctx);
    EXPECT_FALSE(ctx.err());
    source.request_stop();
    EXPECT_EQ(ctx.err(), context_errc::canceled);
    EXPECT_EQ(child.err(), context_errc::canceled);
    const context late(source.get_token());
    EXPECT_EQ(late.err(), context_errc::canceled) << "requested before";
    EXPECT_EQ(context(std::stop_token()), weft::background());
}

WEFT_TEST(context_test, a_token_context_may_go_away_while_it_ends)
{
    const procs four(4);
    for (std::size_t i = 0; i < scaled(500); ++i) {
        std::stop_source source;
        auto ctx = std::make_unique<context>(source.get_token());
        weft::wait_group all;
        all.go([&] { source.request_stop(); });
        all.go(
            [&]
            {
                if (i % 3 == 0)
                    weft::yield();
                ctx.reset();
            });
        all.wait();
    }
}

// --- waiting

WEFT_TEST(context_test, sleeps_until_canceled)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        weft::cancel_context ctx = weft::with_cancel(weft::background());
        std::atomic<std::size_t> canceled{0};
        weft::wait_group all;
        const std::size_t count = scaled_live(500);
        for (std::size_t i = 0; i < count; ++i)
            all.go([&] { canceled += weft::sleep_for(1h, ctx) == context_errc::canceled ? 1U : 0U; });
        EXPECT_TRUE(eventually([&] { return weft::stats().goroutines_waiting >= count; }));
        ctx.cancel();
        all.wait();
        EXPECT_EQ(canceled, count);
        EXPECT_EQ(weft::stats().timers, 0U);
    }
}

WEFT_TEST(context_test, sleeps_its_time)
{
    const weft::cancel_context ctx = weft::with_timeout(weft::background(), 1h);
    const auto begin = weft::clock::now();
    EXPECT_FALSE(weft::sleep_for(1ms, ctx));
    EXPECT_GE(weft::clock::now() - begin, 1ms);
    EXPECT_FALSE(weft::sleep_for(1ms, weft::background()));
    EXPECT_FALSE(weft::sleep_for(0ms, ctx));
    EXPECT_EQ(weft::sleep_for(1h, weft::with_timeout(ctx, 1ms)), context_errc::deadline_exceeded);
    std::stop_source source;
    source.request_stop();
    EXPECT_EQ(weft::sleep_for(1h, source.get_token()), context_errc::canceled) << "a stop token will do";
    EXPECT_EQ(weft::sleep_for(0h, source.get_token()), context_errc::canceled);
}

TEST_F(context_test, a_plain_thread_sleeps_until_canceled)
{
    weft::cancel_context ctx = weft::with_cancel(weft::background());
    std::atomic<bool> begun{false};
    std::error_code seen;
    std::thread sleeper(
        [&]
        {
            begun = true;
            seen = weft::sleep_for(1h, ctx);
        });
    EXPECT_TRUE(eventually([&] { return begun.load(); }));
    ctx.cancel();
    sleeper.join();
    EXPECT_EQ(seen, context_errc::canceled);
    EXPECT_FALSE(weft::sleep_for(1ms, weft::background()));
    weft::cancel_context other = weft::with_cancel(weft::background());
    EXPECT_FALSE(weft::sleep_for(1ms, other));
}

// A cancellation, a deadline and the sleep's own end at about the same time.
WEFT_TEST(context_test, a_sleep_ends_once)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        for (std::size_t i = 0; i < scaled(300); ++i) {
            weft::cancel_context ctx = weft::with_timeout(weft::background(), std::chrono::microseconds(i % 50));
            weft::wait_group all;
            for (int k = 0; k < 3; ++k)
                all.go([&] { (void)weft::sleep_for(std::chrono::microseconds(i % 40), ctx); });
            all.go([&] { ctx.cancel(); });
            all.wait();
        }
    }
}

WEFT_TEST(context_test, is_a_case_of_a_selector)
{
    weft::cancel_context ctx = weft::with_cancel(weft::background());
    const weft::chan<int> c(1);
    int told = 0;
    weft::selector any;
    any.on_recv(c).on_done(ctx, [&] { ++told; }).on_done(weft::background());
    c.send(1);
    EXPECT_EQ(any.wait(), 0U);
    weft::go([&ctx] { ctx.cancel(); });
    EXPECT_EQ(any.wait(), 1U);
    EXPECT_EQ(any.wait(), 1U);
    EXPECT_EQ(told, 2);
}

WEFT_TEST(context_test, is_a_case_of_select)
{
    weft::cancel_context ctx = weft::with_cancel(weft::background());
    weft::chan<int> c;
    weft::go([&] { ctx.cancel(); });
    bool told = false;
    EXPECT_EQ(weft::select(weft::on_recv(c), weft::on_done(ctx, [&] { told = true; })), 1U);
    EXPECT_TRUE(told);
    EXPECT_EQ(weft::select(weft::on_done(weft::background()), weft::otherwise([] {})), 1U);
}

WEFT_TEST(context_test, done_is_closed_whoever_asks_when)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        for (std::size_t i = 0; i < scaled(500); ++i) {
            weft::cancel_context ctx = weft::with_cancel(weft::background());
            const std::stop_token before = i % 2 == 0 ? ctx.stop_token() : std::stop_token();
            weft::wait_group all;
            for (int k = 0; k < 3; ++k) {
                all.go(
                    [&]
                    {
                        EXPECT_FALSE(ctx.done().recv().has_value());
                        EXPECT_TRUE(ctx.err());
                        EXPECT_TRUE(eventually([&] { return ctx.stop_token().stop_requested(); }));
                    });
            }
            all.go([&] { ctx.cancel(); });
            all.wait();
        }
    }
}

// --- the tree

WEFT_TEST(context_test, a_wide_tree_ends)
{
    weft::cancel_context root = weft::with_cancel(weft::background());
    std::vector<weft::cancel_context> children;
    const std::size_t count = scaled(1'000'000);
    children.reserve(count);
    for (std::size_t i = 0; i < count; ++i)
        children.push_back(weft::with_cancel(root));
    root.cancel(std::make_exception_ptr(5));
    for (const weft::cancel_context& c : children)
        ASSERT_EQ(c.err(), context_errc::canceled);
    EXPECT_EQ(thrown_by<int>(children.back().cause()), 5);
}

WEFT_TEST(context_test, a_deep_tree_ends)
{
    weft::cancel_context root = weft::with_cancel(weft::background());
    std::vector<weft::cancel_context> chain;
    const std::size_t count = scaled(1'000'000);
    chain.reserve(count);
    for (std::size_t i = 0; i < count; ++i)
        chain.push_back(weft::with_cancel(chain.empty() ? static_cast<const context&>(root) : chain.back()));
    root.cancel();
    EXPECT_EQ(chain.back().err(), context_errc::canceled);
    EXPECT_EQ(chain.front().err(), context_errc::canceled);
}

WEFT_TEST(context_test, a_deep_chain_goes_away)
{
    context leaf;
    for (std::size_t i = 0; i < scaled(1'000'000); ++i)
        leaf = weft::with_value<std::size_t>(leaf, i);
    EXPECT_EQ(leaf.value<int>(), nullptr);
    leaf = {};
}

WEFT_TEST(context_test, children_come_and_go_while_it_ends)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        for (std::size_t round = 0; round < scaled(50); ++round) {
            weft::cancel_context root = weft::with_cancel(weft::background());
            weft::wait_group all;
            for (int g = 0; g < 8; ++g) {
                all.go(
                    [&, g]
                    {
                        for (;;) {
                            weft::cancel_context child = weft::with_cancel(root);
                            const weft::cancel_context grandchild = weft::with_cancel(child);
                            const context other = weft::with_value<int>(grandchild, g);
                            if (g % 2 == 0)
                                child.cancel();
                            weft::yield();
                            if (root.err()) {
                                EXPECT_EQ(weft::sleep_for(1h, other), context_errc::canceled);
                                return;
                            }
                        }
                    });
            }
            all.go(
                [&]
                {
                    weft::yield();
                    root.cancel();
                });
            all.wait();
        }
    }
}

}  // namespace
