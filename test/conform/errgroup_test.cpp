// What the tests of golang.org/x/sync/errgroup check. docs/conformance/errgroup.md has the table.
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "../unit/fixture.hpp"
#include "weft/group.hpp"

namespace {

using namespace std::chrono_literals;
using conform_errgroup = weft::test::fixture;
using weft::context_errc;

// TestZeroGroup: wait() reports the first failure so far, each time.
WEFT_TEST(conform_errgroup, reports_the_first_failure_each_time)
{
    struct failure {
        int number;
    };
    // 0: no failure
    for (const std::vector<int>& members : {std::vector<int>{}, {0}, {1}, {1, 0}, {1, 2}, {0, 2}, {0, 0}, {0, 1, 2}}) {
        weft::group g;
        int first = 0;
        for (const int m : members) {
            g.go(
                [m]
                {
                    if (m != 0)
                        throw failure{m};
                });
            if (first == 0)
                first = m;
            int seen = 0;
            try {
                g.wait();
            } catch (const failure& f) {
                seen = f.number;
            }
            EXPECT_EQ(seen, first);
        }
    }
}

// TestWithContext: the first failure ends the context; without one it lives until the group ends.
WEFT_TEST(conform_errgroup, a_failure_ends_the_context)
{
    for (const bool fails : {false, true}) {
        weft::context seen;
        {
            weft::group g(weft::background());
            seen = g.context();
            g.go(
                [fails]
                {
                    if (fails)
                        throw std::runtime_error("member");
                });
            g.go([] {});
            if (fails) {
                EXPECT_THROW(g.wait(), std::runtime_error);
                EXPECT_EQ(seen.err(), context_errc::canceled);
                EXPECT_THROW(std::rethrow_exception(seen.cause()), std::runtime_error);
            } else {
                g.wait();
                EXPECT_FALSE(seen.err());
            }
        }
        EXPECT_EQ(seen.err(), context_errc::canceled);
    }
}

// TestTryGo, TestTryGoLimit
WEFT_TEST(conform_errgroup, try_go)
{
    weft::group g;
    constexpr int n = 42;
    g.limit(n);
    const weft::chan<int> numbers;
    std::atomic<int> sum{0};
    g.go(
        [&, numbers]
        {
            for (const int i : numbers)
                sum += i;
        });
    for (int i = 1; i < n; ++i)
        EXPECT_TRUE(g.try_go([numbers, i] { numbers.send(i); })) << "place " << i << " of " << n;
    while (sum < (n - 1) * n / 2)
        weft::yield();
    numbers.close();
    g.wait();

    weft::group one;
    one.limit(1);
    const weft::chan<int> release;
    EXPECT_TRUE(one.try_go([release] { (void)release.recv(); }));
    EXPECT_FALSE(one.try_go([] {}));
    release.close();
    one.wait();
    EXPECT_TRUE(one.try_go([] {}));
    one.wait();
}

// TestGoLimit: never more than the limit at the same time.
WEFT_TEST(conform_errgroup, the_limit_holds)
{
    constexpr int limit = 10;
    weft::group g;
    g.limit(limit);
    std::atomic<int> active{0};
    std::atomic<int> most{0};
    for (int i = 0; i <= 1 << 8; ++i) {
        g.go(
            [&]
            {
                const int now = ++active;
                int seen = most;
                while (now > seen && !most.compare_exchange_weak(seen, now)) {
                }
                weft::sleep_for(10us);
                --active;
            });
    }
    g.wait();
    EXPECT_LE(most, limit);
    EXPECT_GE(most, 1);
}

// ExampleGroup_parallel: results in their places, or the first failure.
WEFT_TEST(conform_errgroup, results_in_parallel)
{
    const std::vector<std::string> names{"web", "image", "video"};
    std::vector<std::string> results(names.size());
    weft::group g;
    for (std::size_t i = 0; i < names.size(); ++i)
        g.go([&, i] { results[i] = "result for " + names[i]; });
    g.wait();
    EXPECT_EQ(results[2], "result for video");
}

// ExampleGroup_pipeline: stages over channels, all of them ended by a failure.
WEFT_TEST(conform_errgroup, a_pipeline_ends_with_its_first_failure)
{
    weft::group g;
    const weft::chan<int> numbers;
    const weft::chan<int> squares;
    g.go(
        [&]
        {
            for (int i = 0;; ++i)
                if (weft::select(weft::on_send(numbers, i), weft::on_done(g.context())) == 1)
                    return;
        });
    for (int worker = 0; worker < 4; ++worker) {
        g.go(
            [&]
            {
                for (;;) {
                    int n = 0;
                    if (weft::select(weft::on_recv(numbers, [&](std::optional<int> v) { n = *v; }),
                                     weft::on_done(g.context())) == 1)
                        return;
                    if (weft::select(weft::on_send(squares, n * n), weft::on_done(g.context())) == 1)
                        return;
                }
            });
    }
    g.go(
        [&]
        {
            for (int i = 0; i < 100; ++i)
                (void)squares.recv();
            throw std::runtime_error("enough");
        });
    EXPECT_THROW(g.wait(), std::runtime_error);
}

}  // namespace
