// Hibernation around processes: by itself after a while, in children of fork(), beside real faults and the program's
// own signal handlers, and where it is off.
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "../support/child.hpp"
#include "../support/scale.hpp"

namespace {

using weft::test::outcome;

outcome run(const char* scenario, const std::vector<std::string>& environment = {})
{
    return weft::test::run_child("child_hibernation", scenario, environment);
}

std::size_t count(const std::string& text, const std::string& what)
{
    std::size_t n = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
        ++n;
    return n;
}

/// Whether this machine hibernates; else the reason is printed with the skipped test.
#define SKIP_WHERE_OFF(o)   \
    if ((o).wrote("off: ")) \
    GTEST_SKIP() << (o).out

#define SKIP_UNDER_TSAN()       \
    if (weft::test::under_tsan) \
    GTEST_SKIP() << "TSan itself does not go on in the child of a process with threads"

// The sanitizers have handlers of their own and end the process their way.
void expect_killed(const outcome& o)
{
    if (weft::test::under_sanitizer) {
        EXPECT_TRUE(!o.timed_out && !o.exited(0)) << o;
    } else {
        EXPECT_TRUE(o.died_of(SIGSEGV)) << o;
    }
    EXPECT_FALSE(o.wrote("not reached")) << o;
}

TEST(hibernation_test, by_itself)
{
    for (const char* procs : {"WEFT_PROCS=1", "WEFT_PROCS=4"}) {
        const outcome o = run("by_itself", {procs});
        SKIP_WHERE_OFF(o);
        EXPECT_TRUE(o.exited(51)) << o;
        EXPECT_TRUE(o.wrote("hibernated: all\nintact: all\n")) << o;
        EXPECT_EQ(o.err, "");
    }
}

TEST(hibernation_test, though_nothing_runs)
{
    for (const char* procs : {"WEFT_PROCS=1", "WEFT_PROCS=4"}) {
        const outcome o = run("though_nothing_runs", {procs});
        SKIP_WHERE_OFF(o);
        EXPECT_TRUE(o.exited(58)) << o;
        EXPECT_TRUE(o.wrote("hibernated: all\nthe hibernator sleeps\nintact: all\n")) << o;
        EXPECT_EQ(o.err, "");
    }
}

TEST(hibernation_test, a_read_meets_the_first_that_is_taken_away)
{
    for (const char* procs : {"WEFT_PROCS=1", "WEFT_PROCS=4"}) {
        const outcome o = run("read_while_the_first_is_taken_away", {procs});
        SKIP_WHERE_OFF(o);
        EXPECT_TRUE(o.exited(59)) << o;
        EXPECT_TRUE(o.wrote("read 8: Success\nintact: all\n")) << o;
    }
}

TEST(hibernation_test, by_other_ways)
{
    for (const char* debug : {"WEFT_DEBUG=nouserfault", "WEFT_DEBUG=nomemoryfile", "WEFT_DEBUG=nocoldspans",
                              "WEFT_DEBUG=nouserfault,nocoldspans"}) {
        const outcome o = run("by_itself", {"WEFT_PROCS=2", debug});
        SKIP_WHERE_OFF(o);
        EXPECT_TRUE(o.exited(51)) << debug << o;
        EXPECT_TRUE(o.wrote("hibernated: all\nintact: all\n")) << debug << o;
    }
}

TEST(hibernation_test, comes_back_when_there_is_memory_again)
{
    const outcome o = run("memory_is_short_for_a_moment", {"WEFT_PROCS=2"});
    SKIP_WHERE_OFF(o);
    EXPECT_TRUE(o.exited(56)) << o;
    EXPECT_TRUE(o.wrote("hibernated: all\nintact: all\n")) << o;
    EXPECT_EQ(o.err, "");
}

TEST(hibernation_test, says_what_is_missing_when_no_memory_comes)
{
    const outcome o = run("memory_is_short_for_good", {"WEFT_PROCS=2"});
    SKIP_WHERE_OFF(o);
    EXPECT_TRUE(o.died_of(SIGABRT)) << o;
    EXPECT_TRUE(o.reported("for 10 s: Cannot allocate memory")) << o;
    EXPECT_TRUE(o.reported("memory.max") && o.reported("options::hibernate_after = 0")) << o;
    EXPECT_FALSE(o.wrote("intact")) << o;
}

TEST(hibernation_test, at_once_for_tests)
{
    const outcome o = run("eagerly", {"WEFT_PROCS=2", "WEFT_DEBUG=hibernate"});
    SKIP_WHERE_OFF(o);
    EXPECT_TRUE(o.exited(51)) << o;
    EXPECT_TRUE(o.wrote("hibernated: all\nintact: all\n")) << o;
}

TEST(hibernation_test, where_something_is_missing_it_is_off_and_says_why)
{
    struct row {
        const char* debug;
        const char* why;
    };
    for (const row& r :
         {row{"WEFT_DEBUG=noguardmarker", "guard markers"}, row{"WEFT_DEBUG=nouserfault,nomemoryfile", "userfaultfd"},
          row{"WEFT_DEBUG=nomembarrier", "membarrier"}}) {
        const outcome o = run("by_itself", {"WEFT_PROCS=2", r.debug});
        EXPECT_TRUE(o.exited(51)) << o;
        EXPECT_TRUE(o.wrote("off: ")) << o;
        EXPECT_TRUE(o.wrote("intact: all")) << o;
        EXPECT_FALSE(o.wrote("hibernated")) << o;
        if (run("by_itself").wrote("hibernated")) {
            EXPECT_TRUE(o.wrote(r.why)) << o;
        }
    }
}

TEST(hibernation_test, never_where_the_program_says_so)
{
    const outcome o = run("never");
    EXPECT_TRUE(o.exited(52)) << o;
    EXPECT_TRUE(o.wrote("0 at once\noff: ")) << o;
    EXPECT_TRUE(o.wrote("options::hibernate_after")) << o;
    EXPECT_TRUE(o.wrote("intact: all")) << o;
}

TEST(hibernation_test, an_interval_out_of_range_is_refused)
{
    const outcome o = run("out_of_range");
    EXPECT_TRUE(o.exited(53)) << o;
    EXPECT_EQ(count(o.out, "weft::options::hibernate_after is "), 2U) << o;
}

TEST(hibernation_test, a_deadlock_report_shows_their_stacks)
{
    if (weft::test::emulated())
        GTEST_SKIP() << "threads of the emulator";
    for (const char* debug : {"WEFT_DEBUG=", "WEFT_DEBUG=nouserfault"}) {
        const outcome o = run("deadlock", {"WEFT_PROCS=2", debug});
        SKIP_WHERE_OFF(o);
        EXPECT_TRUE(o.exited(2)) << o;
        EXPECT_TRUE(o.wrote("hibernated: all")) << o;
        EXPECT_TRUE(o.reported("all goroutines are asleep - deadlock!")) << o;
        EXPECT_EQ(count(o.err, "[sleeper]: waiting: wait_group"), 100U) << o;
        EXPECT_GE(count(o.err, "    #"), 3 * 100U) << o;
    }
}

TEST(hibernation_test, children_of_fork_find_them)
{
    SKIP_UNDER_TSAN();
    for (const char* debug : {"WEFT_DEBUG=", "WEFT_DEBUG=nouserfault", "WEFT_DEBUG=nocoldspans"}) {
        const outcome o = run("forks", {"WEFT_PROCS=2", debug});
        SKIP_WHERE_OFF(o);
        EXPECT_TRUE(o.exited(54)) << o;
        EXPECT_EQ(count(o.out, "children: 0 5"), 5U) << o;
        EXPECT_TRUE(o.wrote("intact: all")) << "what the child writes is its own\n" << o;
    }
}

TEST(hibernation_test, a_fork_meets_no_stack_half_way)
{
    SKIP_UNDER_TSAN();
    for (const char* debug : {"WEFT_DEBUG=", "WEFT_DEBUG=nouserfault"}) {
        const outcome o = run("forks_in_between", {"WEFT_PROCS=2", debug});
        SKIP_WHERE_OFF(o);
        EXPECT_TRUE(o.exited(55)) << o;
        EXPECT_TRUE(o.wrote("good children: 50\nintact: all")) << o;
    }
}

TEST(hibernation_test, a_wild_pointer_beside_them_is_one)
{
    for (const char* scenario : {"wild_pointer_beside_few", "wild_pointer_beside_many", "jump_into_a_stack"}) {
        const outcome o = run(scenario, {"WEFT_PROCS=2"});
        expect_killed(o);
        EXPECT_FALSE(o.reported("stack overflow")) << o;
    }
}

TEST(hibernation_test, the_programs_own_handler_gets_real_faults_only)
{
    const outcome o = run("user_handler_before", {"WEFT_PROCS=2"});
    EXPECT_TRUE(o.exited(56)) << o;
    EXPECT_TRUE(o.wrote("sum: 4950\nintact: all\nuser handler: address 16\n")) << o;
}

TEST(hibernation_test, the_programs_signal_handlers_may_touch_them)
{
    if (weft::test::under_tsan)
        GTEST_SKIP() << "TSan calls handlers with all signals blocked: a fault there kills";
    for (const char* scenario : {"handler_on_the_stack", "handler_on_the_alternate_stack"}) {
        const outcome o = run(scenario, {"WEFT_PROCS=2"});
        EXPECT_TRUE(o.exited(57)) << o;
        EXPECT_TRUE(o.wrote("handler: 24500, intact: 2000\nintact: all\n")) << o;
    }
}

}  // namespace
