// How the runtime starts, and what WEFT_PROCS may say.
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <thread>

#include "../support/child.hpp"

namespace {

using weft::test::outcome;
using weft::test::run_child;

TEST(start_test, a_bad_number_of_procs_is_refused)
{
    for (const char* value :
         {"abc", "0", "-3", "99999", "1025", "4x", "x4", "1.5", "0x4", "99999999999999999999", "-1", "2 3"}) {
        const std::string setting = std::string("WEFT_PROCS=") + value;
        const outcome o = run_child("child_start", "run", {setting});
        SCOPED_TRACE(setting);
        EXPECT_TRUE(o.exited(2)) << o;
        EXPECT_TRUE(o.wrote("run: invalid_argument: ")) << o;
        EXPECT_TRUE(o.wrote("WEFT_PROCS")) << o;
        EXPECT_TRUE(o.wrote(value)) << "should show the value\n" << o;
    }
}

TEST(start_test, a_bad_number_of_procs_is_refused_by_every_start)
{
    for (const char* scenario : {"go", "async"}) {
        const outcome o = run_child("child_start", scenario, {"WEFT_PROCS=abc"});
        EXPECT_TRUE(o.exited(2)) << o;
        EXPECT_TRUE(o.wrote("WEFT_PROCS")) << o;
    }
    const outcome twice = run_child("child_start", "twice", {"WEFT_PROCS=abc"});
    EXPECT_TRUE(twice.exited(2)) << twice;
}

#ifdef WEFT_SANITIZED_CHILDREN
TEST(start_test, a_sanitizer_of_the_program_alone_is_said)
{
    std::istringstream names(WEFT_SANITIZED_CHILDREN);
    for (std::string name; names >> name;) {
        SCOPED_TRACE(name);
        const outcome o =
            run_child("child_sanitized_" + name, "",
                      {"ASAN_OPTIONS=detect_leaks=0", "LSAN_OPTIONS=detect_leaks=0", "TSAN_OPTIONS=report_bugs=0"});
        EXPECT_TRUE(o.exited(0)) << o;
        EXPECT_TRUE(o.wrote("ran")) << o;
        EXPECT_TRUE(o.reported("built with -fsanitize=" + name + " and weft is not")) << o;
        EXPECT_TRUE(o.reported("-D WEFT_SANITIZE=" + (name == "leak" ? "address" : name))) << o;
    }
}
#endif

TEST(start_test, a_good_number_of_procs_is_taken)
{
    for (const char* value : {"1", "2", "3", "17", "1024"}) {
        const outcome o = run_child("child_start", "run", {std::string("WEFT_PROCS=") + value});
        EXPECT_TRUE(o.exited(0)) << o;
        EXPECT_TRUE(o.wrote(std::string("procs ") + value + "\n")) << o;
    }
}

TEST(start_test, an_option_goes_before_the_variable)
{
    const outcome o = run_child("child_start", "run_with_option", {"WEFT_PROCS=7"});
    EXPECT_TRUE(o.wrote("procs 3\n")) << o;
}

TEST(start_test, a_bad_stack_size_is_refused)
{
    for (const char* value : {"abc", "0", "-1", "15K", "9G", "8193M", "1T", "1.5M", "1MB", "K", " 1M", "+1M",
                              "99999999999999999999", "18446744073709551615G"}) {
        const outcome o = run_child("child_start", "run", {std::string("WEFT_STACK=") + value});
        SCOPED_TRACE(value);
        EXPECT_TRUE(o.exited(2)) << o;
        EXPECT_TRUE(o.wrote("run: invalid_argument: ")) << o;
        EXPECT_TRUE(o.wrote("WEFT_STACK") && o.wrote(value)) << o;
    }
    EXPECT_TRUE(run_child("child_start", "stack_option_out_of_range").exited(0));
}

TEST(start_test, the_default_stack_size_is_taken)
{
    const auto expect = [](const char* setting, const char* scenario, const char* kib)
    {
        const outcome o = run_child("child_start", scenario, {setting});
        EXPECT_TRUE(o.exited(0)) << o;
        EXPECT_TRUE(o.wrote(std::string("KiB: ") + kib + "\n")) << setting << "\n" << o;
    };
    // On goroutines without attributes, with a name only, and of 4 MiB whatever the default is.
    expect("WEFT_STACK=", "stack_sizes", "192 192 4032");
    expect("WEFT_STACK=16K", "stack_sizes", "64 64 4032");
    expect("WEFT_STACK=65536", "stack_sizes", "64 64 4032");
    expect("WEFT_STACK=1m", "stack_sizes", "960 960 4032");
    expect("WEFT_STACK=4M", "stack_sizes", "4032 4032 4032");
    expect("WEFT_STACK=1G", "stack_sizes", "1048512 1048512 4032");
    expect("WEFT_STACK=1G", "stack_sizes_with_option", "960 960 4032");
}

TEST(start_test, the_default_is_what_affinity_allows)
{
    const outcome one = run_child("child_start", "on_one_cpu");
    EXPECT_TRUE(one.wrote("procs 1\n")) << one;
    const outcome more = run_child("child_start", "run");
    EXPECT_TRUE(more.exited(0)) << more;
    EXPECT_TRUE(more.wrote("procs ")) << more;
}

TEST(start_test, by_the_first_go_of_a_plain_thread)
{
    EXPECT_TRUE(run_child("child_start", "go").exited(0));
    EXPECT_TRUE(run_child("child_start", "async").exited(0));
}

TEST(start_test, by_many_threads_at_once)
{
    for (int i = 0; i < 10; ++i) {
        const outcome o = run_child("child_start", "first_go_from_many_threads", {"WEFT_PROCS=4"});
        EXPECT_TRUE(o.exited(0) && o.wrote("ran 16\n")) << o;
        const outcome r = run_child("child_start", "first_run_from_many_threads", {"WEFT_PROCS=4"});
        EXPECT_TRUE(r.exited(0) && r.wrote("ran 16\n")) << r;
    }
}

TEST(start_test, by_a_static_constructor)
{
    const outcome o = run_child("child_start", "from_a_static_constructor", {"WEFT_TEST_START_EARLY=1"});
    EXPECT_TRUE(o.exited(0) && o.wrote("early 5, now 6\n")) << o;
}

TEST(start_test, nothing_starts_by_looking)
{
    const outcome o = run_child("child_start", "nothing");
    EXPECT_TRUE(o.exited(0)) << o;
    EXPECT_TRUE(o.wrote("goroutines 0, started 0, threads 0, procs 0, reserved 0, id 0, num 0\n")) << o;
}

TEST(start_test, plain_threads_need_no_start)
{
    const outcome o = run_child("child_start", "plain_threads_only");
    EXPECT_TRUE(o.exited(0) && o.wrote("sum 4000\n")) << o;
}

TEST(start_test, signals_stay_with_the_program)
{
    const outcome o = run_child("child_start", "signals_stay_with_the_program");
    EXPECT_TRUE(o.exited(0) && o.wrote("got it")) << o;
}

}  // namespace
