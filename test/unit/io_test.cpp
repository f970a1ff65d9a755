#include "weft/io.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "fixture.hpp"
#include "weft/net.hpp"

namespace {

using namespace std::chrono_literals;
using weft::test::eventually;

class io_test : public weft::test::fixture {
protected:
    void SetUp() override
    {
        ::signal(SIGPIPE, SIG_IGN);
        weft::test::fixture::SetUp();
    }
};

std::span<std::byte> bytes(std::string& s)
{
    return std::as_writable_bytes(std::span(s));
}

std::string read_all(weft::io::stream& from)
{
    std::string all;
    std::string part(1'000, '\0');
    while (const std::size_t n = from.read(bytes(part)))
        all.append(part, 0, n);
    return all;
}

/// Bytes that show where they belong.
std::string pattern(std::size_t n)
{
    std::string s(n, '\0');
    for (std::size_t i = 0; i < n; ++i)
        s[i] = static_cast<char>(i * 7 + i / 251);
    return s;
}

WEFT_TEST(io_test, a_pipe_carries_bytes_and_its_end)
{
    auto p = weft::io::pipe();
    auto received = weft::async([&] { return read_all(p.reader); });
    EXPECT_EQ(p.writer.write("hello "), 6U);
    EXPECT_EQ(p.writer.write("world"), 5U);
    p.writer.close();
    EXPECT_EQ(received.get(), "hello world");
}

WEFT_TEST(io_test, more_than_a_pipe_holds)
{
    auto p = weft::io::pipe();
    const std::string sent = pattern(weft::test::scaled(3'000'000));
    auto received = weft::async([&] { return read_all(p.reader); });
    EXPECT_EQ(p.writer.write(sent), sent.size());
    p.writer.close();
    EXPECT_EQ(received.get(), sent);
}

WEFT_TEST(io_test, writev_of_many_parts)
{
    auto p = weft::io::pipe();
    const std::string sent = pattern(300'000);
    std::vector<std::span<const std::byte>> parts;
    const auto all = std::as_bytes(std::span(sent));
    for (std::size_t at = 0, n = 0; at < all.size(); at += n, n = (n * 3 + 1) % 5'000)
        parts.push_back(all.subspan(at, std::min(n, all.size() - at)));
    auto received = weft::async([&] { return read_all(p.reader); });
    EXPECT_EQ(p.writer.writev(parts), sent.size());
    EXPECT_EQ(p.writer.writev({}), 0U);
    p.writer.close();
    EXPECT_EQ(received.get(), sent);
}

WEFT_TEST(io_test, nothing_to_read_or_write)
{
    auto p = weft::io::pipe();
    EXPECT_EQ(p.reader.read({}), 0U);
    EXPECT_EQ(p.writer.write(""), 0U);
}

WEFT_TEST(io_test, a_pipe_without_a_reader)
{
    auto p = weft::io::pipe();
    p.reader.close();
    std::error_code ec;
    EXPECT_EQ(p.writer.write("x", ec), 0U);
    EXPECT_EQ(ec, std::errc::broken_pipe);
}

WEFT_TEST(io_test, empty_objects_say_so)
{
    weft::io::stream s;
    std::error_code ec;
    std::byte b{};
    EXPECT_FALSE(s);
    EXPECT_EQ(s.native_handle(), -1);
    EXPECT_EQ(s.read({&b, 1}, ec), 0U);
    EXPECT_EQ(ec, std::errc::bad_file_descriptor);
    s.write("x", ec);
    EXPECT_EQ(ec, std::errc::bad_file_descriptor);
    s.close(ec);
    EXPECT_EQ(ec, std::errc::bad_file_descriptor);
    s.set_deadline(1s);
    EXPECT_THROW(s.read({&b, 1}), std::system_error);
}

WEFT_TEST(io_test, closed_objects_say_so)
{
    auto p = weft::io::pipe();
    p.reader.close();
    EXPECT_FALSE(p.reader.is_open());
    EXPECT_EQ(p.reader.native_handle(), -1);
    std::error_code ec;
    std::byte b{};
    EXPECT_EQ(p.reader.read({&b, 1}, ec), 0U);
    EXPECT_EQ(ec, std::errc::operation_canceled);
    p.reader.close(ec);
    EXPECT_EQ(ec, std::errc::operation_canceled);
    EXPECT_THROW(p.reader.close(), std::system_error);
}

WEFT_TEST(io_test, close_wakes_the_reader_and_all_behind_it)
{
    auto p = weft::io::pipe();
    weft::wait_group done;
    std::atomic<int> canceled{0};
    for (int i = 0; i < 5; ++i) {
        done.go(
            [&]
            {
                std::error_code ec;
                std::byte b{};
                p.reader.read({&b, 1}, ec);
                canceled += ec == std::errc::operation_canceled ? 1 : 0;
            });
    }
    ASSERT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 5; }));
    const int number = p.reader.native_handle();
    p.reader.close();
    EXPECT_EQ(::fcntl(number, F_GETFD), -1) << "the number is the kernel's again when close() has returned";
    done.wait();
    EXPECT_EQ(canceled, 5);
}

WEFT_TEST(io_test, close_wakes_the_writer)
{
    auto p = weft::io::pipe();
    auto written = weft::async(
        [&]
        {
            std::error_code ec;
            const std::string much(1'000'000, 'x');
            const std::size_t n = p.writer.write(much, ec);
            EXPECT_LT(n, much.size());
            EXPECT_GT(n, 0U);
            return ec;
        });
    ASSERT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 1; }));
    p.writer.close();
    EXPECT_EQ(written.get(), std::errc::operation_canceled);
}

