// Dumps: what they say of goroutines in every state, and that they may be made at any time.
#include "weft/debug.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "../support/rng.hpp"
#include "fixture.hpp"
#include "weft/weft.hpp"

namespace {

using namespace std::chrono_literals;
using weft::test::eventually;
using weft::test::gate;

class debug_test : public weft::test::fixture {};

bool has(const std::string& text, std::string_view what)
{
    return text.find(what) != std::string::npos;
}

/// The entry, up to the next empty line, in which `what` stands; empty: none.
std::string entry_with(const std::string& dump, std::string_view what)
{
    const std::size_t at = dump.find(what);
    if (at == std::string::npos)
        return "";
    const std::size_t before = dump.rfind("\n\n", at);
    return dump.substr(before == std::string::npos ? 0 : before + 2, dump.find("\n\n", at) - before);
}

/// The first dump that says `what`: a goroutine that is about to park is not waiting yet.
std::string dump_that_says(std::string_view what)
{
    std::string dump;
    EXPECT_TRUE(eventually(
        [&]
        {
            dump = weft::debug::dump_string();
            return has(dump, what);
        }))
        << "not '" << what << "' but\n"
        << dump;
    return dump;
}

std::size_t frames_of(const std::string& entry)
{
    std::size_t n = 0;
    for (std::size_t at = entry.find("    #"); at != std::string::npos; at = entry.find("    #", at + 1))
        ++n;
    return n;
}

[[gnu::noinline]] int wait_deep(int depth, gate& until)
{
    volatile int here = depth;
    if (depth == 0)
        until.wait();
    else
        here = wait_deep(depth - 1, until);
    return here + 1;
}

WEFT_TEST(debug_test, a_waiting_goroutine_with_its_stack)
{
    gate open;
    weft::wait_group all;
    all.add();
    weft::go(weft::attr{.name = "deep one"},
             [&]
             {
                 (void)wait_deep(20, open);
                 all.done();
             });
    const std::string entry = entry_with(dump_that_says("[deep one]: waiting: wait_group"), "[deep one]");
    EXPECT_TRUE(has(entry, "  started at 0x")) << entry;
    EXPECT_GE(frames_of(entry), 21U) << entry;
    EXPECT_FALSE(has(entry, "were not found")) << entry;
    open.open();
    all.wait();
}

WEFT_TEST(debug_test, the_caller_runs)
{
    const std::string dump = weft::debug::dump_string();
    const std::string own = "goroutine " + std::to_string(weft::goroutine_id()) + " [main]: running on thread " +
                            std::to_string(weft::test::thread_id());
    EXPECT_TRUE(has(dump, own)) << dump;
    EXPECT_GE(frames_of(entry_with(dump, own)), 1U) << dump;
}

WEFT_TEST(debug_test, the_same_place_is_one_entry)
{
    const std::size_t n = weft::test::scaled_live(10'000);
    gate open;
    weft::wait_group all;
    for (std::size_t i = 0; i < n; ++i)
        all.go([&] { open.wait(); });
    ASSERT_TRUE(eventually([n] { return weft::stats().goroutines_waiting >= n; }));
    const std::string dump = dump_that_says("\n" + std::to_string(n) + " goroutines: waiting: wait_group");
    EXPECT_LT(dump.size(), 16'000U);
    EXPECT_TRUE(has(dump, " and " + std::to_string(n - 10) + " more")) << dump;
    open.open();
    all.wait();
}

WEFT_TEST(debug_test, a_goroutine_that_has_not_started)
{
    const weft::test::procs one(1);
    // A dump longer than a slice may cost the one who asks for it the only P, and the new goroutine starts.
    EXPECT_TRUE(eventually(
        []
        {
            weft::wait_group all;
            all.add();
            weft::go(weft::attr{.name = "not yet"}, [&] { all.done(); });
            const std::string dump = weft::debug::dump_string();
            all.wait();
            return has(dump, "[not yet]: runnable, not started yet");
        }));
}

WEFT_TEST(debug_test, a_goroutine_that_computes)
{
    const weft::test::procs two(2);
    std::atomic<bool> runs{false};
    std::atomic<bool> stop{false};
    weft::wait_group all;
    all.add();
    weft::go(weft::attr{.name = "computes"},
             [&]
             {
                 runs = true;
                 while (!stop) {
                 }
                 all.done();
             });
    ASSERT_TRUE(eventually([&] { return runs.load(); }));
    const std::string entry = entry_with(dump_that_says("[computes]: running on thread"), "[computes]");
    // TSan calls signal handlers when it likes.
    EXPECT_GE(frames_of(entry), weft::test::under_tsan ? 0U : 1U) << entry;
    stop = true;
    all.wait();
}

// The call is interrupted, and goes on.
WEFT_TEST(debug_test, a_goroutine_that_blocks_its_thread)
{
    const weft::test::procs two(2);
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    weft::wait_group all;
    all.add();
    weft::go(weft::attr{.name = "blocks"},
             [&]
             {
                 char byte = 0;
                 EXPECT_EQ(::read(ends[0], &byte, 1), 1);
                 all.done();
             });
    const std::string entry = entry_with(dump_that_says("which sleeps in the kernel"), "[blocks]");
    EXPECT_TRUE(has(entry, "running on thread")) << entry;
    EXPECT_GE(frames_of(entry), weft::test::under_tsan ? 0U : 2U) << entry;
    EXPECT_EQ(::write(ends[1], "x", 1), 1);
    all.wait();
    ::close(ends[0]);
    ::close(ends[1]);
}

WEFT_TEST(debug_test, for_how_long_it_waits)
{
    gate open;
    weft::wait_group all;
    all.add();
    weft::go(weft::attr{.name = "waits"},
             [&]
             {
                 open.wait();
                 all.done();
             });
    (void)dump_that_says("[waits]: waiting: wait_group");  // from here on it is known
    const std::string known = dump_that_says("[waits]: waiting: wait_group, for ");
    EXPECT_TRUE(has(entry_with(known, "[waits]"), " s and more")) << known;
    open.open();
    all.wait();
}

TEST_F(debug_test, on_a_plain_thread_and_to_a_file)
{
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    std::thread([&] { EXPECT_TRUE(weft::debug::dump(ends[1])); }).join();
    std::array<char, 100> text{};
    EXPECT_GT(::read(ends[0], text.data(), text.size() - 1), 0);
    EXPECT_TRUE(std::string(text.data()).starts_with("weft: ")) << text.data();
    ::close(ends[0]);
    ::close(ends[1]);
    EXPECT_FALSE(weft::debug::dump(-1));
}

WEFT_TEST(debug_test, on_a_small_stack)
{
    weft::wait_group all;
    all.add();
    weft::go(weft::attr{.name = "small", .stack_size = 32'768},
             [&]
             {
                 EXPECT_TRUE(has(weft::debug::dump_string(), "[small]: running"));
                 all.done();
             });
    all.wait();
}

WEFT_TEST(debug_test, inside_an_exception_handler)
{
    try {
        throw 1;
    } catch (int) {
        EXPECT_TRUE(has(weft::debug::dump_string(), "[main]: running"));
        try {
            throw;
        } catch (int value) {
            EXPECT_EQ(value, 1);
        }
    }
}

/// Goroutines of all kinds come, go, and move, while several dump.
WEFT_TEST(debug_test, while_everything_runs)
{
    std::atomic<bool> stop{false};
    weft::wait_group all;
    weft::wait_group senders;
    weft::chan<int> jobs(4);
    weft::mutex m;
    for (int i = 0; i < 4; ++i) {
        all.go(
            [&, i]
            {
                weft::test::rng random(static_cast<std::uint64_t>(i));
                while (!stop) {
                    weft::wait_group children;
                    for (std::uint64_t n = random.below(20); n > 0; --n) {
                        children.add();
                        weft::go(weft::attr{.name = "a name that is longer than what fits in a std::string itself"},
                                 [&]
                                 {
                                     m.lock();
                                     weft::yield();
                                     m.unlock();
                                     children.done();
                                 });
                    }
                    children.wait();
                }
            });
        all.go(
            [&]
            {
                while (jobs.recv().has_value())
                    weft::yield();
            });
        senders.go(
            [&]
            {
                while (!stop) {
                    jobs.send(1);
                    weft::sleep_for(10us);
                }
            });
    }
    weft::wait_group dumpers;
    for (int d = 0; d < 2; ++d)
        dumpers.go(
            [&]
            {
                for (std::size_t i = 0; i < weft::test::scaled(100); ++i)
                    EXPECT_TRUE(has(weft::debug::dump_string(), "[main]"));
            });
    dumpers.wait();
    stop = true;
    senders.wait();
    jobs.close();
    all.wait();
}

}  // namespace
