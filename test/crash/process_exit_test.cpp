// The end of the process: goroutines stop before static destructors run, and starting one then is an error.
#include <gtest/gtest.h>

#include <string>

#include "../support/child.hpp"

namespace {

using weft::test::outcome;
using weft::test::run_child;

void expect_orderly(const outcome& o, int code)
{
    EXPECT_TRUE(o.exited(code)) << o;
    EXPECT_TRUE(o.wrote("static destructor")) << o;
    EXPECT_FALSE(o.wrote("still running")) << o;
    EXPECT_FALSE(o.wrote("a destroyed static was seen")) << o;
    EXPECT_EQ(o.err, "") << o;
}

void expect_quiet(const char* scenario, int code)
{
    for (const char* procs : {"WEFT_PROCS=1", "WEFT_PROCS=2", "WEFT_PROCS=8"}) {
        const outcome o = run_child("child_exit", scenario, {procs});
        SCOPED_TRACE(std::string(scenario) + ", " + procs);
        expect_orderly(o, code);
        EXPECT_TRUE(o.wrote("quiet")) << o;
    }
}

void expect_refused(const char* scenario, const std::string& what)
{
    const outcome o = run_child("child_exit", scenario);
    SCOPED_TRACE(scenario);
    expect_orderly(o, 0);
    EXPECT_TRUE(o.wrote(what + ": runtime_error: ")) << o;
    EXPECT_TRUE(o.wrote("exit")) << "should say that exit has begun\n" << o;
    EXPECT_FALSE(o.wrote("ran after exit")) << o;
}

TEST(process_exit_test, while_thousands_of_goroutines_run)
{
    expect_quiet("main_returns", 5);
    expect_quiet("main_returns_at_once", 6);
    expect_quiet("goroutines_outlive_run", 0);
    expect_quiet("goroutines_without_run", 12);
}

TEST(process_exit_test, by_exit_from_anywhere)
{
    expect_quiet("exit_in_goroutine", 7);
    expect_quiet("exit_in_main_goroutine", 8);
    expect_quiet("exit_in_pinned_goroutine", 9);
    expect_quiet("exit_in_plain_thread", 10);
    expect_quiet("exit_in_several_threads", 11);
}

TEST(process_exit_test, again_and_again)
{
    for (int i = 0; i < 10; ++i) {
        expect_quiet("main_returns", 5);
        expect_quiet("exit_in_goroutine", 7);
    }
}

TEST(process_exit_test, with_goroutines_that_keep_their_threads)
{
    expect_quiet("with_pinned_goroutines", 13);
    expect_quiet("with_blocked_goroutines", 15);
    const outcome busy = run_child("child_exit", "with_busy_goroutines");
    EXPECT_TRUE(busy.exited(14)) << busy;
}

TEST(process_exit_test, with_endless_sleepers)
{
    const outcome o = run_child("child_exit", "with_endless_sleepers");
    expect_orderly(o, 16);
    EXPECT_TRUE(o.wrote("waiting 300")) << o;
}

TEST(process_exit_test, with_plain_threads_that_wait)
{
    expect_orderly(run_child("child_exit", "with_a_plain_thread_waiting"), 17);
}

TEST(process_exit_test, with_statics_made_after_the_start)
{
    const outcome o = run_child("child_exit", "with_a_static_made_later");
    expect_orderly(o, 0);
    EXPECT_TRUE(o.wrote("late static: quiet")) << o;
}

TEST(process_exit_test, with_a_static_jthread_does_not_hang)
{
    const outcome o = run_child("child_exit", "with_a_static_jthread");
    EXPECT_FALSE(o.timed_out) << o;
}

TEST(process_exit_test, with_a_static_group_does_not_hang)
{
    const outcome o = run_child("child_exit", "with_a_static_group");
    EXPECT_TRUE(o.exited(21)) << o;
    EXPECT_EQ(o.err, "") << o;
}

TEST(process_exit_test, with_a_lock_that_all_want)
{
    for (int i = 0; i < 10; ++i) {
        for (const char* scenario : {"with_a_lock_that_all_want", "with_a_lock_that_all_want_in_a_bubble"}) {
            const outcome o = run_child("child_exit", scenario);
            SCOPED_TRACE(scenario);
            expect_orderly(o, 20);
            EXPECT_TRUE(o.wrote("tried the lock")) << o;
        }
    }
}

TEST(process_exit_test, nothing_starts_any_more)
{
    expect_refused("go_in_static_destructor", "go");
    expect_refused("run_in_static_destructor", "run");
    expect_refused("async_in_static_destructor", "async");
    expect_refused("jthread_in_static_destructor", "jthread");
    expect_refused("in_atexit_handler_before_start", "go");
}

// Without a runtime, nobody has told weft yet that exit began: starting, or the error, but neither hang nor crash.
TEST(process_exit_test, a_first_start_in_a_static_destructor)
{
    const outcome o = run_child("child_exit", "first_go_in_static_destructor");
    EXPECT_TRUE(o.exited(0)) << o;
    EXPECT_TRUE(o.wrote("go: ")) << o;
}

// Between the begin of exit() and the runtime's own handler, either answer is right.
TEST(process_exit_test, a_start_in_an_early_atexit_handler)
{
    const outcome o = run_child("child_exit", "in_atexit_handler");
    expect_orderly(o, 0);
    EXPECT_TRUE(o.wrote("go in an atexit handler: ")) << o;
}

TEST(process_exit_test, without_static_destructors)
{
    const outcome o = run_child("child_exit", "quick_exit");
    EXPECT_TRUE(o.exited(18)) << o;
}

TEST(process_exit_test, without_a_runtime)
{
    expect_orderly(run_child("child_exit", "exit_without_runtime"), 19);
}

}  // namespace
