// weft::condition_variable: waiting for a condition under a mutex.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "weft/condition_variable.hpp"

namespace {

using condition_variable_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;

static_assert(sizeof(weft::condition_variable) == 8);
constinit weft::condition_variable constant_initialised;

bool waiting(std::uint64_t n)
{
    return eventually([n] { return weft::stats().goroutines_waiting >= n; });
}

WEFT_TEST(condition_variable_test, nobody_to_notify)
{
    constant_initialised.notify_one();
    constant_initialised.notify_all();
}

WEFT_TEST(condition_variable_test, notify_one_wakes_in_order)
{
    weft::mutex m;
    weft::condition_variable cv;
    int began = 0;
    std::vector<int> woken;
    weft::wait_group all;
    constexpr int count = 20;
    for (int i = 0; i < count; ++i) {
        all.go(
            [&, i]
            {
                std::unique_lock lock(m);
                ++began;
                cv.wait(lock);
                woken.push_back(i);
            });
        // Who finds it counted has the mutex, and so it waits.
        EXPECT_TRUE(eventually(
            [&]
            {
                const std::lock_guard guard(m);
                return began == i + 1;
            }));
    }
    for (int i = 0; i < count; ++i) {
        const auto so_far = static_cast<std::size_t>(i) + 1;
        cv.notify_one();
        EXPECT_TRUE(eventually(
            [&]
            {
                const std::lock_guard guard(m);
                return woken.size() == so_far;
            }));
    }
    all.wait();
    for (int i = 0; i < count; ++i)
        EXPECT_EQ(woken[static_cast<std::size_t>(i)], i);
}

// The notifier holds the mutex, and does not: with the mutex in use by others, and not.
WEFT_TEST(condition_variable_test, notify_all_wakes_all)
{
    for (const int n : {1, 4}) {
        const procs p(n);
        for (const bool inside : {true, false}) {
            weft::mutex m;
            weft::condition_variable cv;
            bool ready = false;
            std::size_t through = 0;
            const std::size_t count = weft::test::scaled_live(1'000);
            weft::wait_group all;
            for (std::size_t i = 0; i < count; ++i) {
                all.go(
                    [&]
                    {
                        std::unique_lock lock(m);
                        cv.wait(lock, [&] { return ready; });
                        ++through;
                    });
            }
            EXPECT_TRUE(waiting(count));
            std::unique_lock lock(m);
            ready = true;
            if (!inside)
                lock.unlock();
            cv.notify_all();
            if (inside) {
                EXPECT_EQ(through, 0U);
                lock.unlock();
            }
            all.wait();
            EXPECT_EQ(through, count);
            EXPECT_TRUE(m.try_lock());
            m.unlock();
        }
    }
}

// A bounded queue between producers and consumers of both worlds.
struct bounded_queue {
    weft::mutex m;
    weft::condition_variable not_empty;
    weft::condition_variable not_full;
    std::deque<std::uint64_t> items;

    void push(std::uint64_t v)
    {
        std::unique_lock lock(m);
        not_full.wait(lock, [this] { return items.size() < 4; });
        items.push_back(v);
        not_empty.notify_one();
    }
    std::uint64_t pop()
    {
        std::unique_lock lock(m);
        not_empty.wait(lock, [this] { return !items.empty(); });
        const std::uint64_t v = items.front();
        items.pop_front();
        lock.unlock();
        not_full.notify_all();
        return v;
    }
};

TEST_F(condition_variable_test, carries_a_queue_between_threads_and_goroutines)
{
    bounded_queue q;
    const std::uint64_t each = scaled(2'000);
    std::atomic<std::uint64_t> sum{0};
    std::vector<std::thread> threads;
    weft::wait_group all;
    const auto produce = [&]
    {
        for (std::uint64_t i = 1; i <= each; ++i)
            q.push(i);
    };
    const auto consume = [&]
    {
        for (std::uint64_t i = 1; i <= each; ++i)
            sum += q.pop();
    };
    threads.emplace_back(produce);
    threads.emplace_back(consume);
    for (int i = 0; i < 4; ++i) {
        all.go(produce);
        all.go(consume);
    }
    for (std::thread& t : threads)
        t.join();
    all.wait();
    EXPECT_EQ(sum, 5 * each * (each + 1) / 2);
}

WEFT_TEST(condition_variable_test, a_wait_without_the_lock_is_an_error)
{
    weft::mutex m;
    weft::condition_variable cv;
    std::unique_lock lock(m, std::defer_lock);
    EXPECT_THROW(cv.wait(lock), std::logic_error);
    EXPECT_THROW((void)cv.wait_for(lock, 1ms), std::logic_error);
    std::unique_lock<weft::mutex> none;
    EXPECT_THROW(cv.wait(none), std::logic_error);
}

template <class Until>
void times_out(Until until)
{
    weft::mutex m;
    weft::condition_variable cv;
    std::unique_lock lock(m);
    EXPECT_EQ(cv.wait_for(lock, 1ms), std::cv_status::timeout);
    EXPECT_TRUE(lock.owns_lock());
    EXPECT_FALSE(m.try_lock());
    EXPECT_EQ(cv.wait_until(lock, until()), std::cv_status::timeout);
    EXPECT_FALSE(cv.wait_for(lock, 1ms, [] { return false; }));
    EXPECT_TRUE(cv.wait_for(lock, 1ms, [] { return true; }));
    int looked = 0;
    EXPECT_TRUE(cv.wait_until(lock, until(), [&] { return ++looked == 2; })) << "looks again at the end";
    EXPECT_FALSE(cv.wait_for(lock, std::stop_token(), 1ms, [] { return false; }));
}

WEFT_TEST(condition_variable_test, times_out)
{
    times_out([] { return weft::clock::now() + 1ms; });
    times_out([] { return std::chrono::system_clock::now() + 1ms; });
    times_out([] { return weft::clock::now() - 1ms; });
}

TEST_F(condition_variable_test, times_out_on_a_plain_thread)
{
    times_out([] { return std::chrono::steady_clock::now() + 1ms; });
}

// A deadline that has passed still lets the others have the mutex.
WEFT_TEST(condition_variable_test, a_passed_deadline_releases_the_mutex)
{
    weft::mutex m;
    weft::condition_variable cv;
    std::unique_lock lock(m);
    bool been_there = false;
    weft::wait_group other;
    other.go(
        [&]
        {
            const std::lock_guard guard(m);
            been_there = true;
        });
    EXPECT_TRUE(eventually(
        [&]
        {
            (void)cv.wait_until(lock, weft::clock::now() - 1s);
            return been_there;
        }));
    lock.unlock();
    other.wait();
}

void stops(bool before)
{
    weft::mutex m;
    weft::condition_variable cv;
    std::stop_source source;
    std::atomic<bool> entered{false};
    if (before)
        source.request_stop();
    auto waiter = weft::async(
        [&]
        {
            std::unique_lock lock(m);
            const bool held = cv.wait(lock, source.get_token(),
                                      [&]
                                      {
                                          entered = true;
                                          return false;
                                      });
            EXPECT_TRUE(lock.owns_lock());
            return held;
        });
    EXPECT_TRUE(eventually([&] { return entered.load(); }));
    if (!before)
        source.request_stop();
    EXPECT_FALSE(waiter.get());
}

WEFT_TEST(condition_variable_test, a_stop_request_ends_the_wait)
{
    for (std::size_t i = 0; i < scaled(200); ++i) {
        stops(false);
        stops(true);
    }
}

TEST_F(condition_variable_test, a_stop_request_ends_the_wait_of_a_thread)
{
    weft::mutex m;
    weft::condition_variable cv;
    std::jthread waiter(
        [&](const std::stop_token& stop)
        {
            std::unique_lock lock(m);
            EXPECT_FALSE(cv.wait(lock, stop, [] { return false; }));
            EXPECT_FALSE(cv.wait_for(lock, stop, 1h, [] { return false; }));
        });
    waiter.request_stop();
}

// Waiters that give up beside those that are notified: each notification counts once.
TEST_F(condition_variable_test, deadlines_race_with_notifications)
{
    weft::mutex m;
    weft::condition_variable cv;
    std::uint64_t tokens = 0;
    std::uint64_t made = 0;
    std::uint64_t taken = 0;
    std::atomic<bool> stop{false};
    const auto consume = [&](std::size_t id)
    {
        for (std::size_t i = 0; !stop; ++i) {
            std::unique_lock lock(m);
            if (cv.wait_for(lock, std::chrono::microseconds((i * 7 + id * 11) % 50), [&] { return tokens > 0; })) {
                --tokens;
                ++taken;
            }
        }
    };
    std::vector<std::thread> threads;
    weft::wait_group all;
    for (std::size_t id = 0; id < 3; ++id)
        threads.emplace_back([&, id] { consume(id); });
    for (std::size_t id = 0; id < 10; ++id)
        all.go([&, id] { consume(id); });
    for (std::size_t i = 0; i < scaled(2'000); ++i) {
        {
            const std::lock_guard guard(m);
            const std::uint64_t n = i % 3 + 1;
            tokens += n;
            made += n;
            if (n == 1)
                cv.notify_one();
            else
                cv.notify_all();
        }
        if (i % 16 == 0)
            weft::yield();
    }
    EXPECT_TRUE(eventually(
        [&]
        {
            const std::lock_guard guard(m);
            return tokens == 0;
        }));
    stop = true;
    for (std::thread& t : threads)
        t.join();
    all.wait();
    EXPECT_EQ(taken, made);
}

// Destroyed as soon as its waiters have been notified; ASan and TSan see a late touch.
WEFT_TEST(condition_variable_test, may_be_destroyed_after_the_notification)
{
    const procs four(4);
    weft::mutex m;
    for (std::size_t i = 0; i < scaled(2'000); ++i) {
        auto cv = std::make_unique<weft::condition_variable>();
        bool ready = false;
        int waiting_now = 0;
        weft::wait_group all;
        for (int w = 0; w < 3; ++w) {
            all.go(
                [&, raw = cv.get()]
                {
                    std::unique_lock lock(m);
                    ++waiting_now;
                    if (!ready)
                        raw->wait(lock);
                });
        }
        EXPECT_TRUE(eventually(
            [&]
            {
                const std::lock_guard guard(m);
                return waiting_now == 3;
            }));
        {
            const std::lock_guard guard(m);
            ready = true;
            cv->notify_all();
            cv.reset();
        }
        all.wait();
    }
}

}  // namespace