WEFT_TEST(io_test, readers_take_turns)
{
    auto p = weft::io::pipe();
    constexpr int readers = 4;
    const std::size_t each = weft::test::scaled(2'000);
    std::atomic<int> sum{0};
    weft::wait_group done;
    for (int i = 0; i < readers; ++i) {
        done.go(
            [&]
            {
                for (std::size_t n = 0; n < each; ++n) {
                    std::byte b{};
                    ASSERT_EQ(p.reader.read({&b, 1}), 1U);
                    sum += static_cast<int>(b);
                }
            });
    }
    for (std::size_t n = 0; n < each * readers; ++n)
        p.writer.write("\1");
    done.wait();
    EXPECT_EQ(sum, static_cast<int>(each) * readers);
}

WEFT_TEST(io_test, a_write_is_not_torn_by_another)
{
    auto p = weft::io::pipe();
    constexpr std::size_t size = 200'000;
    weft::wait_group done;
    for (const char c : {'a', 'b', 'c'})
        done.go([&p, c] { p.writer.write(std::string(size, c)); });
    std::string all;
    std::string part(7'000, '\0');
    while (all.size() < 3 * size)
        all.append(part, 0, p.reader.read(bytes(part)));
    done.wait();
    for (std::size_t i = 0; i < 3; ++i)
        EXPECT_EQ(all.substr(i * size, size), std::string(size, all[i * size]));
}

WEFT_TEST(io_test, a_moved_stream_is_the_same)
{
    auto p = weft::io::pipe();
    weft::io::stream r = std::move(p.reader);
    EXPECT_FALSE(p.reader);
    p.writer.write("x");
    std::byte b{};
    EXPECT_EQ(r.read({&b, 1}), 1U);
}

WEFT_TEST(io_test, adopted_descriptors)
{
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    weft::io::stream a = weft::io::adopt(ends[0]);
    weft::io::stream b = weft::io::adopt(ends[1]);
    auto echo = weft::async(
        [&]
        {
            b.write(read_all(b));
            b.close();
        });
    a.write("round trip");
    ::shutdown(a.native_handle(), SHUT_WR);
    EXPECT_EQ(read_all(a), "round trip");
    echo.get();
}

WEFT_TEST(io_test, what_can_not_be_adopted)
{
    std::error_code ec;
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ASSERT_GE(file, 0);
    EXPECT_FALSE(weft::io::adopt(file, ec));
    EXPECT_EQ(ec, std::errc::operation_not_permitted);
    EXPECT_EQ(::close(file), 0) << "it has stayed ours";
    EXPECT_FALSE(weft::io::adopt(file, ec));
    EXPECT_EQ(ec, std::errc::bad_file_descriptor);
}

WEFT_TEST(io_test, events_count)
{
    weft::io::event e(2);
    EXPECT_EQ(e.wait(), 2U);
    auto waiter = weft::async([&] { return e.wait(); });
    e.set(40);
    EXPECT_EQ(waiter.get(), 40U);
    e.set_read_deadline(1ms);
    std::error_code ec;
    EXPECT_EQ(e.wait(ec), 0U);
    EXPECT_EQ(ec, std::errc::timed_out);
}

/// What a signal handler sets.
weft::io::event* set_by_signals = nullptr;
std::atomic<std::uint64_t> signals{0};
std::atomic<int> errors_of_signals{0};

// The handler meets the write side busy, and threads of all kinds.
WEFT_TEST(io_test, events_are_set_by_signal_handlers)
{
    weft::io::event e;
    set_by_signals = &e;
    signals = 0;
    struct sigaction by_handler{};
    struct sigaction before{};
    by_handler.sa_handler = [](int)
    {
        const int found = std::exchange(errno, EDOM);
        std::error_code ec;
        set_by_signals->set(1, ec);
        if (ec || errno != EDOM)
            ++errors_of_signals;
        ++signals;
        errno = found;
    };
    by_handler.sa_flags = SA_ONSTACK | SA_RESTART;
    ASSERT_EQ(::sigaction(SIGALRM, &by_handler, &before), 0);
    std::uint64_t set = 0;
    std::atomic<bool> enough{false};
    auto setting = weft::async(
        [&]
        {
            while (!enough) {
                for (int i = 0; i < 100; ++i)
                    e.set();
                set += 100;
                weft::yield();
            }
        });
    const std::size_t wanted = weft::test::scaled(2'000);
    const itimerval often{{0, 200}, {0, 200}};
    const itimerval off{};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &often, nullptr), 0);
    std::uint64_t got = 0;
    while (signals < wanted)
        got += e.wait();
    ASSERT_EQ(::setitimer(ITIMER_REAL, &off, nullptr), 0);
    enough = true;
    setting.get();
    // One signal may be on its way still.
    EXPECT_TRUE(eventually(
        [&]
        {
            e.set();
            ++set;
            got += e.wait();
            return got == set + signals;
        }));
    ASSERT_EQ(::sigaction(SIGALRM, &before, nullptr), 0);
    EXPECT_EQ(errors_of_signals, 0);
}

// A handler must not wait, whatever the counter is.
WEFT_TEST(io_test, a_full_event_is_an_error_at_once)
{
    constexpr std::uint64_t full = std::numeric_limits<std::uint64_t>::max() - 1;
    weft::io::event e;
    e.set(full);
    static weft::io::event* set_by_handler = nullptr;
    static std::error_code said;
    set_by_handler = &e;
    said.clear();
    struct sigaction by_handler{};
    struct sigaction before{};
    by_handler.sa_handler = [](int) { set_by_handler->set(1, said); };
    by_handler.sa_flags = SA_ONSTACK;
    ASSERT_EQ(::sigaction(SIGUSR1, &by_handler, &before), 0);
    EXPECT_EQ(::raise(SIGUSR1), 0);
    ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
    EXPECT_EQ(said, std::errc::resource_unavailable_try_again) << said.message();
    EXPECT_THROW(e.set(), std::system_error);
    EXPECT_EQ(e.wait(), full) << "it has stayed as it was";
    e.set(3);
    EXPECT_EQ(e.wait(), 3U);
}

int child(int status, int signal)
{
    const pid_t pid = ::fork();
    if (pid == 0) {
        if (signal != 0) {
            ::signal(signal, SIG_DFL);
            ::raise(signal);
        }
        ::_exit(status);
    }
    return pid;
}

WEFT_TEST(io_test, processes_end)
{
    weft::io::process_end end = weft::io::wait_process(child(7, 0));
    EXPECT_EQ(end.exit_code, 7);
    EXPECT_EQ(end.signal, 0);
    end = weft::io::wait_process(child(0, SIGTERM));
    EXPECT_EQ(end.exit_code, -1);
    EXPECT_EQ(end.signal, SIGTERM);
    std::error_code ec;
    (void)weft::io::wait_process(::getpid(), {}, ec);
    EXPECT_TRUE(ec == std::errc::no_child_process) << ec.message();
}

WEFT_TEST(io_test, a_context_ends_the_wait_for_a_process)
{
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::close(ends[1]);
        char c;
        ::_exit(::read(ends[0], &c, 1) == 0 ? 3 : 4);
    }
    ::close(ends[0]);
    const auto ctx = weft::with_timeout(weft::background(), 5ms);
    std::error_code ec;
    (void)weft::io::wait_process(pid, ctx, ec);
    EXPECT_EQ(ec, weft::context_errc::deadline_exceeded);
    ::close(ends[1]);
    EXPECT_EQ(weft::io::wait_process(pid).exit_code, 3);
}

