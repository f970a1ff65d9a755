// weft::async and weft::future: a goroutine with a result.
#include "weft/future.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace {

using future_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::test::counted;
using weft::test::eventually;
using weft::test::gate;
using weft::test::scaled;

int forty_two()
{
    return 42;
}

template <class F>
void expect_no_state(F&& f)
{
    try {
        f();
        ADD_FAILURE() << "should have thrown no_state";
    } catch (const std::future_error& e) {
        EXPECT_EQ(e.code(), std::future_errc::no_state);
    }
}

WEFT_TEST(future_test, returns_values)
{
    EXPECT_EQ(weft::async([] { return 7; }).get(), 7);
    EXPECT_EQ(weft::async(forty_two).get(), 42);
    EXPECT_EQ(weft::async(&forty_two).get(), 42);
    EXPECT_EQ(weft::async([] { return std::string(1'000, 'x'); }).get(), std::string(1'000, 'x'));
    EXPECT_EQ(weft::async([](int a, int b) { return a - b; }, 50, 8).get(), 42);
    EXPECT_EQ(weft::async(&std::string::size, std::string("four")).get(), 4U);
    EXPECT_EQ(weft::async(weft::attr{.name = "named", .stack_size = 64 * 1'024}, [] { return 8; }).get(), 8);
}

WEFT_TEST(future_test, returns_nothing)
{
    std::atomic<bool> ran{false};
    auto f = weft::async([&] { ran = true; });
    f.get();
    EXPECT_TRUE(ran);
}

WEFT_TEST(future_test, returns_references)
{
    int target = 1;
    auto f = weft::async([&]() -> int& { return target; });
    int& got = f.get();
    EXPECT_EQ(&got, &target);
    const std::string text = "constant";
    EXPECT_EQ(&weft::async([&]() -> const std::string& { return text; }).get(), &text);
    EXPECT_EQ(&weft::async([](int& n) -> int& { return n; }, std::ref(target)).get(), &target);
}

WEFT_TEST(future_test, returns_move_only_results)
{
    auto f = weft::async([p = std::make_unique<int>(5)]() mutable { return std::move(p); });
    const std::unique_ptr<int> got = f.get();
    ASSERT_NE(got, nullptr);
    EXPECT_EQ(*got, 5);
    EXPECT_EQ(*weft::async([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(6)).get(), 6);
}

WEFT_TEST(future_test, returns_results_without_a_default)
{
    struct no_default {
        explicit no_default(int n) : value(n) {}
        int value;
    };
    EXPECT_EQ(weft::async([] { return no_default(9); }).get().value, 9);
}

WEFT_TEST(future_test, returns_an_exception_pointer_as_a_value)
{
    std::exception_ptr e = weft::async([] { return std::make_exception_ptr(std::runtime_error("a value")); }).get();
    EXPECT_THROW(std::rethrow_exception(e), std::runtime_error);
}

WEFT_TEST(future_test, returns_large_and_aligned_results)
{
    using page = std::array<std::uint64_t, 512>;
    auto f = weft::async(
        []
        {
            page p{};
            for (std::size_t i = 0; i < p.size(); ++i)
                p[i] = i * i;
            return p;
        });
    const page got = f.get();
    for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_EQ(got[i], i * i);

    struct alignas(128) wide {
        int value = 3;
    };
    EXPECT_EQ(weft::async([] { return wide{}; }).get().value, 3);
    EXPECT_EQ(weft::async([w = wide{4}] { return w.value; }).get(), 4);
}

WEFT_TEST(future_test, rethrows_exceptions_with_their_type)
{
    struct detailed : std::runtime_error {
        int detail;
        detailed(const char* what, int d) : std::runtime_error(what), detail(d) {}
    };
    auto f = weft::async([]() -> int { throw detailed("details", 17); });
    try {
        (void)f.get();
        ADD_FAILURE();
    } catch (const detailed& e) {
        EXPECT_STREQ(e.what(), "details");
        EXPECT_EQ(e.detail, 17);
    }
    EXPECT_FALSE(f.valid());

    auto number = weft::async([] { throw 12; });
    try {
        number.get();
        ADD_FAILURE();
    } catch (int n) {
        EXPECT_EQ(n, 12);
    }
    auto by_reference = weft::async([]() -> int& { throw std::out_of_range("far"); });
    EXPECT_THROW((void)by_reference.get(), std::out_of_range);
}

WEFT_TEST(future_test, passes_exceptions_through_generations)
{
    std::function<int(int)> nest = [&](int depth) -> int
    {
        if (depth == 0)
            throw std::domain_error("bottom");
        try {
            return weft::async([&, depth] { return nest(depth - 1); }).get();
        } catch (const std::exception&) {
            std::throw_with_nested(std::runtime_error("level " + std::to_string(depth)));
        }
    };
    int levels = 0;
    bool bottom = false;
    std::function<void(const std::exception&)> walk = [&](const std::exception& e)
    {
        try {
            std::rethrow_if_nested(e);
            bottom = dynamic_cast<const std::domain_error*>(&e) != nullptr;
        } catch (const std::exception& inner) {
            ++levels;
            walk(inner);
        }
    };
    try {
        (void)nest(10);
    } catch (const std::exception& e) {
        walk(e);
    }
    EXPECT_EQ(levels, 10);
    EXPECT_TRUE(bottom);
}

WEFT_TEST(future_test, releases_the_exception_object)
{
    struct loud : counted {};
    for (int i = 0; i < 100; ++i) {
        auto taken = weft::async([] { throw loud(); });
        EXPECT_THROW(taken.get(), loud);
        auto dropped = weft::async([] { throw loud(); });
        dropped.wait();
        (void)weft::async([] { throw loud(); });
    }
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
}

WEFT_TEST(future_test, wait_then_get)
{
    gate finish;
    auto f = weft::async(
        [&]
        {
            finish.wait();
            return 3;
        });
    EXPECT_TRUE(f.valid());
    EXPECT_FALSE(f.ready());
    finish.open();
    f.wait();
    EXPECT_TRUE(f.ready());
    f.wait();
    EXPECT_EQ(f.get(), 3);
    EXPECT_FALSE(f.valid());
}

WEFT_TEST(future_test, ready_becomes_true_without_a_wait)
{
    auto f = weft::async([] { return 1; });
    EXPECT_TRUE(eventually([&] { return f.ready(); }));
    EXPECT_EQ(f.get(), 1);
}

void wait_for_times_out_then_succeeds()
{
    gate finish;
    auto f = weft::async(
        [&]
        {
            finish.wait();
            return 5;
        });
    EXPECT_EQ(f.wait_for(0s), std::future_status::timeout);
    EXPECT_EQ(f.wait_for(-1h), std::future_status::timeout);
    EXPECT_EQ(f.wait_for(std::chrono::nanoseconds::min()), std::future_status::timeout);
    EXPECT_EQ(f.wait_until(weft::clock::time_point::min()), std::future_status::timeout);
    EXPECT_EQ(f.wait_until(weft::clock::now() - 1ms), std::future_status::timeout);
    for (const auto timeout : {1us, 100us, 5'000us}) {
        const auto before = std::chrono::steady_clock::now();
        EXPECT_EQ(f.wait_for(timeout), std::future_status::timeout);
        EXPECT_GE(std::chrono::steady_clock::now() - before, timeout);
    }
    EXPECT_FALSE(f.ready());
    finish.open();
    EXPECT_EQ(f.wait_for(std::chrono::hours::max()), std::future_status::ready);
    EXPECT_EQ(f.wait_for(0s), std::future_status::ready);
    EXPECT_EQ(f.wait_for(-1s), std::future_status::ready);
    EXPECT_EQ(f.wait_until(weft::clock::time_point::min()), std::future_status::ready);
    EXPECT_EQ(f.get(), 5);
}

WEFT_TEST(future_test, wait_for_times_out_then_succeeds)
{
    wait_for_times_out_then_succeeds();
}

TEST_F(future_test, wait_for_on_a_plain_thread)
{
    wait_for_times_out_then_succeeds();
}

// The time runs out while the result arrives: either answer is right, and the result is there afterwards.
WEFT_TEST(future_test, a_timeout_races_with_completion)
{
    const weft::test::procs four(4);
    const std::size_t rounds = scaled(3'000);
    std::size_t timeouts = 0;
    for (std::size_t i = 0; i < rounds; ++i) {
        auto f = weft::async(
            [i]
            {
                if (i % 2 == 0)
                    weft::sleep_for(std::chrono::microseconds(i % 50));
                return i;
            });
        if (f.wait_for(std::chrono::microseconds(i % 70)) == std::future_status::timeout)
            ++timeouts;
        ASSERT_EQ(f.get(), i);
    }
    ::testing::Test::RecordProperty("timeouts", static_cast<int>(timeouts));
}

WEFT_TEST(future_test, many_timeouts_on_one_future)
{
    gate finish;
    auto f = weft::async([&] { finish.wait(); });
    for (std::size_t i = 0; i < scaled(1'000); ++i)
        ASSERT_EQ(f.wait_for(std::chrono::microseconds(i % 5)), std::future_status::timeout);
    finish.open();
    f.get();
}

WEFT_TEST(future_test, get_twice_has_no_state)
{
    auto f = weft::async([] { return 1; });
    EXPECT_EQ(f.get(), 1);
    expect_no_state([&] { (void)f.get(); });
    expect_no_state([&] { f.wait(); });
    expect_no_state([&] { (void)f.ready(); });
    expect_no_state([&] { (void)f.wait_for(1s); });
}

WEFT_TEST(future_test, an_empty_future_has_no_state)
{
    weft::future<int> f;
    EXPECT_FALSE(f.valid());
    expect_no_state([&] { (void)f.get(); });
    expect_no_state([&] { f.wait(); });
}

WEFT_TEST(future_test, moves)
{
    gate finish;
    auto a = weft::async(
        [&]
        {
            finish.wait();
            return 1;
        });
    auto b = std::move(a);
    EXPECT_FALSE(a.valid());  // NOLINT(bugprone-use-after-move): the state after a move is specified
    EXPECT_TRUE(b.valid());
    weft::future<int> c;
    c = std::move(b);
    EXPECT_FALSE(b.valid());  // NOLINT(bugprone-use-after-move)
    auto& itself = c;
    c = std::move(itself);
    ASSERT_TRUE(c.valid());
    finish.open();
    EXPECT_EQ(c.get(), 1);
}

WEFT_TEST(future_test, assignment_drops_the_former_result)
{
    struct result : counted {};
    weft::future<result> f;
    for (int i = 0; i < 50; ++i)
        f = weft::async([] { return result{}; });
    (void)f.get();
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
}

WEFT_TEST(future_test, dropped_before_completion)
{
    gate finish;
    std::atomic<int> ran{0};
    for (int i = 0; i < 100; ++i) {
        (void)weft::async(
            [&, c = counted()]
            {
                finish.wait();
                ++ran;
                return counted();
            });
        (void)weft::async(
            [&, c = counted(), big = std::array<char, 200>{}]
            {
                finish.wait();
                ++ran;
                return std::make_pair(counted(), big);
            });
    }
    finish.open();
    EXPECT_TRUE(eventually([&] { return ran == 200 && counted::alive == 0; }));
}

WEFT_TEST(future_test, dropped_after_completion)
{
    for (int i = 0; i < 100; ++i) {
        auto f = weft::async([] { return counted(); });
        f.wait();
    }
    for (int i = 0; i < 100; ++i) {
        auto f = weft::async([big = std::array<char, 200>{}] { return std::make_pair(counted(), big); });
        f.wait();
    }
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
}

WEFT_TEST(future_test, dropped_while_it_completes)
{
    const weft::test::procs four(4);
    for (std::size_t i = 0; i < scaled(20'000); ++i)
        (void)weft::async([] { return counted(); });
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
}

WEFT_TEST(future_test, the_closure_is_gone_when_the_result_is_there)
{
    for (int i = 0; i < 200; ++i) {
        auto f = weft::async([c = counted()] { return 1; });
        EXPECT_EQ(f.get(), 1);
        ASSERT_EQ(counted::alive, 0);
    }
}

template <std::size_t Extra>
struct fails_to_move {
    counted count;
    std::array<char, Extra> extra{};
    fails_to_move() = default;
    // NOLINTNEXTLINE(performance-noexcept-move-constructor,bugprone-exception-escape): that it throws is the test
    fails_to_move(fails_to_move&& other) : count(other.count) { throw std::runtime_error("move"); }
    int operator()() const { return 1; }
};

WEFT_TEST(future_test, a_move_that_throws_starts_nothing)
{
    const std::uint64_t started = weft::stats().goroutines_started;
    for (int i = 0; i < 1'000; ++i) {
        EXPECT_THROW((void)weft::async(fails_to_move<1>()), std::runtime_error);
        EXPECT_THROW((void)weft::async(fails_to_move<300>()), std::runtime_error);
    }
    EXPECT_EQ(weft::stats().goroutines_started, started);
    EXPECT_EQ(counted::alive, 0);
}

WEFT_TEST(future_test, a_result_whose_move_throws_is_an_exception)
{
    struct result {
        bool throws = false;
        result() = default;
        // NOLINTNEXTLINE(performance-noexcept-move-constructor,bugprone-exception-escape): that it throws is the test
        result(result&& other) : throws(other.throws)
        {
            if (throws)
                throw std::runtime_error("move of the result");
        }
    };
    auto f = weft::async(
        []
        {
            result r;
            r.throws = true;
            return std::array<result, 1>{std::move(r)};
        });
    EXPECT_THROW((void)f.get(), std::runtime_error);
}

TEST_F(future_test, from_and_on_a_plain_thread)
{
    auto f = weft::async([] { return weft::goroutine_id(); });
    EXPECT_NE(f.get(), 0U);
    auto g = weft::async([]() -> int { throw std::runtime_error("to a thread"); });
    EXPECT_THROW((void)g.get(), std::runtime_error);
}

TEST_F(future_test, many_plain_threads_wait)
{
    std::vector<std::thread> threads;
    std::atomic<std::size_t> sum{0};
    const std::size_t each = scaled(1'000);
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back(
            [&]
            {
                for (std::size_t i = 0; i < each; ++i)
                    sum += weft::async([i] { return i; }).get();
            });
    }
    for (std::thread& t : threads)
        t.join();
    EXPECT_EQ(sum, 8 * each * (each - 1) / 2);
}

WEFT_TEST(future_test, started_on_one_side_awaited_on_the_other)
{
    for (std::size_t i = 0; i < scaled(200); ++i) {
        weft::future<std::size_t> f;
        std::thread([&] { f = weft::async([i] { return i; }); }).join();
        EXPECT_EQ(f.get(), i);
    }
}

WEFT_TEST(future_test, a_second_waiter_is_an_error)
{
    for (int round = 0; round < 20; ++round) {
        gate finish;
        auto f = weft::async([&] { finish.wait(); });
        std::atomic<int> refused{0};
        std::atomic<int> done{0};
        weft::wait_group waiters;
        for (int i = 0; i < 2; ++i) {
            waiters.go(
                [&, i]
                {
                    try {
                        if (i == 0)
                            f.wait();
                        else
                            (void)f.wait_for(1h);
                        ++done;
                    } catch (const std::logic_error&) {
                        ++refused;
                        finish.open();
                    }
                });
        }
        waiters.wait();
        EXPECT_EQ(refused, 1);
        EXPECT_EQ(done, 1);
        EXPECT_TRUE(f.ready());
        f.get();
    }
}

WEFT_TEST(future_test, completion_happens_before_get)
{
    const weft::test::procs four(4);
    for (std::size_t i = 0; i < scaled(5'000); ++i) {
        // Plain data: under TSan a missing edge is a report.
        std::array<std::size_t, 8> data{};
        std::size_t& seen = data[0];
        auto f = weft::async([&] { data.fill(i); });
        f.get();
        ASSERT_EQ(seen, i);
    }
}

unsigned fib(unsigned n)
{
    if (n < 2)
        return n;
    auto left = weft::async([n] { return fib(n - 1); });
    const unsigned right = fib(n - 2);
    return left.get() + right;
}

WEFT_TEST(future_test, trees_of_futures)
{
    const bool small = weft::test::under_sanitizer || weft::test::slow();
    EXPECT_EQ(fib(small ? 12 : 20), small ? 144U : 6'765U);
}

WEFT_TEST(future_test, awaited_in_any_order)
{
    std::vector<weft::future<std::size_t>> all;
    const std::size_t count = weft::test::scaled_live(2'000);
    for (std::size_t i = 0; i < count; ++i) {
        all.push_back(weft::async(
            [i]
            {
                if (i % 3 == 0)
                    weft::yield();
                return i;
            }));
    }
    for (std::size_t i = count; i-- > 0;)
        ASSERT_EQ(all[i].get(), i);
}

}  // namespace
