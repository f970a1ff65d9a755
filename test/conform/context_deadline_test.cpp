// What Go's context tests check of deadlines. docs/conformance/context.md has the table.
#include <chrono>

#include "../unit/fixture.hpp"
#include "weft/context.hpp"

namespace {

using namespace std::chrono_literals;
using conform_context_deadline = weft::test::fixture;
using weft::context;
using weft::context_errc;

void expect_timeout(const context& c)
{
    EXPECT_FALSE(c.done().recv().has_value());
    EXPECT_EQ(c.err(), context_errc::deadline_exceeded);
    EXPECT_TRUE(c.err() == std::errc::timed_out) << "TestDeadlineExceededSupportsTimeout";
}

// TestDeadline
WEFT_TEST(conform_context_deadline, with_deadline)
{
    const auto soon = [] { return weft::clock::now() + 1ms; };
    expect_timeout(weft::with_deadline(weft::background(), soon()));
    {
        const weft::cancel_context c = weft::with_deadline(weft::background(), soon());
        expect_timeout(weft::with_value<int>(c, 1));
    }
    {
        const weft::cancel_context c = weft::with_deadline(weft::background(), soon());
        const context o = weft::with_value<int>(c, 1);
        expect_timeout(weft::with_deadline(o, weft::clock::now() + 10h));
    }
    expect_timeout(weft::with_deadline(weft::background(), weft::clock::now() - 1ms));
    expect_timeout(weft::with_deadline(weft::background(), weft::clock::now()));
}

// TestTimeout
WEFT_TEST(conform_context_deadline, with_timeout)
{
    expect_timeout(weft::with_timeout(weft::background(), 1ms));
    const weft::cancel_context c = weft::with_timeout(weft::background(), 1ms);
    const context o = weft::with_value<int>(c, 1);
    const weft::cancel_context longer = weft::with_timeout(o, 10h);
    ASSERT_TRUE(longer.deadline().has_value());
    EXPECT_EQ(longer.deadline(), c.deadline()) << "what is asked of Deadline()";
    expect_timeout(longer);
}

// TestCanceledTimeout: canceled before its time, it says so.
WEFT_TEST(conform_context_deadline, canceled_before_its_time)
{
    weft::cancel_context c = weft::with_timeout(weft::background(), 1s);
    const context o = weft::with_value<int>(c, 1);
    weft::cancel_context below = weft::with_timeout(o, 2s);
    below.cancel();
    EXPECT_FALSE(below.done().recv().has_value());
    EXPECT_EQ(below.err(), context_errc::canceled);
    EXPECT_FALSE(c.err());
}

}  // namespace
