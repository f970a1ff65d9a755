// Faults: who hears of them, and what the report says. Where a sanitizer has a handler of its own, which was there
// first, it is the program's handler, and its report takes the place of ours.
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <string_view>

#include "../support/child.hpp"
#include "../support/scale.hpp"

namespace {

using weft::test::outcome;

outcome run(const std::string& scenario, const std::vector<std::string>& environment = {})
{
    return weft::test::run_child("child_fault", scenario, environment);
}

std::string value_of(const outcome& o, std::string_view key)
{
    const std::size_t at = o.out.find(key);
    return at == std::string::npos ? "(the child said none)"
                                   : o.out.substr(at + key.size(), o.out.find('\n', at) - at - key.size());
}

std::size_t count_of(const std::string& text, std::string_view part)
{
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++n;
    return n;
}

void expect_overflow(const outcome& o, const std::string& who)
{
    EXPECT_TRUE(o.died_of(SIGABRT)) << o;
    EXPECT_TRUE(o.reported("fatal error: stack overflow: " + who)) << o;
    EXPECT_TRUE(o.reported("192 KiB")) << o;
    EXPECT_TRUE(o.reported("attr::stack_size")) << o;
    EXPECT_TRUE(o.reported("started at")) << o;
    EXPECT_TRUE(o.reported("#00 ")) << "no stack\n" << o;
}

std::string diver(const outcome& o)
{
    return "goroutine " + value_of(o, "id=") + " [deep diver]";
}

void expect_wild(const outcome& o, const std::string& report, int signal = SIGSEGV)
{
    EXPECT_TRUE(o.died_of(signal)) << o;
    EXPECT_TRUE(o.reported("goroutine " + value_of(o, "id=") + " [wild one] has used a wild pointer: ")) << o;
    EXPECT_TRUE(o.reported(report)) << o;
    EXPECT_TRUE(o.reported("no overflow of its stack")) << o;
    EXPECT_TRUE(o.reported("started at")) << o;
    EXPECT_TRUE(o.reported("#00 ")) << "no stack\n" << o;
    EXPECT_FALSE(o.reported("stack overflow") || o.reported("attr::stack_size")) << o;
}

class fault_test : public ::testing::Test {
protected:
    void SetUp() override
    {
        if (weft::test::under_sanitizer)
            GTEST_SKIP() << "a sanitizer's handler reports instead";
    }
};

TEST_F(fault_test, overflows_in_the_c_library)
{
    for (const char* scenario :
         {"overflow_in_printf", "overflow_in_malloc", "overflow_in_qsort", "overflow_in_regex"}) {
        const outcome o = run(scenario);
        SCOPED_TRACE(scenario);
        expect_overflow(o, diver(o));
    }
}

TEST_F(fault_test, a_signal_that_finds_no_room)
{
    const outcome o = run("overflow_by_a_signal");
    expect_overflow(o, diver(o));
    EXPECT_TRUE(o.reported("SA_ONSTACK") || weft::test::emulated()) << o;
}

// However many fault at once: one report, from its first line to the last frame.
TEST_F(fault_test, overflows_on_several_threads_at_once)
{
    for (int round = 0; round < 20; ++round) {
        const outcome o = run("overflows_at_once");
        expect_overflow(o, "goroutine ");
        EXPECT_EQ(count_of(o.err, "fatal error"), 1U) << o;
        EXPECT_EQ(count_of(o.err, "  stack:\n"), 1U) << o;
        EXPECT_EQ(count_of(o.err, " times more\n    and more\n"), 1U) << "the report is cut off\n" << o;
    }
}

TEST_F(fault_test, wild_pointers_on_several_threads_at_once)
{
    for (int round = 0; round < 20; ++round) {
        const outcome o = run("wild_pointers_at_once");
        EXPECT_TRUE(o.died_of(SIGSEGV)) << o;
        EXPECT_EQ(count_of(o.err, "fatal error"), 1U) << o;
        EXPECT_EQ(count_of(o.err, "  stack:\n"), 1U) << o;
    }
}

TEST_F(fault_test, a_wild_pointer_is_named)
{
    for (const char* debug : {"WEFT_DEBUG=", "WEFT_DEBUG=noguardmarker"}) {
        expect_wild(run("wild_pointer", {debug}), "fatal error: SIGSEGV: ");
        expect_wild(run("wild_pointer", {debug}), "wild pointer: 0x10 ");
    }
}

TEST_F(fault_test, a_call_of_nothing_shows_the_caller)
{
    const outcome o = run("call_of_nothing");
    expect_wild(o, "wild pointer: 0x0 ");
    EXPECT_TRUE(o.reported("#01 ")) << o;
}

TEST_F(fault_test, other_bad_addresses)
{
    expect_wild(run("address_that_cant_exist"), "wild pointer: ");
    expect_wild(run("file_that_is_too_short"), "fatal error: SIGBUS: ", SIGBUS);
}

TEST_F(fault_test, a_guard_that_is_not_the_own_one)
{
    for (const char* debug : {"WEFT_DEBUG=", "WEFT_DEBUG=noguardmarker"}) {
        const outcome o = run("in_another_ones_guard", {debug});
        expect_wild(o, ", in the guard below the stack of goroutine " + value_of(o, "victim=") + " [victim]");
        expect_wild(run("in_the_guard_of_an_ended_one", {debug}),
                    "in the guard below a stack that no goroutine has now");
        expect_wild(run("in_the_own_guard_from_afar", {debug}), "in the guard below its own stack, but far");
    }
}

TEST_F(fault_test, a_plain_thread_in_a_guard)
{
    const outcome o = run("plain_thread_in_a_guard");
    EXPECT_TRUE(o.died_of(SIGSEGV)) << o;
    EXPECT_TRUE(o.reported("a plain thread has used a wild pointer: ")) << o;
    EXPECT_TRUE(o.reported("in the guard below the stack of goroutine " + value_of(o, "victim=") + " [victim]")) << o;
    EXPECT_FALSE(o.reported("stack overflow")) << o;
}

// What the program's own handler asks for with its sigaction() holds as if weft were not there.

void expect_silent(const outcome& o, int code, std::string_view text)
{
    EXPECT_TRUE(o.exited(code)) << o;
    EXPECT_TRUE(o.wrote(text)) << o;
    EXPECT_TRUE(o.err.empty()) << o;
}

TEST(fault_handler_test, may_repair_what_has_faulted)
{
    expect_silent(run("handler_repairs"), 3, "calls=100");
}

TEST_F(fault_test, the_programs_handler_with_sa_resethand)
{
    const outcome o = run("handler_is_reset");
    EXPECT_TRUE(o.died_of(SIGSEGV)) << o;
    EXPECT_TRUE(o.reported("[barrier] has used a wild pointer")) << o;
    EXPECT_FALSE(o.wrote("calls=")) << o;
}

#define SKIP_UNDER_TSAN()       \
    if (weft::test::under_tsan) \
    GTEST_SKIP() << "TSan calls handlers with all signals blocked"

TEST(fault_handler_test, has_its_mask_and_only_while_it_runs)
{
    SKIP_UNDER_TSAN();
    expect_silent(run("handler_has_a_mask"), 3, "during: 1 0, after: 0");
}

TEST_F(fault_test, the_programs_handler_faults)
{
    const outcome o = run("handler_faults");
    EXPECT_TRUE(o.died_of(SIGSEGV)) << o;
    EXPECT_TRUE(o.wrote("call 1")) << o;
    EXPECT_FALSE(o.wrote("call 2")) << o;
    EXPECT_TRUE(o.reported("[wild one], in a signal handler, has used a wild pointer: 0x10")) << o;
}

TEST(fault_handler_test, with_sa_nodefer_is_called_for_its_own_faults)
{
    SKIP_UNDER_TSAN();
    expect_silent(run("handler_faults_and_is_not_deferred"), 5, "call 3");
}

TEST(fault_handler_test, may_jump_out)
{
    if (weft::test::under_sanitizer)
        GTEST_SKIP() << "sanitizers do not follow jumps out of signal handlers";
    expect_silent(run("handler_jumps_out"), 3, "survived 100");
}

TEST_F(fault_test, an_ignored_signal_is_ignored_and_a_fault_is_not)
{
    const outcome o = run("handler_ignores");
    EXPECT_TRUE(o.died_of(SIGSEGV)) << o;
    EXPECT_TRUE(o.wrote("still here")) << o;
    EXPECT_TRUE(o.reported("[raiser] has used a wild pointer: 0x10")) << o;
}

TEST_F(fault_test, a_later_handler_that_passes_faults_on)
{
    const outcome overflow = run("later_handler_and_overflow");
    EXPECT_TRUE(overflow.wrote("user handler")) << overflow;
    expect_overflow(overflow, diver(overflow));
    const outcome wild = run("later_handler_and_wild_pointer");
    EXPECT_TRUE(wild.wrote("user handler")) << wild;
    EXPECT_TRUE(wild.died_of(SIGSEGV)) << wild;
    EXPECT_TRUE(wild.reported("[deep diver] has used a wild pointer: 0x10")) << wild;
}

}  // namespace
