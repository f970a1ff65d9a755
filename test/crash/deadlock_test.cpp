// Everybody asleep inside run(): a report and exit status 2; and no report where somebody may still be woken.
#include <gtest/gtest.h>

#include <string>

#include "../support/child.hpp"

namespace {

using weft::test::outcome;
using weft::test::run_child;

constexpr const char* headline = "fatal error: all goroutines are asleep - deadlock!";

std::size_t count(const std::string& text, const std::string& what)
{
    std::size_t n = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
        ++n;
    return n;
}

template <class Check>
void expect_deadlock(const char* scenario, Check&& check)
{
    if (weft::test::emulated())
        GTEST_SKIP() << "threads of the emulator";
    for (const char* procs : {"WEFT_PROCS=1", "WEFT_PROCS=2", "WEFT_PROCS=8"}) {
        const outcome o = run_child("child_deadlock", scenario, {procs});
        SCOPED_TRACE(std::string(scenario) + ", " + procs);
        EXPECT_TRUE(o.exited(2)) << o;
        EXPECT_EQ(count(o.err, headline), 1U) << o;
        EXPECT_TRUE(o.reported("started at")) << o;
        EXPECT_TRUE(o.reported("stack:")) << o;
        EXPECT_TRUE(o.reported("#00 ")) << o;
        EXPECT_FALSE(o.wrote("a static destructor ran")) << o;
        check(o);
    }
}

void expect_none(const char* scenario, int code)
{
    for (const char* procs : {"WEFT_PROCS=1", "WEFT_PROCS=2", "WEFT_PROCS=8"}) {
        const outcome o = run_child("child_deadlock", scenario, {procs});
        SCOPED_TRACE(std::string(scenario) + ", " + procs);
        EXPECT_TRUE(o.exited(code)) << o;
        EXPECT_EQ(o.err, "") << o;
    }
}

TEST(deadlock_test, main_waits_for_ever)
{
    expect_deadlock("main_waits",
                    [](const outcome& o)
                    {
                        const std::size_t at = o.out.find("id=") + 3;
                        const std::string id = o.out.substr(at, o.out.find('\n', at) - at);
                        EXPECT_TRUE(o.reported("goroutine " + id + " [main]: waiting: wait_group")) << o;
                        EXPECT_TRUE(o.wrote("text in stdout's buffer")) << o;
                        EXPECT_EQ(count(o.err, "waiting: "), 1U) << o;
                    });
}

TEST(deadlock_test, a_mutex_locked_twice)
{
    expect_deadlock("locks_twice", [](const outcome& o) { EXPECT_TRUE(o.reported("[main]: waiting: mutex")) << o; });
}

TEST(deadlock_test, two_in_a_cycle)
{
    expect_deadlock("cycle",
                    [](const outcome& o)
                    {
                        EXPECT_TRUE(o.reported("[left]: waiting: mutex")) << o;
                        EXPECT_TRUE(o.reported("[right]: waiting: mutex")) << o;
                        EXPECT_EQ(count(o.err, "waiting: mutex"), 3U) << o;
                    });
}

TEST(deadlock_test, a_select_that_can_never_go_on)
{
    expect_deadlock("selects_nothing", [](const outcome& o)
                    { EXPECT_TRUE(o.reported("[main]: waiting: nil channel or empty select, for ever")) << o; });
    expect_deadlock("selects_nil_channels",
                    [](const outcome& o) { EXPECT_TRUE(o.reported("[main]: waiting: select")) << o; });
    expect_deadlock("selector_without_cases",
                    [](const outcome& o)
                    {
                        EXPECT_TRUE(o.reported("[main]: waiting: select")) << o;
                        EXPECT_TRUE(o.reported("[other]: waiting: select")) << o;
                    });
}

TEST(deadlock_test, nil_channels)
{
    expect_deadlock("uses_nil_channels",
                    [](const outcome& o)
                    {
                        EXPECT_TRUE(o.reported("[main]: waiting: nil channel or empty select, for ever")) << o;
                        EXPECT_TRUE(o.reported("[sender]: waiting: nil channel or empty select, for ever")) << o;
                    });
}

TEST(deadlock_test, goroutines_that_keep_their_threads)
{
    expect_deadlock("pinned_one",
                    [](const outcome& o)
                    {
                        EXPECT_TRUE(o.reported("[pinned]: waiting: wait_group")) << o;
                        EXPECT_TRUE(o.reported("[main]: waiting: wait_group")) << o;
                    });
}

TEST(deadlock_test, after_timers_and_steals)
{
    expect_deadlock("after_much_work", [](const outcome& o) { EXPECT_EQ(count(o.err, "waiting: "), 1U) << o; });
}

TEST(deadlock_test, every_goroutine_is_named)
{
    expect_deadlock("many", [](const outcome& o) { EXPECT_EQ(count(o.err, "waiting: wait_group"), 501U); });
}

TEST(deadlock_test, when_the_last_plain_thread_has_ended)
{
    expect_deadlock("helper_gives_up", [](const outcome&) {});
}

TEST(deadlock_test, a_plain_thread_that_waits_in_weft_is_no_help)
{
    expect_deadlock("helper_waits_too", [](const outcome&) {});
}

TEST(deadlock_test, in_a_later_run)
{
    expect_deadlock("second_run", [](const outcome&) {});
}

TEST(deadlock_test, not_while_a_plain_thread_may_wake_somebody)
{
    expect_none("thread_wakes_later", 31);
    expect_none("threads_come_and_go", 39);
}

TEST(deadlock_test, not_while_a_timer_is_armed)
{
    expect_none("sleeper", 32);
    expect_none("far_timer", 33);
    expect_none("only_a_timer", 34);
}

TEST(deadlock_test, not_while_a_goroutine_blocks_or_computes)
{
    expect_none("blocked_in_read", 35);
    expect_none("computes_long", 36);
}

TEST(deadlock_test, not_outside_of_run)
{
    expect_none("outside_of_run", 37);
}

TEST(deadlock_test, not_when_switched_off)
{
    for (const char* procs : {"WEFT_PROCS=1", "WEFT_PROCS=2", "WEFT_PROCS=8"}) {
        const outcome o = run_child("child_deadlock", "switched_off", {procs});
        EXPECT_TRUE(o.died_of(SIGALRM)) << o;
        EXPECT_EQ(o.err, "") << o;
    }
}

TEST(deadlock_test, not_while_the_program_handles_a_signal)
{
    expect_none("waits_for_a_signal", 38);
    expect_none("stops_on_sigterm", 40);
}

}  // namespace
