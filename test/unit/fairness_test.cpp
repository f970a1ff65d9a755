// Everybody gets a turn on a P whose own queue is never empty: who is woken by a descriptor, a timer or from outside;
// and goroutines of both kinds beside each other, a server under full load and a channel's two ends.
#include <atomic>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace {

using namespace std::chrono_literals;
using weft::test::procs;
using weft::test::scaled;

class fairness_test : public weft::test::fixture {};

/// Goroutines that are always runnable, while it lives: some in the queue, and two of which each wakes the other, so
/// that one of them is always the next.
class busy_goroutines {
public:
    busy_goroutines()
    {
        for (int i = 0; i < 4; ++i)
            all_.go(
                [this]
                {
                    while (!stop_)
                        weft::yield();
                });
        all_.go(
            [this]
            {
                while (!stop_) {
                    there_.send(1);
                    (void)back_.recv();
                    trips_.fetch_add(1, std::memory_order_relaxed);
                }
                there_.close();
            });
        all_.go(
            [this]
            {
                for (const int v : there_)
                    back_.send(v);
            });
    }
    busy_goroutines(const busy_goroutines&) = delete;
    busy_goroutines& operator=(const busy_goroutines&) = delete;
    ~busy_goroutines()
    {
        stop_ = true;
        all_.wait();
    }
    [[nodiscard]] std::size_t trips() const { return trips_; }

private:
    std::atomic<bool> stop_{false};
    std::atomic<std::size_t> trips_{0};
    weft::chan<int> there_{};
    weft::chan<int> back_{};
    weft::wait_group all_{};
};

WEFT_TEST(fairness_test, descriptors)
{
    const procs one(1);
    auto there = weft::io::pipe();
    auto back = weft::io::pipe();
    const std::size_t rounds = scaled(200);
    std::thread outside(
        [&]
        {
            std::byte b{};
            for (std::size_t i = 0; i < rounds; ++i) {
                there.writer.write({&b, 1});
                EXPECT_EQ(back.reader.read({&b, 1}), 1U);
            }
            there.writer.close();
        });
    {
        const busy_goroutines busy;
        std::byte b{};
        while (there.reader.read({&b, 1}) == 1)
            back.writer.write({&b, 1});
        EXPECT_GT(busy.trips(), 0U);
    }
    outside.join();
}

WEFT_TEST(fairness_test, timers)
{
    const procs one(1);
    const busy_goroutines busy;
    for (std::size_t i = 0; i < scaled(50); ++i)
        weft::sleep_for(100us);
    EXPECT_GT(busy.trips(), 0U);
}

WEFT_TEST(fairness_test, goroutines_from_outside)
{
    const procs one(1);
    std::atomic<std::size_t> ran{0};
    const std::size_t rounds = scaled(200);
    weft::wait_group over;
    over.add(1);
    const busy_goroutines busy;
    std::thread outside(
        [&]
        {
            for (std::size_t i = 0; i < rounds; ++i)
                weft::async([&] { ++ran; }).get();
            over.done();
        });
    over.wait();
    outside.join();
    EXPECT_EQ(ran, rounds);
}

// While all goes well sysmon looks less often; somebody who computes then is found all the same.
WEFT_TEST(fairness_test, a_hog_after_a_lively_time)
{
    const procs one(1);
    const busy_goroutines busy;
    const std::uint64_t retakes = weft::stats().retakes;
    weft::sleep_for(100ms);  // some ten of its looks
    std::atomic<bool> seen{false};
    weft::go([&] { seen = true; });
    while (!seen) {
    }
    EXPECT_GT(weft::stats().retakes, retakes);
}

/// Connections that are asked without a pause, while it lives.
class loaded_server {
public:
    explicit loaded_server(std::size_t connections)
    {
        for (std::size_t i = 0; i < connections; ++i) {
            all_.go([c = listener_.local_address().to_string(), this] { ask(c); });
            all_.go([c = listener_.accept()]() mutable { serve(c); });
        }
    }
    loaded_server(const loaded_server&) = delete;
    loaded_server& operator=(const loaded_server&) = delete;
    ~loaded_server()
    {
        stop_ = true;
        all_.wait();
    }
    [[nodiscard]] std::size_t answers() const { return answers_; }

private:
    void ask(const std::string& where)
    {
        auto c = weft::net::dial(where);
        std::byte b{};
        while (!stop_) {
            c.write({&b, 1});
            EXPECT_EQ(c.read({&b, 1}), 1U);
            answers_.fetch_add(1, std::memory_order_relaxed);
        }
    }
    static void serve(weft::net::tcp_conn& c)
    {
        std::byte b{};
        while (c.read({&b, 1}) == 1)
            c.write({&b, 1});
    }

    std::atomic<bool> stop_{false};
    std::atomic<std::size_t> answers_{0};
    weft::net::tcp_listener listener_ = weft::net::listen("127.0.0.1:0");
    weft::wait_group all_{};
};

// A round trip through channels takes some turns; meanwhile each connection gets some as well, and no more: counted,
// for turns are what the scheduler gives.
WEFT_TEST(fairness_test, a_channel_beside_a_server_under_load)
{
    const procs one(1);
    constexpr std::size_t connections = 32;
    const loaded_server server(connections);
    weft::chan<int> there;
    weft::chan<int> back;
    weft::wait_group other;
    other.go(
        [&]
        {
            for (const int v : there)
                back.send(v);
        });
    const std::size_t trips = scaled(2'000);
    const std::size_t before = server.answers();
    for (std::size_t i = 0; i < trips; ++i) {
        there.send(1);
        (void)back.recv();
        if (i % 100 == 0)
            weft::yield();
    }
    const std::size_t answers = server.answers() - before;
    there.close();
    other.wait();
    EXPECT_LE(answers, 8 * connections * trips);
}

WEFT_TEST(fairness_test, a_server_beside_busy_goroutines)
{
    const procs one(1);
    const busy_goroutines busy;
    const loaded_server server(8);
    EXPECT_TRUE(weft::test::eventually([&] { return server.answers() >= scaled(1'000); }));
}

}  // namespace
