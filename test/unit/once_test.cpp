// weft::once: something that happens once.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "weft/once.hpp"

namespace {

using once_test = weft::test::fixture;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;

static_assert(sizeof(weft::once) == 8);
constinit weft::once constant_initialised;

WEFT_TEST(once_test, calls_once)
{
    int calls = 0;
    for (int i = 0; i < 3; ++i)
        constant_initialised.call([&](int n) { calls += n; }, 1);
    EXPECT_EQ(calls, 1);
    weft::once o;
    o.call([&, only_movable = std::make_unique<int>(1)] { calls += *only_movable; });
    EXPECT_EQ(calls, 2);
}

void meet(std::size_t goroutines, std::size_t threads_count)
{
    for (std::size_t round = 0; round < scaled(300); ++round) {
        weft::once o;
        int data = 0;
        std::atomic<int> wrong{0};
        const auto work = [&]
        {
            o.call(
                [&]
                {
                    weft::yield();
                    ++data;
                });
            wrong += data != 1;
        };
        std::vector<std::thread> threads;
        weft::wait_group all;
        for (std::size_t i = 0; i < goroutines; ++i)
            all.go(work);
        for (std::size_t i = 0; i < threads_count; ++i)
            threads.emplace_back(work);
        for (std::thread& t : threads)
            t.join();
        all.wait();
        EXPECT_EQ(wrong, 0);
    }
}

WEFT_TEST(once_test, others_wait_for_the_one_inside)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        meet(10, 0);
    }
}

TEST_F(once_test, others_wait_for_the_one_inside_in_both_worlds)
{
    meet(6, 2);
}

WEFT_TEST(once_test, an_exception_lets_the_next_one_try)
{
    weft::once o;
    EXPECT_THROW(o.call([] { throw std::runtime_error("first"); }), std::runtime_error);
    int calls = 0;
    std::atomic<int> failures{0};
    weft::wait_group all;
    for (int i = 0; i < 10; ++i) {
        all.go(
            [&]
            {
                try {
                    o.call(
                        [&]
                        {
                            weft::yield();
                            if (++calls < 4)
                                throw std::runtime_error("not yet");
                        });
                } catch (const std::runtime_error&) {
                    ++failures;
                }
            });
    }
    all.wait();
    EXPECT_EQ(calls, 4);
    EXPECT_EQ(failures, 3);
}

WEFT_TEST(once_test, exit_goroutine_lets_the_next_one_try)
{
    weft::once o;
    weft::wait_group first;
    first.go([&] { o.call([] { weft::exit_goroutine(); }); });
    first.wait();
    bool called = false;
    o.call([&] { called = true; });
    EXPECT_TRUE(called);
}

void recurse()
{
    weft::once o;
    bool told = false;
    o.call(
        [&]
        {
            EXPECT_THROW(o.call([] {}), std::logic_error);
            told = true;
        });
    EXPECT_TRUE(told);
    weft::once other;
    EXPECT_THROW(other.call([&] { other.call([] {}); }), std::logic_error);
    other.call([] {});
}

WEFT_TEST(once_test, a_call_inside_itself_is_an_error)
{
    recurse();
}

TEST_F(once_test, a_call_inside_itself_is_an_error_on_a_plain_thread)
{
    recurse();
}

// The one inside parks and goes on in another thread: it is known there too.
WEFT_TEST(once_test, the_one_inside_may_move)
{
    const procs two(2);
    weft::once o;
    o.call(
        [&]
        {
            (void)weft::test::migrate();
            EXPECT_THROW(o.call([] {}), std::logic_error);
        });
}

}  // namespace
