// weft::barrier: phases that several go through together.
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "fixture.hpp"
#include "weft/barrier.hpp"

namespace {

using barrier_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::test::procs;
using weft::test::scaled;

static_assert(sizeof(weft::barrier<>) <= 24);
constinit weft::barrier<> constant_initialised(1);

WEFT_TEST(barrier_test, one_passes_alone)
{
    for (int i = 0; i < 10; ++i)
        constant_initialised.arrive_and_wait();
}

struct count_phases {
    int* phases;
    void operator()() noexcept { ++*phases; }
};

// Plain data between the phases: what is done before an arrival is seen after the wait, and by the completion.
void go_through(std::size_t goroutines, std::size_t threads_count, std::size_t rounds)
{
    const std::size_t count = goroutines + threads_count;
    int phases = 0;
    weft::barrier b(static_cast<std::ptrdiff_t>(count), count_phases{&phases});
    std::vector<std::size_t> at(count);
    std::atomic<std::size_t> violations{0};
    const auto work = [&](std::size_t id)
    {
        for (std::size_t round = 1; round <= rounds; ++round) {
            at[id] = round;
            b.arrive_and_wait();
            for (const std::size_t other : at)
                violations += other != round;
            violations += phases != static_cast<int>(2 * round - 1);
            b.arrive_and_wait();
        }
    };
    std::vector<std::thread> threads;
    weft::wait_group all;
    for (std::size_t i = 0; i < threads_count; ++i)
        threads.emplace_back([&, i] { work(i); });
    for (std::size_t i = threads_count; i < count; ++i)
        all.go([&, i] { work(i); });
    for (std::thread& t : threads)
        t.join();
    all.wait();
    EXPECT_EQ(violations, 0U);
    EXPECT_EQ(phases, static_cast<int>(2 * rounds));
}

WEFT_TEST(barrier_test, goroutines_go_through_together)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        go_through(20, 0, scaled(500));
    }
}

TEST_F(barrier_test, threads_and_goroutines_go_through_together)
{
    go_through(6, 3, scaled(300));
    go_through(0, 3, scaled(300));
}

WEFT_TEST(barrier_test, arrive_does_not_wait)
{
    weft::barrier b(2);
    auto token = b.arrive();
    EXPECT_FALSE(b.try_wait(token));
    EXPECT_FALSE(b.try_wait_for(token, 1ms));
    weft::go([&] { (void)b.arrive(); });
    EXPECT_TRUE(b.try_wait_for(token, 1h));
    b.wait(std::move(token));
    auto both = b.arrive(2);
    b.wait(std::move(both));
}

WEFT_TEST(barrier_test, who_drops_is_not_expected_again)
{
    weft::barrier b(3);
    weft::wait_group all;
    std::atomic<int> rounds{0};
    all.go([&] { b.arrive_and_drop(); });
    for (int i = 0; i < 2; ++i) {
        all.go(
            [&]
            {
                for (int round = 0; round < 10; ++round) {
                    b.arrive_and_wait();
                    ++rounds;
                }
            });
    }
    all.wait();
    EXPECT_EQ(rounds, 20);
}

WEFT_TEST(barrier_test, misuse_is_an_error)
{
    EXPECT_THROW(weft::barrier<>(-1), std::logic_error);
    EXPECT_THROW(weft::barrier<>(weft::barrier<>::max() + 1), std::logic_error);
    weft::barrier b(2);
    EXPECT_THROW((void)b.arrive(3), std::logic_error);
    EXPECT_THROW((void)b.arrive(0), std::logic_error);
    EXPECT_THROW((void)b.arrive(-1), std::logic_error);
    b.arrive_and_drop();
    b.arrive_and_drop();
    EXPECT_THROW((void)b.arrive(), std::logic_error) << "nobody is expected any more";
    EXPECT_THROW(b.arrive_and_drop(), std::logic_error);
}

TEST_F(barrier_test, times_out_on_a_plain_thread)
{
    weft::barrier b(2);
    auto token = b.arrive();
    EXPECT_FALSE(b.try_wait_for(token, 1ms));
    EXPECT_FALSE(b.try_wait_until(token, std::chrono::system_clock::now() + 1ms));
    weft::go([&] { (void)b.arrive(); });
    b.wait(std::move(token));
}

}  // namespace