void copy_through(weft::io::stream& from, weft::io::stream& feed, weft::io::stream& to, weft::io::stream& drain)
{
    const std::string sent = pattern(weft::test::scaled(2'000'000));
    auto fed = weft::async(
        [&]
        {
            feed.write(sent);
            feed.close();
        });
    auto received = weft::async([&] { return read_all(drain); });
    EXPECT_EQ(weft::io::copy(from, to), sent.size());
    to.close();
    EXPECT_EQ(received.get(), sent);
    fed.get();
}

WEFT_TEST(io_test, copy_from_pipe_to_pipe)
{
    auto a = weft::io::pipe();
    auto b = weft::io::pipe();
    copy_through(a.reader, a.writer, b.writer, b.reader);
}

WEFT_TEST(io_test, copy_from_socket_to_socket)
{
    int ends[4];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends + 2), 0);
    weft::io::stream s[4];
    for (int i = 0; i < 4; ++i)
        s[i] = weft::io::adopt(ends[i]);
    copy_through(s[0], s[1], s[2], s[3]);
}

// splice(2) stops at the mark of urgent data, and says 0 as at the end.
WEFT_TEST(io_test, copy_goes_on_behind_urgent_data)
{
    auto listener = weft::net::listen("127.0.0.1:0");
    auto source = weft::net::dial(listener.local_address().to_string());
    auto from = listener.accept();
    auto p = weft::io::pipe();
    auto received = weft::async([&] { return read_all(p.reader); });
    source.write("two");
    ASSERT_EQ(::send(source.native_handle(), "!", 1, MSG_OOB), 1);
    source.write("three");
    source.close();
    EXPECT_EQ(weft::io::copy(from, p.writer), 8U);
    p.writer.close();
    EXPECT_EQ(received.get(), "twothree");
}

