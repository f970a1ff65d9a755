// Out of memory, out of threads, out of ports: an exception where the caller can catch one, else a report that says
// what ran out and what to change.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "../support/child.hpp"
#include "../support/scale.hpp"

namespace {

using weft::test::outcome;
using weft::test::run_child;

#define SKIP_UNDER_SANITIZERS()      \
    if (weft::test::under_sanitizer) \
    GTEST_SKIP() << "a sanitizer's own memory and threads do not live with such limits"

#define SKIP_UNLESS_ROOT() \
    if (::geteuid() != 0)  \
    GTEST_SKIP() << "becoming another user, whom the limit binds, takes root"

void expect_report(const outcome& o)
{
    EXPECT_TRUE(o.died_of(SIGABRT)) << o;
    EXPECT_TRUE(o.reported("fatal error: ")) << o;
}

TEST(limits_test, no_memory_for_stacks)
{
    SKIP_UNDER_SANITIZERS();
    const outcome o = run_child("child_limits", "no_memory_for_stacks");
    expect_report(o);
    EXPECT_TRUE(o.reported("stack of 4096 KiB")) << o;
    EXPECT_TRUE(o.reported("address space") && o.reported("ulimit -v")) << o;
}

TEST(limits_test, no_memory_for_a_large_stack)
{
    SKIP_UNDER_SANITIZERS();
    const outcome o = run_child("child_limits", "no_memory_for_a_large_stack");
    expect_report(o);
    EXPECT_TRUE(o.reported("stack of 8388608 KiB")) << o;
    EXPECT_TRUE(o.reported("attr::stack_size")) << o;
}

TEST(limits_test, no_memory_for_control_blocks)
{
    SKIP_UNDER_SANITIZERS();
    const outcome o = run_child("child_limits", "no_memory_for_control_blocks");
    EXPECT_TRUE(o.exited(0)) << o;
    EXPECT_TRUE(o.wrote("bad_alloc\nall of them ran: many\nand it goes on\n")) << o;
}

TEST(limits_test, no_memory_for_a_heap_closure)
{
    SKIP_UNDER_SANITIZERS();
    const outcome o = run_child("child_limits", "no_memory_for_a_heap_closure");
    EXPECT_TRUE(o.exited(0)) << o;
    EXPECT_TRUE(o.wrote("bad_alloc\nleft behind: 0\n")) << o;
}

TEST(limits_test, no_memory_to_start)
{
    SKIP_UNDER_SANITIZERS();
    const outcome o = run_child("child_limits", "no_memory_to_start");
    EXPECT_TRUE(o.exited(0)) << o;
    EXPECT_TRUE(o.wrote("bad_alloc: ") || o.wrote("system_error: ")) << o;
    EXPECT_FALSE(o.wrote("ran")) << o;
}

TEST(limits_test, no_thread_to_start)
{
    SKIP_UNDER_SANITIZERS();
    SKIP_UNLESS_ROOT();
    const outcome o = run_child("child_limits", "no_thread_to_start");
    EXPECT_TRUE(o.exited(0)) << o;
    EXPECT_TRUE(o.wrote("system_error: ")) << o;
    EXPECT_TRUE(o.wrote("thread")) << o;
}

TEST(limits_test, goes_on_with_few_threads)
{
    SKIP_UNDER_SANITIZERS();
    SKIP_UNLESS_ROOT();
    const outcome o = run_child("child_limits", "few_threads", {"WEFT_PROCS=1"});
    EXPECT_TRUE(o.exited(0)) << o;
    EXPECT_TRUE(o.wrote("ran 2000, failures some\n")) << o;
    EXPECT_TRUE(o.reported("could not start another thread")) << o;
}

TEST(limits_test, no_thread_for_pinned_goroutines)
{
    SKIP_UNDER_SANITIZERS();
    SKIP_UNLESS_ROOT();
    const outcome o = run_child("child_limits", "no_thread_for_pinned", {"WEFT_PROCS=1"});
    expect_report(o);
    EXPECT_TRUE(o.reported("thread") && o.reported("ulimit -u")) << o;
    EXPECT_FALSE(o.wrote("all of them run")) << o;
}

TEST(limits_test, max_threads_reached)
{
    const outcome o = run_child("child_limits", "max_threads_reached");
    EXPECT_TRUE(!o.timed_out && !o.exited(0)) << o;
    EXPECT_TRUE(o.reported("fatal error: ") && o.reported("max_threads")) << o;
    EXPECT_TRUE(o.reported(" 6 ")) << "should name the limit\n" << o;
}

TEST(limits_test, max_threads_suffices)
{
    const outcome o = run_child("child_limits", "max_threads_suffices");
    EXPECT_TRUE(o.exited(0)) << o;
    EXPECT_TRUE(o.wrote("all of them run")) << o;
}

TEST(limits_test, a_single_thread_serves_several_procs)
{
    const outcome o = run_child("child_limits", "max_threads_of_one");
    EXPECT_TRUE(o.exited(0)) << o;
    EXPECT_TRUE(o.wrote("ran 1000 on 1 thread")) << o;
}

TEST(limits_test, no_more_mappings)
{
    SKIP_UNDER_SANITIZERS();
    long allowed = 0;
    std::ifstream("/proc/sys/vm/max_map_count") >> allowed;
    if (allowed <= 0 || allowed > 300'000)
        GTEST_SKIP() << "vm.max_map_count is " << allowed;
    const outcome o = run_child("child_limits", "no_more_mappings", {"WEFT_DEBUG=noguardmarker"});
    expect_report(o);
    EXPECT_TRUE(o.reported("vm.max_map_count")) << o;
}

// The only port that there is to choose is the one that is dialed: the socket would be connected to itself.
TEST(limits_test, dialed_port_is_chosen)
{
    const outcome o = run_child("child_limits", "dialed_port_is_chosen");
    EXPECT_TRUE(o.exited(0)) << o;
    if (o.wrote("skipped"))
        GTEST_SKIP() << o.out;
    EXPECT_TRUE(o.wrote("stream: refused")) << o;
    EXPECT_TRUE(o.wrote("datagrams to themselves: 0")) << o;
}

}  // namespace
