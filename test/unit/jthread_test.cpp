// weft::jthread: std::jthread's members and meaning over a goroutine.
#include "weft/jthread.hpp"

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <sstream>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <unordered_set>
#include <vector>

#include "fixture.hpp"

namespace {

using jthread_test = weft::test::fixture;
using weft::test::counted;
using weft::test::eventually;
using weft::test::gate;
using weft::test::scaled;

static_assert(!std::is_copy_constructible_v<weft::jthread> && !std::is_copy_assignable_v<weft::jthread>);
static_assert(std::is_nothrow_move_constructible_v<weft::jthread> && std::is_nothrow_move_assignable_v<weft::jthread>);
static_assert(std::is_nothrow_default_constructible_v<weft::jthread>);
static_assert(!std::is_convertible_v<void (*)(), weft::jthread>, "the constructor is explicit");

template <class F>
void expect_invalid_argument(F&& f)
{
    try {
        f();
        ADD_FAILURE() << "should have thrown";
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code(), std::errc::invalid_argument);
    }
}

struct worker {
    std::atomic<int> total{0};
    void add(int n) { total += n; }
    void until_stopped(const std::stop_token& token)
    {
        while (!token.stop_requested())
            weft::yield();
        ++total;
    }
};

WEFT_TEST(jthread_test, runs_and_joins)
{
    std::atomic<bool> ran{false};
    weft::jthread t([&] { ran = true; });
    EXPECT_TRUE(t.joinable());
    t.join();
    EXPECT_TRUE(ran);
    EXPECT_FALSE(t.joinable());
}

WEFT_TEST(jthread_test, passes_arguments)
{
    worker w;
    std::string text = "abc";
    std::atomic<int> sum{0};
    weft::jthread a(&worker::add, &w, 5);
    weft::jthread b([&](const std::string& s, std::unique_ptr<int> p) { sum = static_cast<int>(s.size()) + *p; }, text,
                    std::make_unique<int>(4));
    weft::jthread c([](std::atomic<int>& n) { n += 100; }, std::ref(w.total));
    a.join();
    b.join();
    c.join();
    EXPECT_EQ(w.total, 105);
    EXPECT_EQ(sum, 7);
}

WEFT_TEST(jthread_test, passes_the_stop_token_where_it_fits)
{
    std::atomic<int> with{0};
    std::atomic<int> without{0};
    weft::jthread a([&](const std::stop_token& t, int n) { with += t.stop_possible() ? n : 0; }, 3);
    weft::jthread b([&](int n) { without += n; }, 4);
    a.join();
    b.join();
    EXPECT_EQ(with, 3);
    EXPECT_EQ(without, 4);
}

WEFT_TEST(jthread_test, the_destructor_stops_and_joins)
{
    std::atomic<bool> stopped{false};
    {
        const weft::jthread t(
            [&](const std::stop_token& token)
            {
                while (!token.stop_requested())
                    weft::yield();
                stopped = true;
            });
    }
    EXPECT_TRUE(stopped);
}

WEFT_TEST(jthread_test, request_stop_reaches_the_function)
{
    gate called_back;
    weft::jthread t(
        [&](const std::stop_token& token)
        {
            const std::stop_callback on_stop(token, [&] { called_back.open(); });
            called_back.wait();
        });
    EXPECT_TRUE(t.request_stop());
    EXPECT_FALSE(t.request_stop()) << "only the first request counts";
    t.join();
    EXPECT_TRUE(t.get_stop_token().stop_requested());
}

WEFT_TEST(jthread_test, the_stop_source_is_shared)
{
    weft::jthread t(
        [](const std::stop_token& token)
        {
            while (!token.stop_requested())
                weft::yield();
        });
    std::stop_source source = t.get_stop_source();
    EXPECT_EQ(source.get_token(), t.get_stop_token());
    EXPECT_TRUE(source.request_stop());
    t.join();
}

WEFT_TEST(jthread_test, detach_lets_it_go_on)
{
    gate finish;
    std::atomic<bool> done{false};
    std::stop_token token;
    {
        weft::jthread t(
            [&](const std::stop_token&)
            {
                finish.wait();
                done = true;
            });
        token = t.get_stop_token();
        t.detach();
        EXPECT_FALSE(t.joinable());
        EXPECT_EQ(t.get_id(), weft::jthread::id());
    }
    EXPECT_FALSE(token.stop_requested()) << "the destructor of a detached one requests nothing";
    EXPECT_FALSE(done);
    finish.open();
    EXPECT_TRUE(eventually([&] { return done.load(); }));
}

WEFT_TEST(jthread_test, misuse_is_an_error)
{
    weft::jthread none;
    EXPECT_FALSE(none.joinable());
    EXPECT_FALSE(none.get_stop_token().stop_possible());
    EXPECT_FALSE(none.request_stop());
    expect_invalid_argument([&] { none.join(); });
    expect_invalid_argument([&] { none.detach(); });

    weft::jthread t([] {});
    t.join();
    expect_invalid_argument([&] { t.join(); });
    expect_invalid_argument([&] { t.detach(); });
}

