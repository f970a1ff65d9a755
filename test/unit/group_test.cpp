// weft::group: joins, limits, and the first failure.
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "fixture.hpp"
#include "weft/group.hpp"
#include "weft/local.hpp"

namespace {

using namespace std::chrono_literals;
using group_test = weft::test::fixture;
using weft::context_errc;
using weft::test::counted;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;
using weft::test::scaled_live;
using weft::test::slow_to_go;

WEFT_TEST(group_test, joins)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        std::atomic<std::size_t> ran{0};
        weft::group g;
        const std::size_t count = scaled_live(5'000);
        for (std::size_t i = 0; i < count; ++i)
            g.go([&, c = counted()] { ++ran; });
        g.wait();
        EXPECT_EQ(ran, count);
        EXPECT_EQ(counted::alive, 0) << "functions are destroyed before wait() returns";
        EXPECT_FALSE(g.context().err());
        g.go([&] { ++ran; });
        g.wait();
        EXPECT_EQ(ran, count + 1) << "it may go on";
    }
}

WEFT_TEST(group_test, wait_returns_when_what_it_ran_is_gone)
{
    static weft::local<slow_to_go> held;
    for (int i = 0; i < 10; ++i) {
        weft::group g;
        g.go([s = slow_to_go()] {});
        g.go([s = slow_to_go(), big = std::array<int, 1'000>()] { throw big[0]; });
        EXPECT_THROW(g.wait(), int);
        EXPECT_EQ(slow_to_go::alive, 0);
        weft::group with_local;
        with_local.go([] { (void)held.get(); });
        with_local.wait();
        EXPECT_EQ(slow_to_go::alive, 0);
    }
}

TEST_F(group_test, joins_on_a_plain_thread)
{
    std::atomic<int> ran{0};
    weft::group g;
    for (int i = 0; i < 100; ++i)
        g.go([&] { ++ran; });
    g.wait();
    EXPECT_EQ(ran, 100);
}

WEFT_TEST(group_test, an_empty_one_does_not_wait)
{
    weft::group g;
    g.wait();
    g.wait();
}

WEFT_TEST(group_test, the_first_exception_is_rethrown)
{
    weft::group g;
    weft::chan<int> turn;
    g.go([] { throw std::runtime_error("first"); });
    g.go(
        [&]
        {
            (void)g.context().done().recv();
            throw std::logic_error("second");
        });
    EXPECT_THROW(g.wait(), std::runtime_error);
    EXPECT_THROW(g.wait(), std::runtime_error) << "each time";
    EXPECT_EQ(g.context().err(), context_errc::canceled);
    try {
        std::rethrow_exception(g.context().cause());
    } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "first");
    }
}

WEFT_TEST(group_test, a_returned_error_code_is_a_failure)
{
    weft::group g;
    g.go([&] { return weft::sleep_for(1h, g.context()); });
    g.go([] { return std::make_error_code(std::errc::no_such_process); });
    try {
        g.wait();
        ADD_FAILURE() << "the failure was lost";
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code(), std::errc::no_such_process) << "the first one";
    }
    EXPECT_EQ(g.context().err(), context_errc::canceled);

    weft::group good;
    const std::error_code none;
    good.go([] { return std::error_code(); });
    good.go([&]() -> const std::error_code& { return none; });
    good.go([] { return 7; });
    EXPECT_TRUE(good.try_go([] { return std::error_code(); }));
    good.wait();
    EXPECT_FALSE(good.context().err());
    EXPECT_TRUE(good.try_go([] { return std::make_error_code(std::errc::io_error); }));
    EXPECT_THROW(good.wait(), std::system_error);
}

WEFT_TEST(group_test, a_failure_cancels_the_others)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        weft::group g;
        std::atomic<int> canceled{0};
        for (int i = 0; i < 20; ++i)
            g.go([&] { canceled += weft::sleep_for(1h, g.context()) == context_errc::canceled ? 1 : 0; });
        g.go([] { throw 1; });
        EXPECT_THROW(g.wait(), int);
        EXPECT_EQ(canceled, 20);
    }
}

WEFT_TEST(group_test, its_end_cancels_and_joins)
{
    std::atomic<int> ended{0};
    {
        weft::group g;
        for (int i = 0; i < 10; ++i) {
            g.go(
                [&]
                {
                    (void)weft::sleep_for(1h, g.context());
                    ++ended;
                });
        }
        g.go([] { throw std::runtime_error("dropped"); });
    }
    EXPECT_EQ(ended, 10);
}

WEFT_TEST(group_test, an_exception_that_leaves_the_scope_cancels_and_joins)
{
    std::atomic<bool> ended{false};
    try {
        weft::group g;
        g.go(
            [&]
            {
                (void)weft::sleep_for(1h, g.context());
                ended = true;
            });
        throw std::runtime_error("out");
    } catch (const std::runtime_error&) {
        EXPECT_TRUE(ended);
    }
    EXPECT_TRUE(ended);
}

WEFT_TEST(group_test, a_parent_ends_it)
{
    weft::cancel_context parent = weft::with_cancel(weft::background());
    weft::group g(parent);
    g.go([&] { EXPECT_EQ(weft::sleep_for(1h, g.context()), context_errc::canceled); });
    parent.cancel();
    g.wait();
    EXPECT_EQ(g.context().err(), context_errc::canceled);
}

