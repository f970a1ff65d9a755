// weft::ticker: ticks again and again, drops what nobody receives, and forgets when it is stopped or reset.
#include <chrono>
#include <optional>
#include <stdexcept>
#include <utility>

#include "fixture.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;
using ticker_test = weft::test::fixture;
using weft::test::procs;
using weft::test::scaled;

weft::clock::time_point now()
{
    return weft::clock::now();
}

void tick(std::size_t ticks)
{
    const auto begin = now();
    weft::ticker t(1ms);
    for (std::size_t i = 1; i <= ticks; ++i) {
        const auto at = t.channel().recv();
        ASSERT_TRUE(at.has_value());
        // Each is due at a multiple of the period after the start, but for what its goroutine needs to run.
        EXPECT_GE(*at - begin, std::chrono::milliseconds(i));
    }
}

WEFT_TEST(ticker_test, ticks)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        tick(scaled(10));
    }
}

TEST_F(ticker_test, ticks_on_a_plain_thread)
{
    tick(scaled(10));
}

WEFT_TEST(ticker_test, a_period_must_be_positive)
{
    EXPECT_THROW(weft::ticker(0s), std::invalid_argument);
    EXPECT_THROW(weft::ticker(-1ns), std::invalid_argument);
    weft::ticker t(1h);
    EXPECT_THROW(t.reset(0s), std::invalid_argument);
    EXPECT_THROW(t.reset(-1h), std::invalid_argument);
    EXPECT_EQ(weft::stats().timers, 1U) << "and it goes on as before";
}

WEFT_TEST(ticker_test, periods_are_rounded_up_to_a_nanosecond)
{
    weft::ticker t(std::chrono::duration<double, std::nano>(0.25));
    EXPECT_TRUE(t.channel().recv().has_value());
}

WEFT_TEST(ticker_test, a_slow_receiver_misses_ticks)
{
    weft::ticker t(200us);
    weft::sleep_for(10ms);
    EXPECT_EQ(t.channel().size(), 0U);
    const auto first = t.channel().recv();
    const auto second = t.channel().recv();
    const auto third = t.channel().recv();
    EXPECT_LT(*first, *second);
    EXPECT_LT(*second, *third);
    // One was kept, the ones since were dropped: the next is due after we began to wait.
    EXPECT_GE(*third - *first, 200us);
}

WEFT_TEST(ticker_test, nothing_comes_after_stop)
{
    for (std::size_t i = 0; i < scaled(100); ++i) {
        weft::ticker t(std::chrono::microseconds(1 + i % 20));
        if (i % 2 == 0)
            weft::sleep_for(std::chrono::microseconds(i));
        t.stop();
        weft::clock::time_point at;
        EXPECT_EQ(t.channel().try_recv(at), weft::chan_status::empty);
        EXPECT_EQ(weft::stats().timers, 0U);
        t.stop();
    }
}

WEFT_TEST(ticker_test, reset_changes_the_period)
{
    weft::ticker t(1h);
    const auto begin = now();
    t.reset(1ms);
    for (int i = 1; i <= 3; ++i)
        EXPECT_GE(*t.channel().recv() - begin, std::chrono::milliseconds(i));
    t.stop();
    t.reset(1us);
    EXPECT_TRUE(t.channel().recv().has_value()) << "after stop() too";
    t.reset(1h);
    weft::clock::time_point at;
    EXPECT_EQ(t.channel().recv_for(at, 1ms), weft::chan_status::timeout) << "a tick of before the reset";
}

WEFT_TEST(ticker_test, a_range_for_receives_ticks)
{
    weft::ticker t(10us);
    int ticks = 0;
    for ([[maybe_unused]] const auto at : t.channel())
        if (++ticks == 5)
            break;
    EXPECT_EQ(ticks, 5);
}

WEFT_TEST(ticker_test, its_end_stops_it)
{
    std::optional<weft::ticker> t(std::in_place, 1us);
    const auto c = t->channel();
    (void)c.recv();
    weft::ticker other(1h);
    other = std::move(*t);
    t.reset();
    EXPECT_TRUE(c.recv().has_value()) << "it was moved";
    other = weft::ticker(1h);
    weft::clock::time_point at;
    EXPECT_EQ(c.recv_for(at, 1ms), weft::chan_status::timeout);
}

WEFT_TEST(ticker_test, many_at_the_same_time)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        weft::wait_group all;
        for (int g = 0; g < 100; ++g) {
            all.go(
                [g]
                {
                    weft::ticker t(std::chrono::microseconds(20 + g));
                    for (std::size_t i = 0; i < scaled(20); ++i) {
                        EXPECT_TRUE(t.channel().recv().has_value());
                        if (i % 8 == 7)
                            t.reset(std::chrono::microseconds(10 + g));
                    }
                });
        }
        all.wait();
    }
}

}  // namespace