WEFT_TEST(io_test, copy_into_what_has_gone)
{
    auto a = weft::io::pipe();
    auto b = weft::io::pipe();
    b.reader.close();
    a.writer.write("lost");
    std::error_code ec;
    EXPECT_EQ(weft::io::copy(a.reader, b.writer, ec), 0U);
    EXPECT_EQ(ec, std::errc::broken_pipe);
    weft::io::stream none;
    EXPECT_EQ(weft::io::copy(none, b.writer, ec), 0U);
    EXPECT_EQ(ec, std::errc::bad_file_descriptor);
}

WEFT_TEST(io_test, files_are_sent)
{
    std::string name = "/tmp/weft_io_test.XXXXXX";
    const int file = ::mkostemp(name.data(), O_CLOEXEC);
    ASSERT_GE(file, 0);
    ::unlink(name.c_str());
    const std::string content = pattern(400'000);
    ASSERT_EQ(::write(file, content.data(), content.size()), static_cast<ssize_t>(content.size()));
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    weft::io::stream to = weft::io::adopt(ends[0]);
    weft::io::stream drain = weft::io::adopt(ends[1]);
    auto received = weft::async([&] { return read_all(drain); });
    EXPECT_EQ(weft::io::send_file(to, file, 1'000, 1'000'000), content.size() - 1'000);
    to.close();
    EXPECT_EQ(received.get(), content.substr(1'000));
    ::close(file);
}

// sendfile(2) takes none of these.
WEFT_TEST(io_test, files_of_proc_are_sent)
{
    const int file = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ASSERT_GE(file, 0);
    auto p = weft::io::pipe();
    auto received = weft::async([&] { return read_all(p.reader); });
    const std::uint64_t all = weft::io::send_file(p.writer, file, 0, 1'000'000);
    const std::uint64_t part = weft::io::send_file(p.writer, file, 1, 4);
    p.writer.close();
    const std::string text = received.get();
    EXPECT_EQ(text.size(), all + 4);
    EXPECT_TRUE(text.starts_with("Name:"));
    EXPECT_TRUE(text.ends_with("ame:"));
    EXPECT_EQ(part, 4U);
    std::error_code ec;
    EXPECT_EQ(weft::io::send_file(p.writer, -1, 0, 1, ec), 0U);
    EXPECT_TRUE(ec);
    ::close(file);
}

// Plain threads on both sides, without a run().
TEST_F(io_test, plain_threads)
{
    auto p = weft::io::pipe();
    const std::string sent = pattern(500'000);
    std::thread writer(
        [&]
        {
            p.writer.write(sent);
            p.writer.close();
        });
    EXPECT_EQ(read_all(p.reader), sent);
    writer.join();
    std::error_code ec;
    std::byte b{};
    auto q = weft::io::pipe();
    q.reader.set_read_deadline(2ms);
    q.reader.read({&b, 1}, ec);
    EXPECT_EQ(ec, std::errc::timed_out);
    q.reader.set_read_deadline(weft::clock::time_point::max());
    std::thread closer([&] { q.reader.close(); });
    q.reader.read({&b, 1}, ec);
    EXPECT_EQ(ec, std::errc::operation_canceled);
    closer.join();
}

TEST_F(io_test, a_thread_and_a_goroutine)
{
    auto p = weft::io::pipe();
    auto q = weft::io::pipe();
    const std::size_t rounds = weft::test::scaled(2'000);
    std::thread echo(
        [&]
        {
            std::byte b{};
            while (p.reader.read({&b, 1}) == 1)
                q.writer.write({&b, 1});
        });
    weft::run(
        [&]
        {
            for (std::size_t i = 0; i < rounds; ++i) {
                std::byte b{static_cast<unsigned char>(i)};
                p.writer.write({&b, 1});
                std::byte c{};
                ASSERT_EQ(q.reader.read({&c, 1}), 1U);
                ASSERT_EQ(b, c);
            }
            p.writer.close();
        });
    echo.join();
}

}  // namespace
