// weft::local: each goroutine's own values, and when they are destroyed.
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fixture.hpp"
#include "weft/chan.hpp"
#include "weft/local.hpp"

namespace {

using local_test = weft::test::fixture;
using weft::test::counted;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled_live;

weft::local<int> number;
weft::local<std::string> text([] { return std::string("begun"); });

WEFT_TEST(local_test, each_goroutine_has_its_own)
{
    for (const int n : {1, 2, 4}) {
        const procs p(n);
        weft::wait_group all;
        const std::size_t count = scaled_live(1'000);
        for (std::size_t g = 0; g < count; ++g) {
            all.go(
                [g]
                {
                    EXPECT_EQ(*number, 0);
                    EXPECT_EQ(*text, "begun");
                    *number = static_cast<int>(g);
                    *text += std::to_string(g);
                    for (int i = 0; i < 5; ++i) {
                        weft::yield();
                        EXPECT_EQ(*number, static_cast<int>(g));
                    }
                    EXPECT_EQ(*text, "begun" + std::to_string(g));
                });
        }
        all.wait();
    }
}

TEST_F(local_test, each_thread_has_its_own)
{
    *number = 5;
    std::thread(
        []
        {
            EXPECT_EQ(*number, 0);
            *number = 6;
        })
        .join();
    EXPECT_EQ(*number, 5);
    weft::run([] { EXPECT_EQ(*number, 0); });
    number.reset();
    EXPECT_EQ(number.find(), nullptr);
    EXPECT_EQ(*number, 0);
    number.reset();
}

WEFT_TEST(local_test, values_are_made_when_asked_for)
{
    int made = 0;
    weft::local<counted> lazy(
        [&]
        {
            ++made;
            return counted();
        });
    EXPECT_EQ(lazy.find(), nullptr);
    EXPECT_EQ(made, 0);
    counted& first = lazy.get();
    EXPECT_EQ(&*lazy, &first);
    EXPECT_EQ(lazy.find(), &first);
    EXPECT_EQ(made, 1);
    lazy.reset();
    EXPECT_EQ(lazy.find(), nullptr);
    EXPECT_EQ(counted::alive, 0);
    (void)lazy.get();
    EXPECT_EQ(made, 2);
}

WEFT_TEST(local_test, a_factory_that_throws_makes_none)
{
    bool fails = true;
    weft::local<int> v(
        [&]
        {
            if (fails)
                throw std::runtime_error("not yet");
            return 3;
        });
    EXPECT_THROW((void)v.get(), std::runtime_error);
    EXPECT_EQ(v.find(), nullptr);
    fails = false;
    EXPECT_EQ(*v, 3);
}

WEFT_TEST(local_test, a_factory_may_use_other_locals)
{
    weft::local<int> base([] { return 20; });
    weft::local<int> derived([&] { return *base + 1; });
    EXPECT_EQ(*derived, 21);
}

// --- the end

WEFT_TEST(local_test, values_end_with_their_goroutine)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        static weft::local<counted> held;
        weft::wait_group all;
        for (std::size_t i = 0; i < scaled_live(500); ++i)
            all.go([] { (void)held.get(); });
        all.wait();
        EXPECT_EQ(counted::alive, 0);
    }
}

WEFT_TEST(local_test, values_end_before_a_result_is_there)
{
    static weft::local<counted> held;
    for (std::size_t i = 0; i < scaled_live(500); ++i) {
        auto f = weft::async(
            []
            {
                (void)held.get();
                return 1;
            });
        f.get();
        EXPECT_EQ(counted::alive, 0);
    }
    // The future may go first:
    for (std::size_t i = 0; i < scaled_live(500); ++i)
        (void)weft::async([] { (void)held.get(); });
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
}

/// A result that uses a local, and parks, when it ends.
struct uses_a_local {
    weft::local<counted>* held = nullptr;
    explicit uses_a_local(weft::local<counted>& of) : held(&of) {}
    uses_a_local(uses_a_local&& other) noexcept : held(std::exchange(other.held, nullptr)) {}
    uses_a_local(const uses_a_local&) = default;
    ~uses_a_local()
    {
        if (held != nullptr) {
            (void)held->get();
            weft::yield();
        }
    }
};

WEFT_TEST(local_test, values_made_by_the_end_of_a_dropped_result_end_too)
{
    static weft::local<counted> held;
    static weft::local<int> before;
    struct large : uses_a_local {
        std::array<char, 1'000> more{};
        explicit large(weft::local<counted>& of) : uses_a_local(of) {}
    };
    std::atomic<int> ran{0};
    const auto drop = [&](auto f)
    {
        weft::chan<int> go_on;
        (void)weft::async(
            [&ran, go_on, f]
            {
                *before = 1;
                (void)go_on.recv();
                ++ran;
                return f();
            });
        go_on.close();
    };
    drop([] { return uses_a_local(held); });
    drop([] { return large(held); });
    drop([]() -> int { throw uses_a_local(held); });
    EXPECT_TRUE(eventually([&] { return ran == 3 && weft::num_goroutines() == 1; }));
    EXPECT_EQ(counted::alive, 0);
}

