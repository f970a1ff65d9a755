#include "sys/poll.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <vector>

#include "sys/clock.hpp"
#include "sys/io.hpp"
#include "sys/socket.hpp"

namespace {

using namespace weft::sys;

class poll_test : public testing::Test {
protected:
    poll_test()
    {
        EXPECT_EQ(open_socket_pair(AF_UNIX, SOCK_STREAM, ends_), 0);
        EXPECT_GE(poller_, 0);
    }
    ~poll_test() override
    {
        ::close(poller_);
        for (const int end : ends_)
            ::close(end);
    }
    /// What is there now, up to `Most`.
    template <std::size_t Most = 8>
    std::vector<poll_report> now()
    {
        std::array<poll_report, Most> found;
        const int n = poller_wait(poller_, 0, found);
        EXPECT_GE(n, 0);
        return {found.begin(), found.begin() + std::max(n, 0)};
    }

    int poller_ = poller_open();
    int ends_[2]{};
};

TEST_F(poll_test, tells_what_was_asked_for_once)
{
    ASSERT_EQ(poller_add(poller_, ends_[0], poll_event::readable, 7), 0);
    EXPECT_TRUE(now().empty());
    ASSERT_EQ(send_some(ends_[1], "x", 1), 1);
    const auto first = now();
    ASSERT_EQ(first.size(), 1U);
    EXPECT_EQ(first[0].tag(), 7U);
    EXPECT_EQ(first[0].what(), poll_event::readable);
    EXPECT_TRUE(now().empty()) << "edge-triggered";

    constexpr std::uint8_t both = poll_event::readable | poll_event::writable;
    ASSERT_EQ(poller_change(poller_, ends_[0], both, 8), 0);
    const auto second = now();
    ASSERT_EQ(second.size(), 1U);
    EXPECT_EQ(second[0].tag(), 8U);
    EXPECT_EQ(second[0].what(), both);

    poller_remove(poller_, ends_[0]);
    ASSERT_EQ(send_some(ends_[1], "x", 1), 1);
    EXPECT_TRUE(now().empty());
}

TEST_F(poll_test, tells_that_the_other_side_has_closed)
{
    ASSERT_EQ(poller_add(poller_, ends_[0], poll_event::readable, 1), 0);
    ASSERT_EQ(shut_down(ends_[1], SHUT_WR), 0);
    const auto half = now();
    ASSERT_EQ(half.size(), 1U);
    EXPECT_EQ(half[0].what(), poll_event::readable | poll_event::hangup);
    ::close(ends_[1]);
    const auto whole = now();
    ASSERT_EQ(whole.size(), 1U);
    EXPECT_EQ(whole[0].what(), poll_event::readable | poll_event::writable | poll_event::hangup);
}

TEST_F(poll_test, what_does_not_fit_comes_next)
{
    ASSERT_EQ(poller_add_level(poller_, ends_[0], poll_event::writable, 1), 0);
    ASSERT_EQ(poller_add_level(poller_, ends_[1], poll_event::writable, 2), 0);
    const auto first = now<1>();
    const auto second = now<1>();
    ASSERT_EQ(first.size() + second.size(), 2U);
    EXPECT_EQ(first[0].tag() + second[0].tag(), 3U);
}

TEST_F(poll_test, waits_until_a_time)
{
    std::array<poll_report, 1> found;
    const std::int64_t until = monotonic_now() + 5'000'000;
    errno = 1'234;
    EXPECT_EQ(poller_wait(poller_, until, found), 0);
    EXPECT_GE(monotonic_now(), until);
    EXPECT_EQ(poller_wait(poller_, 1, found), 0) << "long ago";
    EXPECT_EQ(poller_wait(-1, 0, found), -EBADF);
    EXPECT_EQ(errno, 1'234);
    const int event = event_open();
    ASSERT_EQ(poller_add_level(poller_, event, poll_event::readable, 3), 0);
    event_signal(event);
    EXPECT_EQ(poller_wait(poller_, std::numeric_limits<std::int64_t>::max(), found), 1);
    EXPECT_EQ(found[0].tag(), 3U);
    event_take(event);
    EXPECT_TRUE(now().empty());
    ::close(event);
}

}  // namespace
