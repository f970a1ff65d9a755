// What is seen of a program from outside: dumps on SIGQUIT, and the words of WEFT_DEBUG.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "../support/child.hpp"
#include "../support/scale.hpp"

namespace {

using weft::test::outcome;

outcome run(const char* scenario, const std::vector<std::string>& environment)
{
    return weft::test::run_child("child_debug", scenario, environment);
}

std::size_t count(const std::string& text, std::string_view what)
{
    std::size_t n = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
        ++n;
    return n;
}

TEST(debug_test, sigquit_dumps_and_the_program_goes_on)
{
    for (const char* procs : {"WEFT_PROCS=1", "WEFT_PROCS=4"}) {
        const outcome o = run("waits_and_sends_itself_sigquit", {procs, "WEFT_DEBUG=sigquit"});
        EXPECT_TRUE(o.exited(41)) << o;
        EXPECT_TRUE(o.wrote("goes on")) << o;
        EXPECT_EQ(count(o.err, "weft: 12 goroutines: "), 2U) << o;
        EXPECT_EQ(count(o.err, "10 goroutines: waiting: wait_group, for "), 2U) << o;
        EXPECT_EQ(count(o.err, "[different]: waiting: sleep, for "), 2U) << o;
    }
}

TEST(debug_test, sigquit_by_an_option)
{
    const outcome o = run("by_option", {"WEFT_PROCS=2"});
    EXPECT_TRUE(o.exited(42)) << o;
    EXPECT_TRUE(o.reported("[main]")) << o;
}

TEST(debug_test, sigquit_ends_what_has_not_asked_for_it)
{
    EXPECT_TRUE(run("not_asked_for", {"WEFT_PROCS=2"}).died_of(SIGQUIT));
}

TEST(debug_test, sigquit_ends_a_child_of_fork)
{
    if (weft::test::under_tsan)
        GTEST_SKIP() << "does not like forks with threads";
    EXPECT_TRUE(run("in_a_child_of_fork", {"WEFT_PROCS=2"}).exited(44));
}

TEST(debug_test, what_is_not_known_is_said_once)
{
    const outcome o = run("nothing", {"WEFT_DEBUG=stal=5ms,,stall,schedtrace=x,sigquit=1"});
    EXPECT_TRUE(o.exited(40)) << o;
    EXPECT_EQ(count(o.err, "'stal=5ms', which is not known"), 1U) << o;
    EXPECT_EQ(count(o.err, "known are: hibernate, locks, migrate,"), 2U) << o;
    EXPECT_EQ(count(o.err, "'stall', which wants a time, as in stall=50ms"), 1U) << o;
    EXPECT_EQ(count(o.err, "'schedtrace=x', which wants a time"), 1U) << o;
    EXPECT_EQ(count(o.err, "'sigquit=1', which is not known"), 1U) << o;
    EXPECT_EQ(run("nothing", {"WEFT_DEBUG="}).err, "");
    EXPECT_EQ(run("nothing", {"WEFT_DEBUG=nomembarrier,noguardmarker"}).err, "");
}

TEST(debug_test, stalls_are_reported)
{
    const outcome o = run("stalls", {"WEFT_PROCS=2", "WEFT_DEBUG=stall=50ms"});
    EXPECT_TRUE(o.exited(45)) << o;
    EXPECT_TRUE(std::regex_search(o.err, std::regex("\\[busy\\] has kept its thread for [0-9]+ ms .* computes"))) << o;
    EXPECT_TRUE(o.reported("it is blocked in the kernel")) << o;
    EXPECT_TRUE(o.reported("[blocked] has kept its thread")) << o;
    EXPECT_TRUE(o.reported("    #00 ")) << o;
    EXPECT_LT(count(o.err, "weft: stall: "), 20U) << o;
}

TEST(debug_test, no_stall_where_others_may_run)
{
    const outcome o = run("stalls_not", {"WEFT_PROCS=2", "WEFT_DEBUG=stall=5s"});
    EXPECT_TRUE(o.exited(46)) << o;
    EXPECT_EQ(o.err, "");
}

TEST(debug_test, the_schedulers_lines)
{
    const outcome o = run("idle_for_a_while", {"WEFT_PROCS=2", "WEFT_DEBUG=schedtrace=100"});
    EXPECT_TRUE(o.exited(47)) << o;
    EXPECT_TRUE(
        std::regex_search(o.err, std::regex("SCHED [0-9]+ms: procs=2 idleprocs=[0-9]+ threads=[0-9]+ "
                                            "spinningthreads=[0-9]+ idlethreads=[0-9]+ runqueue=0 \\[0 0\\]\n")))
        << o;
    EXPECT_GE(count(o.err, "SCHED "), 2U) << o;
}

// weft-observer is a thread that wakes nobody.
TEST(debug_test, a_deadlock_is_seen_beside_the_watching_thread)
{
    if (weft::test::emulated())
        GTEST_SKIP() << "threads of the emulator";
    EXPECT_TRUE(run("deadlock", {"WEFT_PROCS=2", "WEFT_DEBUG=stall=1s,waits"}).exited(2));
}

TEST(debug_test, each_park_moves_the_goroutine)
{
    for (const char* procs : {"WEFT_PROCS=1", "WEFT_PROCS=4"}) {
        const outcome o = run("migrates", {procs, "WEFT_DEBUG=migrate"});
        EXPECT_TRUE(o.exited(49)) << o;
        EXPECT_EQ(o.err, "");
    }
}

TEST(debug_test, locks_need_the_library)
{
    const outcome o = run("parks_with_locks", {"WEFT_PROCS=2", "WEFT_DEBUG=locks"});
    EXPECT_TRUE(o.exited(48)) << o;
    EXPECT_TRUE(o.reported("libweft_debug.so")) << o;
}

#ifdef WEFT_DEBUG_LIBRARY
constexpr const char* preload = "LD_PRELOAD=" WEFT_DEBUG_LIBRARY;

TEST(debug_test, parks_with_locks_held)
{
    const outcome o = run("parks_with_locks", {"WEFT_PROCS=2", "WEFT_DEBUG=locks", preload});
    EXPECT_TRUE(o.exited(48)) << o;
    EXPECT_EQ(count(o.err, "weft: locks: "), 1U) << o;
    EXPECT_TRUE(o.reported("parks with 2 mutexes of the system held")) << o;
    EXPECT_TRUE(o.reported("[main]: waiting: sleep")) << o;
    EXPECT_TRUE(o.reported("child_debug.cpp:")) << o;
}

TEST(debug_test, names_of_all_functions)
{
    const outcome o = run("stalls", {"WEFT_PROCS=2", "WEFT_DEBUG=stall=50ms", preload});
    EXPECT_TRUE(o.exited(45)) << o;
    EXPECT_TRUE(o.reported("compute_for(")) << o;
    EXPECT_TRUE(o.reported("child_debug.cpp:")) << o;
    const outcome d = run("deadlock", {"WEFT_PROCS=2", preload});
    EXPECT_TRUE(d.exited(2)) << d;
    EXPECT_TRUE(d.reported("weft/wait_group.hpp:")) << d;  // Clang knows the inlined one as "wait"
}
#endif

}  // namespace
