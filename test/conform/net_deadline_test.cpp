// What Go's net tests (timeout_test.go, and the deadline parts of conn_test) check, in our own words:
// docs/conformance/net.md.
#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "../unit/fixture.hpp"

namespace {

using namespace std::chrono_literals;
using weft::clock;
using weft::test::eventually;

class net_deadline_test : public weft::test::fixture {};

constexpr auto no_deadline = clock::time_point::max();

struct both_ends {
    weft::net::tcp_listener listener = weft::net::listen("127.0.0.1:0");
    weft::net::tcp_conn client = weft::net::dial(listener.local_address().to_string());
    weft::net::tcp_conn server = listener.accept();
};

std::error_code read_one(weft::io::stream& s)
{
    std::byte b{};
    std::error_code ec;
    (void)s.read({&b, 1}, ec);
    return ec;
}

/// Writes until something is wrong.
std::error_code write_on(weft::io::stream& s)
{
    const std::string much(100'000, 'x');
    std::error_code ec;
    while (!ec)
        s.write(much, ec);
    return ec;
}

WEFT_TEST(net_deadline_test, a_past_deadline_fails_even_with_data_there)
{
    both_ends e;
    e.server.write("x");
    std::byte b{};
    EXPECT_EQ(e.client.read({&b, 1}), 1U);
    e.server.write("y");
    for (const auto when : {clock::now() - 1h, clock::now(), clock::time_point(), clock::time_point(-1ns)}) {
        e.client.set_read_deadline(when);
        for (int i = 0; i < 3; ++i)
            EXPECT_EQ(read_one(e.client), std::errc::timed_out);
    }
    e.client.set_read_deadline(no_deadline);
    EXPECT_FALSE(read_one(e.client)) << "nothing was lost";
}

WEFT_TEST(net_deadline_test, a_past_deadline_fails_writes_too)
{
    both_ends e;
    e.client.set_write_deadline(clock::now() - 1s);
    std::error_code ec;
    EXPECT_EQ(e.client.write("x", ec), 0U);
    EXPECT_EQ(ec, std::errc::timed_out);
    e.client.set_write_deadline(no_deadline);
    EXPECT_EQ(e.client.write("x"), 1U);
}

WEFT_TEST(net_deadline_test, it_is_not_early_and_stays)
{
    both_ends e;
    for (const auto timeout : {1ms, 3ms, 10ms}) {
        const auto until = clock::now() + timeout;
        e.client.set_read_deadline(until);
        EXPECT_EQ(read_one(e.client), std::errc::timed_out);
        EXPECT_GE(clock::now(), until);
        EXPECT_EQ(read_one(e.client), std::errc::timed_out);
    }
}

WEFT_TEST(net_deadline_test, reading_and_writing_are_apart)
{
    both_ends e;
    e.client.set_read_deadline(1ms);
    EXPECT_EQ(read_one(e.client), std::errc::timed_out);
    EXPECT_EQ(e.client.write("x"), 1U);
    e.client.set_deadline(no_deadline);
    e.client.set_write_deadline(clock::now());
    e.server.write("x");
    EXPECT_FALSE(read_one(e.client));
}

WEFT_TEST(net_deadline_test, a_blocked_write_times_out_with_what_it_has_done)
{
    both_ends e;
    const std::string much(64 << 20, 'x');
    e.client.set_write_deadline(500ms);
    std::error_code ec;
    const std::size_t n = e.client.write(much, ec);
    EXPECT_EQ(ec, std::errc::timed_out);
    EXPECT_LT(n, much.size());
    EXPECT_GT(n, 0U);
}

// Go: TestVariousDeadlines
WEFT_TEST(net_deadline_test, various_deadlines)
{
    both_ends e;
    auto writer = weft::async([&e] { return write_on(e.server); });
    for (const auto timeout : {0ns, 1ns, 100ns, 1'000ns, 50'000ns, 1'000'000ns, 5'000'000ns}) {
        for (int run = 0; run < 3; ++run) {
            e.client.set_read_deadline(timeout);
            std::array<std::byte, 4'096> b{};
            std::error_code ec;
            while (!ec)
                e.client.read(b, ec);
            EXPECT_EQ(ec, std::errc::timed_out);
        }
    }
    e.client.close();
    e.server.close();
    EXPECT_TRUE(writer.get());
}

// Go: TestReadTimeoutUnblocksRead, SetDeadline while others wait
WEFT_TEST(net_deadline_test, it_goes_for_those_that_wait_already)
{
    both_ends e;
    auto reader = weft::async([&] { return read_one(e.client); });
    ASSERT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 1; }));
    e.client.set_read_deadline(1ms);
    EXPECT_EQ(reader.get(), std::errc::timed_out);

    auto writer = weft::async([&] { return write_on(e.client); });
    ASSERT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 1; }));
    e.client.set_write_deadline(clock::now() - 1s);
    EXPECT_EQ(writer.get(), std::errc::timed_out);
}

WEFT_TEST(net_deadline_test, it_can_be_put_off_while_others_wait)
{
    both_ends e;
    e.client.set_read_deadline(50ms);
    auto reader = weft::async([&] { return read_one(e.client); });
    ASSERT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 1; }));
    e.client.set_read_deadline(no_deadline);
    weft::sleep_for(60ms);
    EXPECT_FALSE(reader.ready());
    e.server.write("x");
    EXPECT_FALSE(reader.get());
}

