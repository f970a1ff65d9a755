// fork: with exec it works from anywhere; a bare fork's child that uses weft gets a clear error.
#include <gtest/gtest.h>

#include "../support/child.hpp"
#include "../support/scale.hpp"

namespace {

using weft::test::outcome;
using weft::test::run_child;

TEST(fork_test, with_exec_works_in_a_goroutine)
{
    const outcome o = run_child("child_fork", "fork_and_exec");
    EXPECT_TRUE(o.exited(0) && o.wrote("all ran")) << o;
}

TEST(fork_test, what_is_made_of_fork_and_exec_works)
{
    const outcome o = run_child("child_fork", "spawn_and_system");
    EXPECT_TRUE(o.exited(0) && o.wrote("all ran")) << o;
}

TEST(fork_test, the_child_of_a_bare_fork_gets_an_error)
{
    if (weft::test::under_tsan)
        GTEST_SKIP() << "TSan itself does not go on in the child of a process with threads";
    for (const char* scenario :
         {"go_in_child", "run_in_child", "async_in_child", "go_in_goroutines_child", "yield_in_goroutines_child",
          "sleep_in_goroutines_child", "wait_in_goroutines_child"}) {
        const outcome o = run_child("child_fork", scenario);
        SCOPED_TRACE(scenario);
        EXPECT_TRUE(o.exited(0)) << o;
        EXPECT_TRUE(o.reported("after fork") || o.wrote("after fork")) << o;
        EXPECT_FALSE(o.wrote("ran in the child") || o.wrote("nothing happened")) << o;
        EXPECT_FALSE(o.wrote("child's status: 1014")) << "the child hung\n" << o;
        EXPECT_TRUE(o.wrote("parent: 8")) << "the parent must go on\n" << o;
    }
}

TEST(fork_test, the_child_may_exit)
{
    if (weft::test::under_tsan)
        GTEST_SKIP() << "TSan itself does not go on in the child of a process with threads";
    for (const char* scenario : {"exit_in_child", "exit_in_goroutines_child"}) {
        // To LSan what belonged to the threads that the child has not is leaked.
        const outcome o = run_child("child_fork", scenario, {"LSAN_OPTIONS=detect_leaks=0"});
        EXPECT_TRUE(o.exited(0) && o.wrote("child's status: 23")) << scenario << "\n" << o;
    }
}

TEST(fork_test, before_the_start_it_does_no_harm)
{
    const outcome o = run_child("child_fork", "fork_before_start");
    EXPECT_TRUE(o.exited(0)) << o;
    EXPECT_TRUE(o.wrote("child's status: 24")) << o;
    EXPECT_TRUE(o.wrote("parent: 8")) << o;
}

}  // namespace