WEFT_TEST(group_test, members_may_start_more)
{
    std::atomic<int> ran{0};
    weft::group g;
    for (int i = 0; i < 10; ++i) {
        g.go(
            [&]
            {
                for (int k = 0; k < 10; ++k)
                    g.go([&] { ++ran; });
            });
    }
    g.wait();
    EXPECT_EQ(ran, 100);
}

WEFT_TEST(group_test, nested)
{
    weft::group outer;
    outer.go(
        [&]
        {
            weft::group inner(outer.context());
            inner.go([&] { (void)weft::sleep_for(1h, inner.context()); });
            inner.go([] { throw std::out_of_range("deep"); });
            inner.wait();
        });
    EXPECT_THROW(outer.wait(), std::out_of_range);
}

WEFT_TEST(group_test, an_exit_is_no_failure)
{
    weft::group g;
    g.go([] { weft::exit_goroutine(); });
    g.wait();
    EXPECT_FALSE(g.context().err());
}

WEFT_TEST(group_test, move_only_functions)
{
    weft::group g;
    int got = 0;
    g.go([&, p = std::make_unique<int>(5)] { got = *p; });
    g.wait();
    EXPECT_EQ(got, 5);
}

// --- limits

void limited(int proc_count, int limit)
{
    const procs p(proc_count);
    weft::group g;
    g.limit(limit);
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    std::atomic<std::size_t> ran{0};
    const std::size_t count = scaled(300);
    for (std::size_t i = 0; i < count; ++i) {
        g.go(
            [&, i]
            {
                const int now = ++inside;
                int seen = most;
                while (now > seen && !most.compare_exchange_weak(seen, now)) {
                }
                if (i % 3 == 0)
                    weft::yield();
                if (i % 50 == 0)
                    weft::sleep_for(50us);
                --inside;
                ++ran;
            });
    }
    g.wait();
    EXPECT_EQ(ran, count);
    EXPECT_LE(most, limit);
}

WEFT_TEST(group_test, a_limit_holds)
{
    for (const int n : {1, 2, 4})
        for (const int limit : {1, 3, 16})
            limited(n, limit);
}

WEFT_TEST(group_test, go_waits_for_its_turn)
{
    weft::group g;
    g.limit(1);
    weft::chan<int> first;
    g.go([&] { (void)first.recv(); });
    std::atomic<bool> second{false};
    weft::wait_group starter;
    starter.go([&] { g.go([&] { second = true; }); });
    EXPECT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 2; }));
    EXPECT_FALSE(second);
    EXPECT_FALSE(g.try_go([] {})) << "and nobody overtakes";
    first.close();
    starter.wait();
    g.wait();
    EXPECT_TRUE(second);
}

WEFT_TEST(group_test, try_go_does_not_wait)
{
    weft::group g;
    g.limit(2);
    weft::chan<int> c;
    EXPECT_TRUE(g.try_go([&] { (void)c.recv(); }));
    EXPECT_TRUE(g.try_go([&] { (void)c.recv(); }));
    EXPECT_FALSE(g.try_go([] { FAIL(); }));
    c.close();
    g.wait();
    EXPECT_TRUE(g.try_go([] {}));
    g.wait();
    weft::group unlimited;
    EXPECT_TRUE(unlimited.try_go([] {}));
}

WEFT_TEST(group_test, limits_are_checked)
{
    weft::group g;
    EXPECT_THROW(g.limit(-1), std::invalid_argument);
    weft::chan<int> c;
    g.go([&] { (void)c.recv(); });
    EXPECT_THROW(g.limit(2), std::logic_error) << "one runs";
    c.close();
    g.wait();
    g.limit(0);
    EXPECT_FALSE(g.try_go([] {}));
    g.limit(1);
    EXPECT_TRUE(g.try_go([] {}));
    g.wait();
}

struct throws_when_copied {
    throws_when_copied() = default;
    throws_when_copied(const throws_when_copied&) { throw std::runtime_error("copy"); }
    throws_when_copied& operator=(const throws_when_copied&) = default;
    ~throws_when_copied() = default;
    void operator()() const {}
};

WEFT_TEST(group_test, a_start_that_fails_takes_no_place)
{
    weft::group g;
    g.limit(1);
    const throws_when_copied f;
    EXPECT_THROW(g.go(f), std::runtime_error);
    EXPECT_THROW((void)g.try_go(f), std::runtime_error);
    EXPECT_TRUE(g.try_go([] {}));
    g.wait();
}

TEST_F(group_test, starters_on_threads_and_goroutines)
{
    const procs four(4);
    std::atomic<std::size_t> ran{0};
    weft::group g;
    g.limit(3);
    const std::size_t each = scaled(200);
    const auto start = [&]
    {
        for (std::size_t i = 0; i < each; ++i)
            g.go([&] { ++ran; });
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i)
        threads.emplace_back(start);
    weft::wait_group starters;
    for (int i = 0; i < 3; ++i)
        starters.go(start);
    for (std::thread& t : threads)
        t.join();
    starters.wait();
    g.wait();
    EXPECT_EQ(ran, 6 * each);
}

}  // namespace
