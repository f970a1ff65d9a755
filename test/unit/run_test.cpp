// weft::run: the main goroutine, its result, and misuse.
#include <atomic>
#include <future>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace {

using run_test = weft::test::fixture;
using weft::test::counted;
using weft::test::eventually;
using weft::test::scaled;

int returns_six()
{
    return 6;
}

void expect_nested_run_refused()
{
    try {
        weft::run([] { ADD_FAILURE() << "ran"; });
        ADD_FAILURE() << "a nested run was accepted";
    } catch (const std::logic_error& e) {
        const std::string_view text = e.what();
        EXPECT_NE(text.find("run"), std::string_view::npos) << text;
        EXPECT_NE(text.find("goroutine"), std::string_view::npos) << text;
    }
}

TEST_F(run_test, returns_the_int_of_main)
{
    EXPECT_EQ(weft::run([] { return 5; }), 5);
    EXPECT_EQ(weft::run([] { return -1; }), -1);
    EXPECT_EQ(weft::run(returns_six), 6);
    EXPECT_EQ(weft::run(&returns_six), 6);
    EXPECT_EQ(weft::run([]() noexcept { return std::numeric_limits<int>::min(); }), std::numeric_limits<int>::min());
}

TEST_F(run_test, returns_zero_for_other_results)
{
    EXPECT_EQ(weft::run([] {}), 0);
    EXPECT_EQ(weft::run([] { return std::make_unique<int>(3); }), 0);
}

TEST_F(run_test, runs_main_as_a_goroutine)
{
    weft::run(
        []
        {
            EXPECT_NE(weft::goroutine_id(), 0U);
            EXPECT_EQ(weft::num_goroutines(), 1U);
        });
    EXPECT_EQ(weft::goroutine_id(), 0U);
}

TEST_F(run_test, takes_a_move_only_main)
{
    EXPECT_EQ(weft::run([p = std::make_unique<int>(11)] { return *p; }), 11);
    int calls = 0;
    auto counter = [&calls]() mutable { return ++calls; };
    EXPECT_EQ(weft::run(counter), 1);
    EXPECT_EQ(weft::run(counter), 2);
}

TEST_F(run_test, exceptions_leave_it_with_their_type)
{
    struct own {
        int detail;
        counted count{};
    };
    try {
        weft::run([]() -> int { throw own{21}; });
        ADD_FAILURE();
    } catch (const own& e) {
        EXPECT_EQ(e.detail, 21);
    }
    EXPECT_THROW(weft::run([] { throw std::length_error("length"); }), std::length_error);
    EXPECT_THROW(weft::run([] { throw std::future_error(std::future_errc::no_state); }), std::future_error);
    EXPECT_EQ(weft::run([] { return 4; }), 4) << "and it can be called again";
}

// Only main's own exit_goroutine() means 0; another goroutine's broken promise is an exception like any other.
TEST_F(run_test, a_broken_promise_of_another_goroutine_leaves_it)
{
    try {
        weft::run([]() -> int { return weft::async([]() -> int { weft::exit_goroutine(); }).get(); });
        ADD_FAILURE() << "the exception was lost";
    } catch (const std::future_error& e) {
        EXPECT_EQ(e.code(), std::future_errc::broken_promise);
    }
}

TEST_F(run_test, may_be_called_again)
{
    int sum = 0;
    for (std::size_t i = 0; i < scaled(2'000); ++i)
        sum += weft::run([] { return 1; });
    EXPECT_EQ(sum, static_cast<int>(scaled(2'000)));
}

TEST_F(run_test, from_several_threads_at_once)
{
    std::vector<std::thread> threads;
    std::atomic<int> sum{0};
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back(
            [&, t]
            {
                for (std::size_t i = 0; i < scaled(500); ++i) {
                    sum += weft::run(
                        [t]
                        {
                            weft::yield();
                            return weft::async([t] { return t; }).get();
                        });
                }
            });
    }
    for (std::thread& t : threads)
        t.join();
    EXPECT_EQ(sum, 28 * static_cast<int>(scaled(500)));
}

TEST_F(run_test, nested_is_refused)
{
    weft::run(
        []
        {
            expect_nested_run_refused();
            weft::async([] { expect_nested_run_refused(); }).get();
            weft::jthread t([] { expect_nested_run_refused(); });
            t.join();
            const weft::pin p;
            expect_nested_run_refused();
        });
}

TEST_F(run_test, on_a_thread_started_by_a_goroutine)
{
    // The goroutine blocks its OS thread, and with it its P.
    const weft::test::procs two(2);
    EXPECT_EQ(weft::run(
                  []
                  {
                      int result = 0;
                      std::thread([&] { result = weft::run([] { return 9; }); }).join();
                      return result;
                  }),
              9);
}

TEST_F(run_test, the_others_go_on)
{
    weft::test::gate finish;
    weft::future<int> other;
    weft::run(
        [&]
        {
            other = weft::async(
                [&]
                {
                    finish.wait();
                    weft::yield();
                    return 8;
                });
        });
    // run() returns when main has; its goroutine is counted until it has put its control block away.
    EXPECT_TRUE(weft::test::eventually([] { return weft::num_goroutines() == 1; }));
    finish.open();
    EXPECT_EQ(other.get(), 8);
}

TEST_F(run_test, main_and_its_closure_are_gone_afterwards)
{
    weft::run([c = counted()] { const counted local; });
    EXPECT_EQ(counted::alive, 0);
}

TEST_F(run_test, sets_the_number_of_procs)
{
    const int before = weft::max_procs();
    EXPECT_EQ(weft::run(weft::options{.procs = 3}, [] { return weft::max_procs(); }), 3);
    EXPECT_EQ(weft::run(weft::options{.procs = 1}, [] { return weft::max_procs(); }), 1);
    weft::max_procs(before);
}

TEST_F(run_test, refuses_bad_options)
{
    const int before = weft::max_procs();
    for (const int bad :
         {-1, std::numeric_limits<int>::min(), weft::max_procs_limit + 1, std::numeric_limits<int>::max()}) {
        try {
            weft::run(weft::options{.procs = bad}, [] { ADD_FAILURE() << "ran"; });
            ADD_FAILURE() << "procs " << bad << " was accepted";
        } catch (const std::invalid_argument& e) {
            const std::string_view text = e.what();
            EXPECT_NE(text.find("procs"), std::string_view::npos) << text;
            EXPECT_NE(text.find(std::to_string(bad)), std::string_view::npos) << text;
        }
    }
    for (const int bad : {0, -1, std::numeric_limits<int>::min()}) {
        try {
            weft::run(weft::options{.max_threads = bad}, [] { ADD_FAILURE() << "ran"; });
            ADD_FAILURE() << "max_threads " << bad << " was accepted";
        } catch (const std::invalid_argument& e) {
            const std::string_view text = e.what();
            EXPECT_NE(text.find("max_threads"), std::string_view::npos) << text;
        }
    }
    EXPECT_EQ(weft::max_procs(), before);
    EXPECT_EQ(weft::run([] { return 2; }), 2);
}

}  // namespace
