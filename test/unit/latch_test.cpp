// weft::latch: a gate that opens once.
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "weft/latch.hpp"

namespace {

using latch_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::test::procs;
using weft::test::scaled;

static_assert(sizeof(weft::latch) == 8);
constinit weft::latch constant_initialised(0);

WEFT_TEST(latch_test, opens_at_zero)
{
    constant_initialised.wait();
    weft::latch l(3);
    EXPECT_FALSE(l.try_wait());
    l.count_down();
    l.count_down(0);
    EXPECT_FALSE(l.try_wait());
    l.count_down(2);
    EXPECT_TRUE(l.try_wait());
    l.wait();
    l.wait();
}

WEFT_TEST(latch_test, misuse_is_an_error)
{
    EXPECT_THROW(weft::latch(-1), std::logic_error);
    EXPECT_THROW(weft::latch(weft::latch::max() + 1), std::logic_error);
    weft::latch l(1);
    EXPECT_THROW(l.count_down(2), std::logic_error);
    EXPECT_THROW(l.count_down(-1), std::logic_error);
    EXPECT_THROW(l.arrive_and_wait(2), std::logic_error);
    EXPECT_FALSE(l.try_wait()) << "the counter stayed as it was";
    l.count_down();
    EXPECT_THROW(l.count_down(), std::logic_error);
}

WEFT_TEST(latch_test, all_arrive_and_wait)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        for (std::size_t round = 0; round < scaled(200); ++round) {
            constexpr int count = 10;
            weft::latch l(count);
            std::atomic<int> arrived{0};
            weft::wait_group all;
            for (int i = 0; i < count; ++i) {
                all.go(
                    [&]
                    {
                        ++arrived;
                        l.arrive_and_wait();
                        EXPECT_EQ(arrived, count);
                    });
            }
            all.wait();
        }
    }
}

TEST_F(latch_test, joins_threads_and_goroutines)
{
    const std::size_t rounds = scaled(200);
    for (std::size_t round = 0; round < rounds; ++round) {
        weft::latch l(4);
        int data[3] = {};
        std::thread thread(
            [&]
            {
                data[0] = 1;
                l.arrive_and_wait();
                EXPECT_EQ(data[0] + data[1] + data[2], 3);
            });
        auto one = weft::async(
            [&]
            {
                data[1] = 1;
                l.count_down();
            });
        auto two = weft::async(
            [&]
            {
                data[2] = 1;
                l.arrive_and_wait();
            });
        l.count_down();
        l.wait();
        EXPECT_EQ(data[0] + data[1] + data[2], 3);
        thread.join();
        one.get();
        two.get();
    }
}

template <class Latch>
void times_out(Latch& l)
{
    EXPECT_FALSE(l.try_wait_for(1ms));
    EXPECT_FALSE(l.try_wait_for(0ms));
    EXPECT_FALSE(l.try_wait_until(weft::clock::now() + 1ms));
    EXPECT_FALSE(l.try_wait_until(std::chrono::system_clock::now() + 1ms));
    weft::go([&] { l.count_down(); });
    EXPECT_TRUE(l.try_wait_for(1h));
    EXPECT_TRUE(l.try_wait_for(-1h));
}

WEFT_TEST(latch_test, times_out)
{
    weft::latch l(1);
    times_out(l);
}

TEST_F(latch_test, times_out_on_a_plain_thread)
{
    weft::latch l(1);
    times_out(l);
}

// The last count_down() meets the deadline of the last waiter, who then destroys the latch.
WEFT_TEST(latch_test, deadlines_race_with_the_last_count_down)
{
    const procs four(4);
    for (std::size_t i = 0; i < scaled(5'000); ++i) {
        auto l = std::make_unique<weft::latch>(1);
        auto last = weft::async([raw = l.get()] { raw->count_down(); });
        if (!l->try_wait_for(std::chrono::microseconds(i % 30)))
            last.wait();
        l.reset();
    }
}

}  // namespace
