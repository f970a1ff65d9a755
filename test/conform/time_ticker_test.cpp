// What Go's time tests check of tickers, and of the channels of both. docs/conformance/time.md has the table.
#include <atomic>
#include <chrono>
#include <stdexcept>

#include "../unit/fixture.hpp"
#include "weft/select.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;
using conform_ticker = weft::test::fixture;
using weft::chan_status;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;

// TestTicker: so many ticks take so many periods; stopped, it is silent; reset, it has another period.
WEFT_TEST(conform_ticker, ticks_come_by_the_period)
{
    const auto begin = weft::clock::now();
    weft::ticker t(500us);
    for (int i = 0; i < 5; ++i)
        (void)t.channel().recv();
    t.reset(1ms);
    for (int i = 0; i < 5; ++i)
        (void)t.channel().recv();
    t.stop();
    EXPECT_GE(weft::clock::now() - begin, 5 * 500us + 5 * 1ms);
    weft::sleep_for(2ms);
    weft::clock::time_point at;
    EXPECT_EQ(t.channel().try_recv(at), chan_status::empty);
}

// TestTeardown, TestTick: made and stopped again and again.
WEFT_TEST(conform_ticker, made_and_stopped)
{
    for (std::size_t i = 0; i < scaled(100); ++i) {
        weft::ticker t(10us);
        (void)t.channel().recv();
        t.stop();
    }
}

// TestNewTickerLtZeroDuration, TestTickerResetLtZeroDuration
WEFT_TEST(conform_ticker, periods_are_positive)
{
    EXPECT_THROW(weft::ticker(-1ns), std::invalid_argument);
    weft::ticker t(1h);
    EXPECT_THROW(t.reset(0ns), std::invalid_argument);
}

// TestLongAdjustTimers: a period as long as can be, and then a short one.
WEFT_TEST(conform_ticker, from_long_to_short)
{
    weft::ticker t(std::chrono::hours(24 * 365 * 200));
    t.reset(1us);
    EXPECT_TRUE(t.channel().recv().has_value());
}

// TestTickTimes, TestAfterTimes: the time that is sent is that of the tick, not of its receipt.
WEFT_TEST(conform_ticker, the_time_sent_is_that_of_the_tick)
{
    // Often enough: a machine that stands still for longer than we sleep lets the tick come late too.
    bool ticker_did = false;
    bool after_did = false;
    EXPECT_TRUE(eventually(
        [&]
        {
            const weft::ticker t(200us);
            const auto c = weft::after(200us);
            weft::sleep_for(5ms);
            const auto received = weft::clock::now();
            ticker_did = ticker_did || *t.channel().recv() < received;
            after_did = after_did || *c.recv() < received;
            return ticker_did && after_did;
        }))
        << "ticker " << ticker_did << ", after " << after_did;
}

// TestChan: channels of timers and tickers look unbuffered, and hold nothing of before a stop or a reset.
template <class Timer>
void channel_of(Timer& t, bool is_ticker)
{
    const auto c = t.channel();
    const auto tick = [&]
    {
        weft::clock::time_point at;
        return c.try_recv(at) == chan_status::success;
    };
    const auto fired = [&] { return eventually(tick); };

    t.stop();
    EXPECT_FALSE(tick());
    t.reset(10'000s);
    EXPECT_FALSE(tick());
    t.reset(1ns);
    weft::sleep_for(500us);
    EXPECT_EQ(c.size(), 0U);
    EXPECT_EQ(c.capacity(), 0U);
    EXPECT_TRUE(fired());
    weft::sleep_for(500us);
    t.reset(10'000s);
    EXPECT_FALSE(tick()) << "a tick of before";

    // One waits while it is reset, far away and then near.
    std::atomic<int> received{0};
    weft::wait_group waiters;
    waiters.go(
        [&]
        {
            (void)c.recv();
            ++received;
        });
    EXPECT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 1; }));
    t.reset(20'000s);
    weft::sleep_for(500us);
    EXPECT_EQ(received, 0);
    t.reset(1ns);
    waiters.wait();
    if (is_ticker) {
        EXPECT_TRUE(fired()) << "the next one comes at once";
    } else {
        weft::sleep_for(200us);
        EXPECT_FALSE(tick()) << "once";
    }
    t.stop();
    EXPECT_FALSE(tick());

    // Two wait in a select; one of them gets it.
    t.reset(10'000s);
    const weft::chan<int> stop;
    received = 0;
    for (int i = 0; i < 2; ++i)
        waiters.go([&] { (void)weft::select(weft::on_recv(c, [&] { ++received; }), weft::on_recv(stop)); });
    weft::sleep_for(200us);
    EXPECT_EQ(received, 0);
    t.reset(100us);
    EXPECT_TRUE(eventually([&] { return received > 0; }));
    t.stop();
    stop.close();
    waiters.wait();
    EXPECT_LE(received, is_ticker ? 2 : 1);
    EXPECT_FALSE(tick());

    // A stop and a reset keep what was sent from being received, and say so (go.dev/issue/37196).
    if constexpr (requires { static_cast<bool>(t.stop()); }) {
        t.reset(1ns);
        weft::sleep_for(500us);
        EXPECT_TRUE(t.stop());
        EXPECT_FALSE(tick());
        t.reset(1h);
        EXPECT_FALSE(tick());
        EXPECT_TRUE(t.reset(1ns));
        EXPECT_TRUE(fired());
        EXPECT_FALSE(t.reset(1h)) << "it had fired, and was received";
        EXPECT_FALSE(tick());
    }
    t.stop();
}

WEFT_TEST(conform_ticker, the_channel_of_a_timer)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        weft::timer t(10'000s);
        channel_of(t, false);
    }
}

WEFT_TEST(conform_ticker, the_channel_of_a_ticker)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        weft::ticker t(10'000s);
        channel_of(t, true);
    }
}

}  // namespace
