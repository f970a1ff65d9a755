// weft::stack_remaining() on goroutines, plain threads and signal stacks.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "fixture.hpp"

namespace {

using stack_remaining_test = weft::test::fixture;

constexpr std::size_t kib = 1'024;

WEFT_TEST(stack_remaining_test, begins_near_the_size)
{
    for (std::size_t size = 16 * kib; size <= 64 * kib * kib; size *= 2) {
        const std::size_t left =
            weft::async(weft::attr{.stack_size = size}, [] { return weft::stack_remaining(); }).get();
        const std::size_t least = 64 * kib;  // the smallest stack; sizes below 1 MiB are rounded up with a guard beside
        EXPECT_LT(left, size < 1'024 * kib ? std::max(2 * size, least) : size);
        EXPECT_GE(left, size - size / 4 - 8 * kib) << size;
    }
}

// Fills its frame, so that a limit that is wrong would be met.
[[gnu::noinline]] std::size_t use_until(std::size_t left, std::size_t before, int& wrong)
{
    volatile char frame[512];
    for (std::size_t i = 0; i < sizeof frame; ++i)
        frame[i] = static_cast<char>(i);
    const std::size_t now = weft::stack_remaining();
    if (now >= before || before - now < sizeof frame)
        ++wrong;
    if (now <= left)
        return now;
    const std::size_t end = use_until(left, now, wrong);
    return frame[7] == 7 ? end : 0;
}

constexpr std::size_t reserve = weft::test::under_sanitizer ? 8 * kib : 2 * kib;

WEFT_TEST(stack_remaining_test, falls_as_the_stack_is_used_up)
{
    int wrong = 0;
    const std::size_t end = weft::async([&] { return use_until(reserve, weft::default_stack_size, wrong); }).get();
    EXPECT_EQ(wrong, 0);
    EXPECT_LE(end, reserve);
    EXPECT_GT(end, 0U);
}

WEFT_TEST(stack_remaining_test, on_a_plain_thread)
{
    int wrong = 0;
    std::size_t end = 0;
    std::thread([&] { end = use_until(64 * kib, ~std::size_t{0}, wrong); }).join();
    EXPECT_EQ(wrong, 0);
    EXPECT_LE(end, 64 * kib);
    EXPECT_GT(end, 0U);
}

TEST(stack_remaining_of_main, is_that_of_the_process)
{
    const std::size_t left = weft::stack_remaining();
    EXPECT_GT(left, 64 * kib);
}

WEFT_TEST(stack_remaining_test, is_nothing_on_a_signal_stack)
{
    static std::atomic<std::size_t> seen{1};
    struct sigaction action{};
    struct sigaction before{};
    action.sa_handler = [](int) { seen = weft::stack_remaining(); };
    action.sa_flags = SA_ONSTACK;
    ASSERT_EQ(::sigaction(SIGUSR2, &action, &before), 0);
    ::raise(SIGUSR2);
    ::sigaction(SIGUSR2, &before, nullptr);
    EXPECT_EQ(seen, 0U);
    EXPECT_GT(weft::stack_remaining(), 0U);
}

}  // namespace