WEFT_TEST(net_deadline_test, all_that_queue_time_out)
{
    both_ends e;
    std::atomic<int> timed_out{0};
    weft::wait_group done;
    for (int i = 0; i < 8; ++i)
        done.go([&] { timed_out += read_one(e.client) == std::errc::timed_out ? 1 : 0; });
    e.client.set_read_deadline(2ms);
    done.wait();
    EXPECT_EQ(timed_out, 8);
}

// Go: TestAcceptTimeout, TestAcceptTimeoutMustReturn, TestAcceptTimeoutMustNotReturn
WEFT_TEST(net_deadline_test, accepting)
{
    auto l = weft::net::listen("127.0.0.1:0");
    std::error_code ec;
    l.set_deadline(clock::now() - 1s);
    EXPECT_FALSE(l.accept(ec));
    EXPECT_EQ(ec, std::errc::timed_out);
    l.set_deadline(2ms);
    EXPECT_FALSE(l.accept(ec));
    EXPECT_EQ(ec, std::errc::timed_out);
    l.set_deadline(no_deadline);
    auto accepted = weft::async([&] { return l.accept(); });
    auto c = weft::net::dial(l.local_address().to_string());
    EXPECT_TRUE(accepted.get());
}

// Go: TestReadWriteDeadlineRace, TestConcurrentSetDeadline
WEFT_TEST(net_deadline_test, deadlines_race_with_calls)
{
    both_ends e;
    const std::size_t rounds = weft::test::scaled(2'000);
    weft::wait_group done;
    std::atomic<bool> stop{false};
    for (int i = 0; i < 3; ++i) {
        done.go(
            [&]
            {
                for (std::size_t n = 0; n < rounds; ++n) {
                    e.client.set_read_deadline(2us);
                    e.client.set_write_deadline(2us);
                    weft::yield();
                }
                stop = true;
            });
    }
    done.go(
        [&]
        {
            while (!stop) {
                const std::error_code ec = read_one(e.client);
                EXPECT_TRUE(!ec || ec == std::errc::timed_out) << ec.message();
                weft::yield();
            }
        });
    done.go(
        [&]
        {
            while (!stop) {
                std::error_code ec;
                e.client.write("x", ec);
                EXPECT_TRUE(!ec || ec == std::errc::timed_out) << ec.message();
                weft::yield();
            }
        });
    done.wait();
}

// Go: TestReadDeadlineFluctuation, TestWriteDeadlineFluctuation
WEFT_TEST(net_deadline_test, a_deadline_that_moves_around_ends_the_call)
{
    both_ends e;
    auto reader = weft::async([&] { return read_one(e.client); });
    auto writer = weft::async([&] { return write_on(e.client); });
    auto mover = weft::async(
        [&]
        {
            for (int i = 0; i < 50; ++i) {
                e.client.set_deadline(i % 2 == 0 ? clock::now() + 1h : no_deadline);
                weft::yield();
            }
            e.client.set_deadline(clock::now() + 1ms);
        });
    mover.get();
    EXPECT_EQ(reader.get(), std::errc::timed_out);
    EXPECT_EQ(writer.get(), std::errc::timed_out);
}

WEFT_TEST(net_deadline_test, datagrams_too)
{
    auto u = weft::net::listen_udp("127.0.0.1:0");
    u.set_read_deadline(1ms);
    std::byte b{};
    std::error_code ec;
    (void)u.receive({&b, 1}, nullptr, ec);
    EXPECT_EQ(ec, std::errc::timed_out);
    u.set_deadline(no_deadline);
    u.send_to({&b, 1}, u.local_address());
    EXPECT_EQ(u.receive({&b, 1}), 1U);
}

WEFT_TEST(net_deadline_test, close_goes_before_a_deadline)
{
    both_ends e;
    e.client.set_deadline(clock::now() - 1s);
    e.client.close();
    e.client.set_deadline(1h);
    EXPECT_EQ(read_one(e.client), std::errc::operation_canceled);
    EXPECT_EQ(write_on(e.client), std::errc::operation_canceled);
}

WEFT_TEST(net_deadline_test, many_connections_time_out_each_at_its_time)
{
    const std::size_t n = weft::test::scaled(200);
    auto l = weft::net::listen("127.0.0.1:0");
    std::vector<weft::net::tcp_conn> servers;
    std::vector<weft::net::tcp_conn> clients;
    for (std::size_t i = 0; i < n; ++i) {
        clients.push_back(weft::net::dial(l.local_address().to_string()));
        servers.push_back(l.accept());
    }
    weft::wait_group done;
    for (std::size_t i = 0; i < n; ++i) {
        done.go(
            [&, i]
            {
                const auto until = clock::now() + std::chrono::microseconds(i * 37 % 5'000);
                clients[i].set_read_deadline(until);
                EXPECT_EQ(read_one(clients[i]), std::errc::timed_out);
                EXPECT_GE(clock::now(), until);
            });
    }
    done.wait();
}

}  // namespace
