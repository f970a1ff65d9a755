// weft::attr: names, stack sizes up to their limits, pinned goroutines.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "fixture.hpp"

namespace {

using attr_test = weft::test::fixture;
using weft::test::eventually;
using weft::test::scaled;

constexpr std::size_t kib = 1'024;
constexpr std::size_t mib = 1'024 * kib;
constexpr std::size_t gib = 1'024 * mib;

// Of a stack of `size` bytes, what the test leaves alone: what the guard may take of it (a sixteenth), the frames of
// entry, of a park and of one descend().
constexpr std::size_t margin(std::size_t size)
{
    const std::size_t frames = weft::test::under_sanitizer ? 8 * kib : 4 * kib;
    return std::clamp(size / 16, 4 * kib, 64 * kib) + frames;
}

// Recurses until `depth` bytes lie between the frame and `top`; at the bottom parks, so that the runtime's own frames
// come on top. Every frame is filled and checked on the way back.
template <std::size_t Words>
[[gnu::noinline]] std::uint64_t descend(std::uintptr_t top, std::size_t depth, std::uint64_t level)
{
    volatile std::uint64_t frame[Words];
    for (std::size_t i = 0; i < Words; ++i)
        frame[i] = level * Words + i;
    const std::uintptr_t here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    std::uint64_t bad = 0;
    if (top - here < depth)
        bad = descend<Words>(top, depth, level + 1);
    else
        weft::yield();
    for (std::size_t i = 0; i < Words; ++i)
        bad += frame[i] == level * Words + i ? 0U : 1U;
    return bad;
}

// Goes down to near the limit of a stack of `size` bytes, on it; returns the number of damaged values. Large stacks in
// larger steps: TSan follows 65,536 frames at the most.
std::uint64_t use_this_stack(std::size_t size)
{
    const auto top = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    return size < 4 * mib ? descend<64>(top, size - margin(size), 0) : descend<4'096>(top, size - 2 * margin(size), 0);
}

std::uint64_t use_stack_of(std::size_t size)
{
    return weft::async(weft::attr{.name = "deep", .stack_size = size}, [size] { return use_this_stack(size); }).get();
}

void expect_refused(std::size_t size)
{
    const std::uint64_t started = weft::stats().goroutines_started;
    try {
        weft::go(weft::attr{.stack_size = size}, [] { ADD_FAILURE() << "ran"; });
        ADD_FAILURE() << "stack_size " << size << " was accepted";
    } catch (const std::invalid_argument& e) {
        EXPECT_NE(std::string_view(e.what()).find("stack_size"), std::string_view::npos) << e.what();
        EXPECT_NE(std::string_view(e.what()).find(std::to_string(size)), std::string_view::npos)
            << "should name the value " << size << ": " << e.what();
    }
    EXPECT_THROW((void)weft::async(weft::attr{.stack_size = size}, [] {}), std::invalid_argument);
    EXPECT_EQ(weft::stats().goroutines_started, started);
}

WEFT_TEST(attr_test, refuses_stack_sizes_out_of_range)
{
    expect_refused(0);
    expect_refused(1);
    expect_refused(4 * kib);
    expect_refused(16 * kib - 1);
    expect_refused(8 * gib + 1);
    expect_refused(std::size_t{1} << 47);
    expect_refused(std::numeric_limits<std::size_t>::max() / 2 + 1);
    expect_refused(std::numeric_limits<std::size_t>::max());
    expect_refused(static_cast<std::size_t>(-65'536));
}

WEFT_TEST(attr_test, a_refused_closure_is_destroyed)
{
    for (int i = 0; i < 1'000; ++i) {
        EXPECT_THROW(weft::go(weft::attr{.stack_size = 3}, [c = weft::test::counted()] {}), std::invalid_argument);
        EXPECT_THROW(weft::go(weft::attr{.stack_size = 3},
                              [c = weft::test::counted(), big = std::array<char, 300>{}] { (void)big; }),
                     std::invalid_argument);
    }
    EXPECT_EQ(weft::test::counted::alive, 0);
}

WEFT_TEST(attr_test, small_stacks_are_as_deep_as_said)
{
    for (std::size_t size : {16 * kib, 32 * kib, 64 * kib, weft::default_stack_size, 256 * kib, mib})
        EXPECT_EQ(use_stack_of(size), 0U) << size;
}

WEFT_TEST(attr_test, other_sizes_are_rounded_up)
{
    for (std::size_t size : {16 * kib + 1, 20 * kib, 100'000 * std::size_t{1}, 300 * kib, 3 * mib})
        EXPECT_EQ(use_stack_of(size), 0U) << size;
}

WEFT_TEST(attr_test, large_stacks_are_as_deep_as_said)
{
    for (std::size_t size : {16 * mib, 64 * mib})
        EXPECT_EQ(use_stack_of(size), 0U) << size;
}

WEFT_TEST(attr_test, a_stack_of_a_gibibyte)
{
    if (weft::test::under_sanitizer || weft::test::slow())
        GTEST_SKIP() << "a sanitizer's shadow of it or an emulator takes too long";
    EXPECT_EQ(use_stack_of(gib), 0U);
}

WEFT_TEST(attr_test, the_largest_stack_is_address_space_only)
{
    const bool ran = weft::async(weft::attr{.stack_size = 8 * gib}, [] { return true; }).get();
    EXPECT_TRUE(ran);
}

// Locals so large that only a page or two of each is ever touched; down to where less than two of them would fit.
constexpr std::size_t sparse_bytes = mib;
[[gnu::noinline]] std::size_t descend_sparsely(std::size_t level)
{
    volatile char frame[sparse_bytes];
    frame[0] = static_cast<char>(level);
    frame[sparse_bytes - 1] = static_cast<char>(level + 1);
    std::size_t deepest = level;
    if (weft::stack_remaining() > 2 * sparse_bytes)
        deepest = descend_sparsely(level + 1);
    else
        weft::yield();
    return frame[0] == static_cast<char>(level) && frame[sparse_bytes - 1] == static_cast<char>(level + 1) ? deepest
                                                                                                           : 0;
}

WEFT_TEST(attr_test, locals_of_a_mebibyte)
{
    for (const std::size_t size : {4 * mib, 64 * mib}) {
        const std::size_t deepest =
            weft::async(weft::attr{.stack_size = size}, [] { return descend_sparsely(1); }).get();
        EXPECT_GE(deepest, size / sparse_bytes - 3);
    }
}

WEFT_TEST(attr_test, the_largest_stack_to_its_end)
{
    if (weft::test::under_sanitizer || weft::test::slow())
        GTEST_SKIP() << "a sanitizer's shadow of it or an emulator takes too long";
    const std::size_t deepest =
        weft::async(weft::attr{.stack_size = 8 * gib}, [] { return descend_sparsely(1); }).get();
    EXPECT_GE(deepest, 8 * gib / sparse_bytes - 3);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wvla"
[[gnu::noinline]] std::uint64_t with_array_of(std::size_t words)
{
    volatile std::uint64_t array[words];
    for (std::size_t i = 0; i < words; ++i)
        array[i] = i ^ words;
    weft::yield();
    std::uint64_t bad = 0;
    for (std::size_t i = 0; i < words; ++i)
        bad += array[i] == (i ^ words) ? 0U : 1U;
    return bad;
}
#pragma GCC diagnostic pop

WEFT_TEST(attr_test, arrays_of_variable_length)
{
    const std::uint64_t bad = weft::async(weft::attr{.stack_size = 4 * mib},
                                          []
                                          {
                                              std::uint64_t sum = 0;
                                              for (std::size_t words = 1; words <= 2 * mib / 8; words *= 3)
                                                  sum += with_array_of(words);
                                              return sum;
                                          })
                                  .get();
    EXPECT_EQ(bad, 0U);
}

WEFT_TEST(attr_test, deep_stacks_live_side_by_side)
{
    const std::size_t count = std::min<std::size_t>(scaled(200), 60);
    weft::wait_group all;
    std::atomic<std::uint64_t> bad{0};
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t size = (16 * kib) << (i % 7);
        all.add();
        weft::go(weft::attr{.stack_size = size},
                 [&, size]
                 {
                     for (int round = 0; round < 3; ++round) {
                         bad += use_this_stack(size);
                         weft::yield();
                     }
                     all.done();
                 });
    }
    all.wait();
    EXPECT_EQ(bad, 0U);
}

WEFT_TEST(attr_test, stacks_of_all_sizes_are_reused)
{
    // The first round may map; the later ones must live from what the earlier ones gave back.
    const auto round = []
    {
        for (int i = 0; i < 200; ++i)
            (void)use_stack_of((16 * kib) << (i % 9));
    };
    round();
    const std::uint64_t reserved = weft::stats().stack_reserved;
    for (std::size_t i = 0; i < scaled(20); ++i)
        round();
    EXPECT_LE(weft::stats().stack_reserved, reserved + 64 * mib);
}

WEFT_TEST(attr_test, takes_any_name)
{
    const std::string with_null("a\0b", 3);
    const std::string long_name(mib, 'x');
    for (const std::string_view name : {std::string_view{}, std::string_view{"short"}, std::string_view{with_null},
                                        std::string_view{"\xff\n%s"}, std::string_view{long_name}}) {
        std::string copy(name);
        weft::test::gate ran;
        weft::go(weft::attr{.name = copy}, [&] { ran.open(); });
        copy.assign(copy.size(), '#');
        ran.wait();
    }
}

WEFT_TEST(attr_test, a_pinned_goroutine_keeps_its_thread)
{
    const weft::test::procs four(4);
    std::atomic<int> moved{0};
    weft::wait_group all;
    for (int i = 0; i < 20; ++i) {
        all.add();
        weft::go(weft::attr{.name = "pinned", .pinned = true},
                 [&]
                 {
                     const long own = weft::test::thread_id();
                     for (std::size_t n = 0; n < scaled(200); ++n) {
                         weft::yield();
                         if (n % 50 == 0)
                             weft::sleep_for(std::chrono::microseconds(50));
                         weft::async([] { weft::yield(); }).get();
                         moved += own == weft::test::thread_id() ? 0 : 1;
                     }
                     all.done();
                 });
    }
    all.wait();
    EXPECT_EQ(moved, 0);
}

WEFT_TEST(attr_test, nobody_else_runs_on_a_pinned_goroutines_thread)
{
    std::atomic<long> owned{0};
    std::atomic<bool> stop{false};
    weft::wait_group all;
    all.add();
    weft::go(weft::attr{.pinned = true},
             [&]
             {
                 owned = weft::test::thread_id();
                 while (!stop)
                     weft::yield();
                 all.done();
             });
    ASSERT_TRUE(eventually([&] { return owned != 0; }));
    std::atomic<int> intruders{0};
    weft::wait_group others;
    for (std::size_t i = 0; i < scaled(5'000); ++i) {
        others.go(
            [&]
            {
                intruders += weft::test::thread_id() == owned ? 1 : 0;
                weft::yield();
                intruders += weft::test::thread_id() == owned ? 1 : 0;
            });
    }
    others.wait();
    stop = true;
    all.wait();
    EXPECT_EQ(intruders, 0);
}

std::size_t left(std::size_t unit)
{
    return weft::stack_remaining() / unit;
}

WEFT_TEST(attr_test, every_way_to_start_takes_attributes)
{
    const weft::attr large{.stack_size = 8 * mib};
    EXPECT_EQ(weft::async(large, left, mib).get(), 7U);
    const weft::chan<std::size_t> answers(3);
    weft::go(large, [](const weft::sender<std::size_t>& to, std::size_t unit) { to.send(left(unit)); }, answers, mib);
    weft::wait_group all;
    all.go(large, [&] { answers.send(left(mib)); });
    all.wait();
    weft::group some;
    some.go(large, [&] { answers.send(left(mib)); });
    some.wait();
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(answers.recv(), 7U);
    bool called = false;
    EXPECT_TRUE(some.try_go(large, [&] { called = left(mib) == 7; }));
    some.wait();
    EXPECT_TRUE(called);
}

WEFT_TEST(attr_test, a_refused_one_is_not_waited_for)
{
    const weft::attr bad{.stack_size = 3};
    weft::wait_group all;
    EXPECT_THROW(all.go(bad, [] {}), std::invalid_argument);
    all.wait();
    weft::group some;
    some.limit(1);
    EXPECT_THROW(some.go(bad, [] {}), std::invalid_argument);
    EXPECT_THROW((void)some.try_go(bad, [] {}), std::invalid_argument);
    EXPECT_TRUE(some.try_go([] {})) << "its place is free again";
    some.wait();
}

}  // namespace