WEFT_TEST(jthread_test, joining_itself_is_an_error)
{
    for (const bool inline_closure : {true, false}) {
        std::error_code seen;
        weft::latch made(1);
        weft::jthread t;
        const auto join_itself = [&]
        {
            made.wait();
            try {
                t.join();
            } catch (const std::system_error& e) {
                seen = e.code();
            }
        };
        if (inline_closure)
            t = weft::jthread(join_itself);
        else
            t = weft::jthread([join_itself, large = std::array<char, 500>()] { join_itself(), (void)large; });
        made.count_down();
        t.join();
        EXPECT_EQ(seen, std::errc::resource_deadlock_would_occur);
    }
    // Another one, a plain thread too, may.
    weft::jthread other([] { weft::yield(); });
    weft::jthread([&] { other.join(); }).join();
    EXPECT_FALSE(other.joinable());
}

WEFT_TEST(jthread_test, moves)
{
    worker w;
    weft::jthread a(&worker::add, &w, 1);
    const weft::jthread::id id = a.get_id();
    weft::jthread b(std::move(a));
    EXPECT_FALSE(a.joinable());  // NOLINT(bugprone-use-after-move): the state after a move is specified
    EXPECT_EQ(a.get_id(), weft::jthread::id());
    EXPECT_EQ(b.get_id(), id);
    weft::jthread c;
    c = std::move(b);
    EXPECT_EQ(c.get_id(), id);
    c.join();
    EXPECT_EQ(w.total, 1);
}

WEFT_TEST(jthread_test, assignment_stops_and_joins_the_former_one)
{
    worker w;
    weft::jthread t([&](const std::stop_token& s) { w.until_stopped(s); });
    t = weft::jthread([&](const std::stop_token& s) { w.until_stopped(s); });
    EXPECT_EQ(w.total, 1) << "the first one was stopped and joined";
    t = weft::jthread();
    EXPECT_EQ(w.total, 2);
    auto& itself = t;
    t = std::move(itself);
    EXPECT_FALSE(t.joinable());
}

WEFT_TEST(jthread_test, swaps)
{
    gate finish;
    weft::jthread a([&] { finish.wait(); });
    weft::jthread b([&](const std::stop_token&) { finish.wait(); });
    const auto id_a = a.get_id();
    const auto id_b = b.get_id();
    const auto token_a = a.get_stop_token();
    a.swap(b);
    EXPECT_EQ(a.get_id(), id_b);
    swap(a, b);
    EXPECT_EQ(a.get_id(), id_a);
    EXPECT_EQ(a.get_stop_token(), token_a);
    finish.open();
}

WEFT_TEST(jthread_test, ids)
{
    std::unordered_set<weft::jthread::id> ids;
    std::vector<weft::jthread> all;
    for (int i = 0; i < 100; ++i) {
        all.emplace_back([] {});
        ids.insert(all.back().get_id());
    }
    EXPECT_EQ(ids.size(), 100U);
    EXPECT_FALSE(ids.contains(weft::jthread::id()));
    EXPECT_LT(weft::jthread::id(), all.front().get_id());
    std::ostringstream text;
    text << all.front().get_id();
    EXPECT_FALSE(text.str().empty());
}

WEFT_TEST(jthread_test, the_function_is_destroyed_when_joined)
{
    weft::jthread t([c = counted()] {});
    t.join();
    EXPECT_EQ(counted::alive, 0);
    weft::jthread u([c = counted(), big = std::array<char, 300>{}](const counted&) { (void)big; }, counted());
    u.join();
    EXPECT_EQ(counted::alive, 0);
}

TEST_F(jthread_test, works_on_plain_threads)
{
    std::atomic<int> ran{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back(
            [&]
            {
                for (std::size_t n = 0; n < scaled(500); ++n) {
                    weft::jthread t([&] { ++ran; });
                    if (n % 2 == 0)
                        t.join();
                }
            });
    }
    for (std::thread& t : threads)
        t.join();
    EXPECT_EQ(ran, static_cast<int>(4 * scaled(500)));
}

WEFT_TEST(jthread_test, many)
{
    std::atomic<std::size_t> ran{0};
    const std::size_t count = weft::test::scaled_live(2'000);
    {
        std::vector<weft::jthread> all;
        for (std::size_t i = 0; i < count; ++i)
            all.emplace_back([&] { ++ran; });
    }
    EXPECT_EQ(ran, count);
}

WEFT_TEST(jthread_test, hardware_concurrency_is_the_number_of_procs)
{
    EXPECT_EQ(weft::jthread::hardware_concurrency(), static_cast<unsigned>(weft::max_procs()));
}

}  // namespace
