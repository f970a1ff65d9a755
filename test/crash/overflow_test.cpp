// A stack overflow is named as one, with the goroutine, its limit and what to change; other faults are not.
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "../support/child.hpp"
#include "../support/scale.hpp"

namespace {

using weft::test::outcome;
using weft::test::run_child;

// The sanitizers have handlers of their own and end the process their way.
void expect_killed(const outcome& o, int signal)
{
    if (weft::test::under_sanitizer) {
        EXPECT_TRUE(!o.timed_out && !o.exited(0)) << o;
    } else {
        EXPECT_TRUE(o.died_of(signal)) << o;
    }
}

std::string goroutine_of(const outcome& o)
{
    const std::size_t at = o.out.find("id=");
    return at == std::string::npos ? "(the child said no id)"
                                   : "goroutine " + o.out.substr(at + 3, o.out.find('\n', at) - at - 3);
}

void expect_overflow(const outcome& o, const std::string& name)
{
    EXPECT_FALSE(o.timed_out || o.exited(0)) << o;
    EXPECT_TRUE(o.signal == SIGABRT || o.signal == SIGSEGV) << o;
    EXPECT_TRUE(o.reported("stack overflow")) << o;
    EXPECT_TRUE(o.reported("attr::stack_size")) << o;
    EXPECT_TRUE(o.reported(goroutine_of(o))) << "no " << goroutine_of(o) << "\n" << o;
    EXPECT_TRUE(o.reported(name)) << o;
}

void expect_no_overflow(const outcome& o)
{
    EXPECT_FALSE(o.reported("stack overflow")) << o;
    EXPECT_FALSE(o.reported("attr::stack_size")) << o;
}

TEST(overflow_test, names_the_goroutine_and_its_limit)
{
    const outcome o = run_child("child_overflow", "overflow");
    expect_overflow(o, "deep diver");
    EXPECT_TRUE(o.reported("of 192 KiB")) << o;
}

TEST(overflow_test, at_every_size)
{
    const outcome smallest = run_child("child_overflow", "overflow_of_16k");
    expect_overflow(smallest, "deep diver");
    EXPECT_TRUE(smallest.reported("of 64 KiB")) << smallest;
    const outcome small = run_child("child_overflow", "overflow_of_64k");
    expect_overflow(small, "deep diver");
    EXPECT_TRUE(small.reported("65536") || small.reported("64 KiB")) << small;
    const outcome large = run_child("child_overflow", "overflow_of_1m");
    expect_overflow(large, "deep diver");
    EXPECT_TRUE(large.reported("1048576") || large.reported("1 MiB") || large.reported("1024 KiB")) << large;
    if (weft::test::under_tsan)
        return;  // its own stack of return addresses ends at some 65,000 frames
    const outcome huge = run_child("child_overflow", "overflow_of_64m");
    expect_overflow(huge, "deep diver");
    EXPECT_TRUE(huge.reported("67108864") || huge.reported("64 MiB") || huge.reported("65536 KiB")) << huge;
}

TEST(overflow_test, shows_names_and_the_recursion_once)
{
    if (weft::test::under_sanitizer)
        GTEST_SKIP() << "reported by the sanitizer";
    const outcome o = run_child("child_overflow", "overflow");
    EXPECT_TRUE(o.reported("recurse")) << o;
    EXPECT_TRUE(o.reported("times more")) << o;
    EXPECT_FALSE(o.reported("#20 ")) << o;
}

TEST(overflow_test, of_every_kind_of_goroutine)
{
    expect_overflow(run_child("child_overflow", "overflow_after_parks"), "deep diver");
    expect_overflow(run_child("child_overflow", "overflow_beside_others"), "deep diver");
    expect_overflow(run_child("child_overflow", "overflow_in_pinned"), "deep diver");
    expect_overflow(run_child("child_overflow", "overflow_in_main"), "main");
}

TEST(overflow_test, by_large_frames)
{
    expect_overflow(run_child("child_overflow", "overflow_in_leaps_of_a_page"), "deep diver");
    expect_overflow(run_child("child_overflow", "overflow_in_leaps_of_pages"), "deep diver");
}

// Of a size that lands, if nothing is touched on the way, in the middle of somebody else's stack.
TEST(overflow_test, a_frame_of_a_library_without_probes_does_not_jump_over_the_guard)
{
    for (const char* scenario : {"smallest", "default", "large"}) {
        const outcome o = run_child("child_unprobed_frame", scenario);
        expect_overflow(o, "large");
        EXPECT_FALSE(o.wrote("jumped")) << o;
    }
}

TEST(overflow_test, a_large_frame_does_not_jump_over_the_guard)
{
    for (const char* scenario : {"fixed", "variable"}) {
        for (const char* debug : {"WEFT_DEBUG=", "WEFT_DEBUG=noguardmarker"}) {
            const outcome o = run_child("child_large_frame", scenario, {debug});
            expect_overflow(o, "large");
            EXPECT_FALSE(o.wrote("jumped")) << o;
        }
    }
}

TEST(overflow_test, without_guard_markers)
{
    for (const char* scenario : {"overflow", "overflow_of_16k", "overflow_of_1m", "overflow_beside_others"})
        expect_overflow(run_child("child_overflow", scenario, {"WEFT_DEBUG=noguardmarker"}), "deep diver");
}

TEST(overflow_test, is_reported_though_the_program_has_a_handler)
{
    const outcome o = run_child("child_overflow", "overflow_with_user_handler");
    EXPECT_TRUE(o.reported("stack overflow")) << o;
}

TEST(overflow_test, a_wild_pointer_is_none)
{
    for (const char* scenario :
         {"wild_pointer", "wild_pointer_into_protected_memory", "wild_pointer_on_a_plain_thread"}) {
        for (const char* debug : {"WEFT_DEBUG=", "WEFT_DEBUG=noguardmarker"}) {
            const outcome o = run_child("child_overflow", scenario, {debug});
            expect_killed(o, SIGSEGV);
            expect_no_overflow(o);
        }
    }
}

TEST(overflow_test, the_programs_own_handler_gets_what_is_not_ours)
{
    for (const char* scenario : {"wild_pointer_with_user_handler", "wild_pointer_with_later_user_handler"}) {
        const outcome o = run_child("child_overflow", scenario);
        EXPECT_TRUE(o.exited(3)) << o;
        EXPECT_TRUE(o.wrote("user handler: address 16")) << o;
        expect_no_overflow(o);
    }
}

TEST(overflow_test, other_signals_are_left_alone)
{
    const outcome raised = run_child("child_overflow", "raised_signal");
    expect_killed(raised, SIGSEGV);
    expect_no_overflow(raised);
    const outcome aborted = run_child("child_overflow", "abort_in_goroutine");
    expect_killed(aborted, SIGABRT);
    expect_no_overflow(aborted);
}

TEST(overflow_test, a_plain_threads_overflow_is_not_a_goroutines)
{
    const outcome o = run_child("child_overflow", "overflow_on_a_plain_thread");
    expect_killed(o, SIGSEGV);
    EXPECT_FALSE(o.reported("attr::stack_size")) << o;
}

}  // namespace
