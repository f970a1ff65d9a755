// weft::exit_goroutine: ends one goroutine from any depth, destructors run.
#include <array>
#include <atomic>
#include <exception>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

#include "fixture.hpp"

namespace {

using exit_test = weft::test::fixture;
using weft::test::counted;
using weft::test::eventually;
using weft::test::scaled;

[[noreturn, gnu::noinline]] void exit_from_depth(int depth)
{
    const counted here;
    if (depth > 0)
        exit_from_depth(depth - 1);
    weft::exit_goroutine();
}

std::future_errc code_of(weft::future<int>& f)
{
    try {
        (void)f.get();
    } catch (const std::future_error& e) {
        return static_cast<std::future_errc>(e.code().value());
    }
    return std::future_errc{};
}

WEFT_TEST(exit_test, unwinds_the_stack)
{
    weft::test::gate ended;
    std::atomic<bool> went_on{false};
    weft::go(
        [&]
        {
            struct opens {
                weft::test::gate& g;
                ~opens() { g.open(); }
            } const at_end{ended};
            exit_from_depth(50);
            went_on = true;
        });
    ended.wait();
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
    EXPECT_FALSE(went_on);
}

WEFT_TEST(exit_test, destroys_the_closure)
{
    weft::go([c = counted()] { weft::exit_goroutine(); });
    weft::go([c = counted(), big = std::array<char, 400>{}] { exit_from_depth(static_cast<int>(big.size()) / 100); });
    EXPECT_TRUE(eventually([] { return counted::alive == 0 && weft::num_goroutines() == 1; }));
}

WEFT_TEST(exit_test, passes_handlers_of_other_types)
{
    std::atomic<int> caught{0};
    weft::wait_group all;
    all.go(
        [&]
        {
            try {
                exit_from_depth(3);
            } catch (const std::exception&) {
                ++caught;
            } catch (int) {
                ++caught;
            }
            ++caught;
        });
    all.wait();
    EXPECT_EQ(caught, 0);
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
}

WEFT_TEST(exit_test, a_catch_all_that_rethrows_lets_it_pass)
{
    std::atomic<int> passed{0};
    weft::wait_group all;
    all.go(
        [&]
        {
            try {
                try {
                    exit_from_depth(2);
                } catch (...) {
                    ++passed;
                    throw;
                }
            } catch (...) {
                ++passed;
                weft::yield();
                throw;
            }
            passed += 100;
        });
    all.wait();
    EXPECT_EQ(passed, 2);
}

WEFT_TEST(exit_test, works_inside_a_handler)
{
    std::atomic<bool> went_on{false};
    weft::wait_group all;
    struct loud : counted, std::runtime_error {
        loud() : std::runtime_error("loud") {}
    };
    all.go(
        [&]
        {
            try {
                throw loud();
            } catch (const std::exception&) {
                weft::yield();
                weft::exit_goroutine();
            }
            went_on = true;
        });
    all.wait();
    EXPECT_FALSE(went_on);
    EXPECT_TRUE(eventually([] { return counted::alive == 0; })) << "the exception in flight must be released";
}

WEFT_TEST(exit_test, works_inside_handlers_inside_handlers)
{
    struct loud : counted {};
    std::atomic<int> passed{0};
    weft::wait_group all;
    all.go(
        [&]
        {
            try {
                throw loud();
            } catch (const loud&) {
                try {
                    throw loud();
                } catch (const loud&) {
                    try {
                        exit_from_depth(2);
                    } catch (...) {
                        ++passed;
                        weft::yield();
                        throw;
                    }
                }
            }
            passed += 100;
        });
    all.wait();
    EXPECT_EQ(passed, 1);
    EXPECT_TRUE(eventually([] { return counted::alive == 0; })) << "what was handled must be released";
}

/// A scope guard: commits when its scope ends without an unwinding.
struct commits {
    std::atomic<int>& committed;
    int before = std::uncaught_exceptions();
    explicit commits(std::atomic<int>& c) : committed(c) {}
    commits(const commits&) = delete;
    commits& operator=(const commits&) = delete;
    ~commits()
    {
        if (std::uncaught_exceptions() == before)
            ++committed;
    }
};

WEFT_TEST(exit_test, scope_guards_do_not_commit)
{
    std::atomic<int> committed{0};
    weft::wait_group all;
    all.go(
        [&]
        {
            const commits outer(committed);
            weft::exit_goroutine();
        });
    all.go(
        [&]
        {
            const commits outer(committed);
            try {
                throw 1;
            } catch (int) {
                const commits in_handler(committed);
                try {
                    weft::yield();
                    weft::exit_goroutine();
                } catch (...) {
                    const commits in_catch_all(committed);
                    throw;
                }
            }
        });
    all.wait();
    EXPECT_EQ(committed, 0);
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(weft::async([] { return std::uncaught_exceptions() + (std::current_exception() ? 100 : 0); }).get(),
                  0)
            << "nothing is left for the next goroutine";
}

WEFT_TEST(exit_test, destructors_may_park_and_throw_inside)
{
    std::atomic<int> ran{0};
    weft::wait_group all;
    struct busy {
        std::atomic<int>& ran;
        ~busy()
        {
            weft::yield();
            try {
                weft::async([]() -> int { throw std::runtime_error("inner"); }).get();
            } catch (const std::runtime_error&) {
                ++ran;
            }
        }
    };
    for (int i = 0; i < 50; ++i) {
        all.go(
            [&]
            {
                const busy a{ran};
                const busy b{ran};
                weft::exit_goroutine();
            });
    }
    all.wait();
    EXPECT_EQ(ran, 100);
}

WEFT_TEST(exit_test, breaks_the_promise_of_async)
{
    auto f = weft::async(
        []() -> int
        {
            const counted here;
            weft::exit_goroutine();
        });
    EXPECT_EQ(code_of(f), std::future_errc::broken_promise);

    auto after_wait = weft::async([]() -> int { exit_from_depth(4); });
    after_wait.wait();
    EXPECT_TRUE(after_wait.ready());
    EXPECT_EQ(code_of(after_wait), std::future_errc::broken_promise);

    auto large = weft::async([a = std::array<char, 300>{}]() -> int { exit_from_depth(a[0]); });
    EXPECT_EQ(code_of(large), std::future_errc::broken_promise);

    auto nothing = weft::async([] { weft::exit_goroutine(); });
    EXPECT_THROW(nothing.get(), std::future_error);
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
}

WEFT_TEST(exit_test, a_dropped_future_does_not_mind)
{
    for (int i = 0; i < 100; ++i) {
        (void)weft::async(
            [c = counted()]
            {
                weft::yield();
                weft::exit_goroutine();
            });
    }
    EXPECT_TRUE(eventually([] { return counted::alive == 0 && weft::num_goroutines() == 1; }));
}

TEST_F(exit_test, ends_the_main_goroutine)
{
    EXPECT_EQ(weft::run([]() -> int { exit_from_depth(5); }), 0);
    EXPECT_EQ(weft::run([] { weft::exit_goroutine(); }), 0);
}

TEST_F(exit_test, is_an_error_on_a_plain_thread)
{
    EXPECT_THROW(weft::exit_goroutine(), std::logic_error);
}

WEFT_TEST(exit_test, ends_a_jthread)
{
    weft::jthread t([] { exit_from_depth(3); });
    t.join();
    EXPECT_EQ(counted::alive, 0);
}

WEFT_TEST(exit_test, ends_a_goroutine_that_holds_its_thread)
{
    weft::wait_group all;
    for (int i = 0; i < 50; ++i) {
        all.go(
            []
            {
                weft::lock_thread();
                weft::yield();
                weft::exit_goroutine();
            });
        all.go(
            []
            {
                const weft::pin p;
                weft::exit_goroutine();
            });
    }
    all.wait();
    weft::async([] {}).get();
}

WEFT_TEST(exit_test, many_at_once)
{
    const std::size_t count = scaled(20'000);
    weft::wait_group all;
    for (std::size_t i = 0; i < count; ++i) {
        all.go(
            [i]
            {
                const counted here;
                if (i % 3 == 0)
                    weft::yield();
                exit_from_depth(static_cast<int>(i % 10));
            });
    }
    all.wait();
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
}

}  // namespace