WEFT_TEST(local_test, values_end_when_a_goroutine_exits_or_fails)
{
    static weft::local<counted> held;
    weft::go(
        []
        {
            (void)held.get();
            weft::exit_goroutine();
        });
    weft::go(weft::attr{.name = "named"},
             []
             {
                 (void)held.get();
                 weft::exit_goroutine();
             });
    auto f = weft::async(
        []
        {
            (void)held.get();
            throw std::runtime_error("fails");
        });
    EXPECT_THROW(f.get(), std::runtime_error);
    auto exits = weft::async(
        []
        {
            (void)held.get();
            weft::exit_goroutine();
        });
    exits.wait();
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
}

struct waits_at_the_end {
    const weft::chan<int>* from = nullptr;
    std::atomic<bool>* begun = nullptr;
    std::atomic<int>* got = nullptr;
    waits_at_the_end() = default;
    waits_at_the_end(const waits_at_the_end&) = delete;
    waits_at_the_end& operator=(const waits_at_the_end&) = delete;
    ~waits_at_the_end()
    {
        *begun = true;
        *got = from->recv().value() + number.get() + static_cast<int>(text->size());
    }
};

// A thread-local that is older than all that weft keeps for its thread is destroyed after that.
TEST_F(local_test, the_last_destructors_of_a_thread_use_weft)
{
    for (int i = 0; i < 50; ++i) {
        const weft::chan<int> c;
        std::atomic<bool> begun{false};
        std::atomic<int> got{0};
        std::thread t(
            [&]
            {
                thread_local waits_at_the_end last;
                last.from = &c;
                last.begun = &begun;
                last.got = &got;
                *number = 1'000;
                EXPECT_EQ(c.recv(), 1);
            });
        c.send(1);
        ASSERT_TRUE(eventually([&] { return begun.load(); }));
        c.send(2);
        t.join();
        EXPECT_EQ(got, 2 + 0 + 5) << "with values of its own, made anew";
    }
}

TEST_F(local_test, values_end_with_their_thread)
{
    static weft::local<counted> held;
    std::thread([] { (void)held.get(); }).join();
    EXPECT_EQ(counted::alive, 0);
}

struct noted {
    std::vector<int>* order = nullptr;
    int n = 0;
    noted() = default;
    noted(const noted&) = delete;
    noted& operator=(const noted&) = delete;
    ~noted()
    {
        if (order != nullptr)
            order->push_back(n);
    }
};

WEFT_TEST(local_test, the_youngest_ends_first)
{
    weft::local<noted> a;
    weft::local<noted> b;
    weft::local<noted> c;
    std::vector<int> order;
    weft::async(
        [&]
        {
            int n = 0;
            for (weft::local<noted>* l : {&b, &a, &c}) {
                (*l)->order = &order;
                (*l)->n = ++n;
            }
        })
        .get();
    EXPECT_EQ(order, (std::vector<int>{3, 2, 1}));
}

struct uses_weft : counted {
    ~uses_weft()
    {
        weft::yield();
        weft::sleep_for(std::chrono::microseconds(20));
        *number += 1;
        weft::async([] {}).get();
    }
};

WEFT_TEST(local_test, destructors_may_use_weft_and_other_locals)
{
    static weft::local<uses_weft> held;
    for (const int n : {1, 4}) {
        const procs p(n);
        weft::wait_group all;
        for (int i = 0; i < 50; ++i)
            all.go([] { (void)held.get(); });
        all.wait();
        auto f = weft::async([] { (void)held.get(); });
        f.get();
        EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
    }
}

struct revives {
    std::atomic<int>* ends = nullptr;
    int left = 0;
    ~revives();
    revives() = default;
    revives(const revives&) = delete;
    revives& operator=(const revives&) = delete;
};
weft::local<revives> reviving;
revives::~revives()
{
    ++*ends;
    if (left > 0) {
        reviving->ends = ends;
        reviving->left = left - 1;
    }
}

WEFT_TEST(local_test, what_destructors_make_is_destroyed_in_further_rounds)
{
    std::atomic<int> ends{0};
    weft::async(
        [&]
        {
            reviving->ends = &ends;
            reviving->left = 3;
        })
        .get();
    EXPECT_EQ(ends, 4);
}

WEFT_TEST(local_test, a_variable_may_go_away_before_its_values)
{
    std::optional<weft::local<counted>> v(std::in_place);
    weft::chan<int> gone;
    auto f = weft::async(
        [&]
        {
            (void)v->get();
            (void)gone.recv();
        });
    EXPECT_TRUE(eventually([] { return counted::alive == 1; }));
    v.reset();
    // Another one takes its place in the table; the value of the former is not its own.
    weft::local<int> next;
    EXPECT_EQ(*next, 0);
    EXPECT_EQ(counted::alive, 1);
    gone.close();
    f.get();
    EXPECT_EQ(counted::alive, 0);
}

WEFT_TEST(local_test, a_place_is_used_again)
{
    for (int i = 0; i < 1'000; ++i) {
        weft::local<std::unique_ptr<int>> v;
        *v = std::make_unique<int>(i);
        EXPECT_EQ(**v, i);
    }
}

}  // namespace
