// Panics: the report names the goroutine and the exception, and the process ends through std::terminate.
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "../support/child.hpp"

namespace {

using weft::test::outcome;
using weft::test::run_child;

// The id that the child said, as the report must have it: "goroutine 7".
std::string goroutine_of(const outcome& o)
{
    const std::size_t at = o.out.find("id=");
    if (at == std::string::npos)
        return "(the child said no id)";
    return "goroutine " + o.out.substr(at + 3, o.out.find('\n', at) - at - 3);
}

// What every report has.
void expect_panic(const outcome& o)
{
    EXPECT_TRUE(o.died_of(SIGABRT)) << o;
    EXPECT_TRUE(o.reported("panic")) << o;
    EXPECT_TRUE(o.reported(goroutine_of(o))) << "no " << goroutine_of(o) << "\n" << o;
    EXPECT_TRUE(o.reported("stack")) << o;
}

TEST(panic_test, an_uncaught_exception_is_reported)
{
    const outcome o = run_child("child_panic", "uncaught");
    expect_panic(o);
    EXPECT_TRUE(o.reported("worker seven")) << o;
    EXPECT_TRUE(o.reported("std::runtime_error")) << o;
    EXPECT_TRUE(o.reported("boom 42")) << o;
}

TEST(panic_test, the_report_shows_the_stack_of_the_throw)
{
    for (const char* scenario : {"uncaught", "uncaught_after_parks"}) {
        const outcome o = run_child("child_panic", scenario);
        expect_panic(o);
        // Names of functions need symbols that a static function of a stripped program has not; its frames' addresses
        // or the program's name must be there.
        EXPECT_TRUE(o.reported("child_panic") || o.reported("throws_deep_inside")) << o;
    }
}

TEST(panic_test, functions_have_names_without_weft_debug)
{
    const outcome o = run_child("child_panic", "uncaught");
    expect_panic(o);
    EXPECT_TRUE(o.reported("(anonymous namespace)::throws_deep_inside(int)")) << o;
    EXPECT_TRUE(o.reported("started at 0x") && o.reported("uncaught()")) << o;
    EXPECT_TRUE(o.reported("link weft::debug")) << o;
    EXPECT_FALSE(o.reported("__invoke")) << o;
}

TEST(panic_test, a_goroutine_without_a_name_is_reported)
{
    const outcome o = run_child("child_panic", "uncaught_without_name");
    expect_panic(o);
    EXPECT_TRUE(o.reported("std::out_of_range")) << o;
    EXPECT_TRUE(o.reported("index 9 of 3")) << o;
}

TEST(panic_test, any_type_is_reported)
{
    const outcome number = run_child("child_panic", "uncaught_int");
    expect_panic(number);
    EXPECT_TRUE(number.reported("int")) << number;
    const outcome other = run_child("child_panic", "uncaught_other_type");
    expect_panic(other);
    EXPECT_TRUE(other.reported("no_standard_exception")) << other;
}

TEST(panic_test, every_kind_of_goroutine_panics)
{
    const outcome pinned = run_child("child_panic", "uncaught_in_pinned");
    expect_panic(pinned);
    EXPECT_TRUE(pinned.reported("pinned one") && pinned.reported("boom pinned")) << pinned;
    const outcome jthread = run_child("child_panic", "uncaught_in_jthread");
    expect_panic(jthread);
    EXPECT_TRUE(jthread.reported("boom jthread")) << jthread;
    const outcome group = run_child("child_panic", "uncaught_in_wait_group");
    expect_panic(group);
    EXPECT_TRUE(group.reported("boom group")) << group;
    const outcome beside = run_child("child_panic", "panic_beside_a_plain_thread");
    expect_panic(beside);
    EXPECT_TRUE(beside.reported("boom beside")) << beside;
}

TEST(panic_test, a_rethrown_exception_is_reported)
{
    const outcome o = run_child("child_panic", "uncaught_rethrown");
    expect_panic(o);
    EXPECT_TRUE(o.reported("rethrower") && o.reported("boom twice")) << o;
}

TEST(panic_test, a_closure_whose_destructor_throws_ends_the_process)
{
    const outcome o = run_child("child_panic", "uncaught_in_closure_destructor");
    EXPECT_TRUE(o.died_of(SIGABRT)) << o;
    EXPECT_TRUE(o.reported("boom destructor")) << o;
}

TEST(panic_test, a_long_text_is_no_problem)
{
    const outcome o = run_child("child_panic", "long_what");
    expect_panic(o);
    EXPECT_TRUE(o.reported(std::string(100, 'w'))) << "length of stderr: " << o.err.size();
}

TEST(panic_test, the_terminate_handler_is_called)
{
    const outcome o = run_child("child_panic", "terminate_handler");
    expect_panic(o);
    EXPECT_TRUE(o.wrote("custom terminate handler")) << o;
    EXPECT_TRUE(o.wrote("current exception: boom 42")) << o;
}

TEST(panic_test, several_at_once_end_the_process_once)
{
    for (int i = 0; i < 5; ++i) {
        const outcome o = run_child("child_panic", "several_at_once");
        EXPECT_TRUE(o.died_of(SIGABRT)) << o;
        EXPECT_TRUE(o.reported("panic") && o.reported("one of many") && o.reported("boom together")) << o;
    }
}

TEST(panic_test, a_swallowed_exit_is_reported)
{
    const outcome o = run_child("child_panic", "swallowed_exit");
    expect_panic(o);
    EXPECT_TRUE(o.reported("exit_goroutine")) << o;
    EXPECT_TRUE(o.reported("swallower")) << o;
    EXPECT_FALSE(o.wrote("went on")) << o;
}

TEST(panic_test, an_exit_through_noexcept_ends_the_process)
{
    const outcome o = run_child("child_panic", "exit_through_noexcept");
    EXPECT_TRUE(o.died_of(SIGABRT)) << o;
}

TEST(panic_test, an_exception_of_main_without_a_handler_is_one)
{
    const outcome o = run_child("child_panic", "leaves_run_uncaught");
    EXPECT_TRUE(o.died_of(SIGABRT)) << o;
    EXPECT_TRUE(o.reported("panic: the main goroutine")) << o;
    EXPECT_TRUE(o.reported("std::runtime_error: boom main")) << o;
    EXPECT_TRUE(o.reported("weft::run")) << o;
}

TEST(panic_test, a_wait_group_destroyed_while_its_goroutines_run)
{
    const outcome o = run_child("child_panic", "wait_group_destroyed_early");
    expect_panic(o);
    EXPECT_TRUE(o.reported("forgetful") && o.reported("weft::wait_group") && o.reported("counter was 2")) << o;
}

TEST(panic_test, an_exception_of_main_is_none)
{
    const outcome o = run_child("child_panic", "leaves_run");
    EXPECT_TRUE(o.exited(0)) << o;
    EXPECT_TRUE(o.wrote("caught for the caller")) << o;
    EXPECT_FALSE(o.reported("panic")) << o;
}

}  // namespace
