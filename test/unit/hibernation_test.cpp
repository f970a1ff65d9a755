// Hibernation as a program sees it: whatever a goroutine waits for, it goes on as if nothing had been; whoever has a
// pointer into its stack reads and writes there as ever; and what must be left alone is.
//
// The runtime hibernates by itself too, what has been parked for a second (or at once, with WEFT_DEBUG=hibernate): so
// that a stack is away is waited for, and that it came back is read from counters of which only this goroutine's
// actions move some.
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../support/rng.hpp"
#include "../support/threads.hpp"
#include "fixture.hpp"
#include "weft/debug.hpp"
#include "weft/detail/kept_stack.hpp"
#include "weft/testing.hpp"
#include "weft/weft.hpp"

namespace {

using namespace std::chrono_literals;
using weft::test::eventually;
using weft::test::gate;
using weft::test::rng;

class hibernation_test : public weft::test::fixture {};

#define SKIP_WHERE_OFF()                                                               \
    if (const char* const why_off = weft::stats().hibernation_off; why_off != nullptr) \
    GTEST_SKIP() << why_off

std::uint64_t away()
{
    return weft::stats().goroutines_hibernated;
}

/// Until so many goroutines are hibernated; those that are not parked yet are waited for.
[[nodiscard]] bool hibernate(std::size_t n)
{
    return eventually(
        [n]
        {
            (void)weft::testing::hibernate_parked();
            return away() >= n;
        });
}

/// What a goroutine keeps on its stack: words from a seed, its own address, and what lies deep.
template <std::size_t Words>
class kept {
public:
    explicit kept(std::uint64_t seed) : own_(this), seed_(seed)
    {
        rng r(seed);
        for (std::uint64_t& w : words_)
            w = r.next() >> r.below(64);
    }
    [[nodiscard]] bool intact() const
    {
        rng r(seed_);
        bool good = own_ == this;
        for (const std::uint64_t& w : words_) {
            const std::uint64_t word = r.next();
            good = good && w == word >> r.below(64);
        }
        return good;
    }

private:
    const kept* volatile own_;
    std::uint64_t seed_;
    std::array<std::uint64_t, Words> words_;
};

/// The frames of `depth` calls, each with values of its own, around `wait()`. True: all were intact afterwards.
template <class Wait>
[[gnu::noinline]] bool around(int depth, std::uint64_t seed, Wait& wait)
{
    const kept<8> here(seed);
    bool good = true;
    if (depth == 0)
        wait();
    else
        good = around(depth - 1, seed + 1, wait);
    return good && here.intact();
}

/// What is used of a stack may have 16 KiB, and a sanitizer's frames are several times as large.
constexpr std::size_t depths = weft::test::under_sanitizer ? 3 : 12;

/// Goroutines of which each waits by `wait(i)`, hibernated while they do; `wake()` lets all of them go on.
template <class Wait, class Wake>
void expect_intact(std::size_t n, Wait wait, Wake wake, const weft::attr& attributes = {})
{
    std::atomic<std::size_t> good{0};
    weft::wait_group all;
    all.add(static_cast<int>(n));
    for (std::size_t i = 0; i < n; ++i) {
        weft::go(attributes,
                 [&, i]
                 {
                     auto waiting = [&] { wait(i); };
                     if (around(static_cast<int>(i % depths), 1'000 * i, waiting))
                         ++good;
                     all.done();
                 });
    }
    EXPECT_TRUE(hibernate(n)) << away() << " of " << n << ", stacks of " << attributes.stack_size;
    wake();
    all.wait();
    EXPECT_EQ(good, n) << "stacks of " << attributes.stack_size;
}

// --- whatever it waits for

WEFT_TEST(hibernation_test, in_a_channel)
{
    SKIP_WHERE_OFF();
    constexpr std::size_t n = 100;
    weft::chan<std::uint64_t> values;
    std::atomic<std::uint64_t> sum{0};
    expect_intact(
        n, [&](std::size_t) { sum += values.recv().value(); },
        [&]
        {
            for (std::uint64_t i = 0; i < n; ++i)
                values.send(i);
        });
    EXPECT_EQ(sum, n * (n - 1) / 2);
    expect_intact(
        n, [&](std::size_t i) { values.send(i); },
        [&]
        {
            for (std::size_t i = 0; i < n; ++i)
                sum -= values.recv().value();
        });
    EXPECT_EQ(sum, 0U);
}

WEFT_TEST(hibernation_test, in_a_select)
{
    SKIP_WHERE_OFF();
    constexpr std::size_t n = 60;
    weft::chan<std::string> a;
    weft::chan<std::string> b;
    weft::chan<int> never;
    const std::string text(100, 'x');  // its bytes are on the heap, itself on the stack
    std::atomic<std::size_t> right{0};
    expect_intact(
        n,
        [&](std::size_t)
        {
            const auto check = [&](const std::optional<std::string>& s) { right += s == text ? 1 : 0; };
            weft::select(weft::on_recv(a, check), weft::on_recv(b, check), weft::on_send(never, 1));
        },
        [&]
        {
            for (std::size_t i = 0; i < n; ++i)
                (i % 2 == 0 ? a : b).send(text);
        });
    EXPECT_EQ(right, n);
}

WEFT_TEST(hibernation_test, in_a_mutex)
{
    SKIP_WHERE_OFF();
    weft::mutex m;
    int inside = 0;
    m.lock();
    expect_intact(
        50,
        [&](std::size_t)
        {
            const std::lock_guard hold(m);
            ++inside;
        },
        [&] { m.unlock(); });
    EXPECT_EQ(inside, 50);
}

WEFT_TEST(hibernation_test, in_a_condition_variable)
{
    SKIP_WHERE_OFF();
    weft::mutex m;
    weft::condition_variable changed;
    bool go_on = false;
    expect_intact(
        50,
        [&](std::size_t)
        {
            std::unique_lock hold(m);
            changed.wait(hold, [&] { return go_on; });
        },
        [&]
        {
            const std::lock_guard hold(m);
            go_on = true;
            changed.notify_all();
        });
}

WEFT_TEST(hibernation_test, with_a_deadline)
{
    SKIP_WHERE_OFF();
    weft::mutex m;
    weft::condition_variable changed;
    bool go_on = false;
    std::atomic<int> right{0};
    expect_intact(
        50,
        [&](std::size_t)
        {
            std::unique_lock hold(m);
            right += changed.wait_for(hold, 1h, [&] { return go_on; }) ? 1 : 0;
        },
        [&]
        {
            const std::lock_guard hold(m);
            go_on = true;
            changed.notify_all();
        });
    EXPECT_EQ(right, 50);
}

WEFT_TEST(hibernation_test, asleep)
{
    SKIP_WHERE_OFF();
    constexpr int n = 20;
    std::atomic<bool> stop{false};
    std::atomic<int> good{0};
    weft::wait_group all;
    for (int i = 0; i < n; ++i) {
        all.go(
            [&, i]
            {
                auto sleep = [&]
                {
                    while (!stop)
                        weft::sleep_for(2ms);
                };
                good += around(i % 12, 1'000 + static_cast<std::uint64_t>(i), sleep) ? 1 : 0;
            });
    }
    const std::uint64_t before = weft::stats().hibernations;
    EXPECT_TRUE(eventually(
        [before]
        {
            (void)weft::testing::hibernate_parked();
            return weft::stats().hibernations >= before + 200;
        }));
    stop = true;
    all.wait();
    EXPECT_EQ(good, n);
}

WEFT_TEST(hibernation_test, in_a_wait_group_a_latch_and_a_semaphore)
{
    SKIP_WHERE_OFF();
    gate open;
    weft::latch counted(1);
    weft::counting_semaphore<> none(0);
    expect_intact(
        60,
        [&](std::size_t i)
        {
            if (i % 3 == 0)
                open.wait();
            else if (i % 3 == 1)
                counted.wait();
            else
                none.acquire();
        },
        [&]
        {
            open.open();
            counted.count_down();
            none.release(20);
        });
}

WEFT_TEST(hibernation_test, in_a_future)
{
    SKIP_WHERE_OFF();
    constexpr std::size_t n = 30;
    gate open;
    std::vector<weft::future<std::string>> texts;
    for (std::size_t i = 0; i < n; ++i)
        texts.push_back(weft::async(weft::attr{.hibernate = false},
                                    [&, i]
                                    {
                                        open.wait();
                                        return std::to_string(i);
                                    }));
    std::atomic<std::size_t> right{0};
    expect_intact(
        n, [&](std::size_t i) { right += texts[i].get() == std::to_string(i) ? 1 : 0; }, [&] { open.open(); });
    EXPECT_EQ(right, n);
}

WEFT_TEST(hibernation_test, in_io)
{
    SKIP_WHERE_OFF();
    constexpr std::size_t n = 40;
    std::vector<weft::io::pipe_ends> pipes(n);
    for (weft::io::pipe_ends& p : pipes)
        p = weft::io::pipe();
    std::atomic<std::size_t> right{0};
    expect_intact(
        n,
        [&](std::size_t i)
        {
            std::array<std::byte, 100> buffer{};
            if (pipes[i].reader.read(buffer) == 4 && std::memcmp(buffer.data(), "text", 4) == 0)
                ++right;
        },
        [&]
        {
            for (weft::io::pipe_ends& p : pipes)
                p.writer.write("text");
        });
    EXPECT_EQ(right, n);
}

WEFT_TEST(hibernation_test, while_an_exception_is_handled_and_after_it)
{
    SKIP_WHERE_OFF();
    gate open;
    std::atomic<int> right{0};
    expect_intact(
        20,
        [&](std::size_t i)
        {
            try {
                throw std::runtime_error(std::to_string(i));
            } catch (const std::exception& e) {
                open.wait();
                right += e.what() == std::to_string(i) ? 1 : 0;
            }
            try {
                throw 7;
            } catch (int seven) {
                right += seven == 7 ? 1 : 0;
            }
        },
        [&] { open.open(); });
    EXPECT_EQ(right, 40);
}

WEFT_TEST(hibernation_test, again_and_again)
{
    SKIP_WHERE_OFF();
    constexpr int rounds = 50;
    weft::chan<int> ball;
    weft::wait_group all;
    std::atomic<bool> good{false};
    all.go(
        [&]
        {
            auto play = [&]
            {
                for (int i = 0; i < rounds; ++i)
                    EXPECT_EQ(ball.recv(), i);
            };
            good = around(5, 1, play);
        });
    for (int i = 0; i < rounds; ++i) {
        ASSERT_TRUE(hibernate(1));
        ball.send(i);
    }
    all.wait();
    EXPECT_TRUE(good);
}

WEFT_TEST(hibernation_test, with_its_errno)
{
    SKIP_WHERE_OFF();
    gate open;
    std::atomic<int> right{0};
    expect_intact(
        10,
        [&](std::size_t i)
        {
            weft::test::set_errno(static_cast<int>(i) + 1);
            open.wait();
            right += weft::test::get_errno() == static_cast<int>(i) + 1 ? 1 : 0;
        },
        [&] { open.open(); });
    EXPECT_EQ(right, 10);
}

/// Its stack comes back behind the back of whoever wakes it, touches it, or switches to it.
WEFT_TEST(hibernation_test, with_the_errno_of_others)
{
    SKIP_WHERE_OFF();
    constexpr int ours = 4'711;
    const weft::test::procs one(1);
    for (int round = 0; round < 10; ++round) {
        weft::io::pipe_ends p = weft::io::pipe();
        gate open;
        int* at = nullptr;
        std::atomic<bool> over{false};
        weft::wait_group all;
        all.go(
            [&]
            {
                int own = 1;
                at = &own;
                open.wait();
                std::byte b{};
                p.reader.read({&b, 1});
                EXPECT_EQ(own, 2);
                over = true;
            });
        EXPECT_TRUE(hibernate(1));
        weft::test::set_errno(ours);
        *at += 1;
        EXPECT_EQ(weft::test::get_errno(), ours);
        EXPECT_TRUE(hibernate(1));
        weft::test::set_errno(ours);
        open.open();
        EXPECT_EQ(weft::test::get_errno(), ours);
        EXPECT_TRUE(hibernate(1));
        const std::byte b{};
        p.writer.write({&b, 1});
        while (!over) {
            weft::test::set_errno(ours);
            weft::yield();
            EXPECT_EQ(weft::test::get_errno(), ours);
        }
        all.wait();
    }
}

// --- of every shape

WEFT_TEST(hibernation_test, stacks_of_every_class)
{
    SKIP_WHERE_OFF();
    for (const unsigned kib : {16U, 32U, 64U, 128U, 256U, 1'024U, 2'048U, 4'096U, 65'536U}) {
        gate open;
        expect_intact(
            20, [&](std::size_t) { open.wait(); }, [&] { open.open(); }, {.stack_size = std::size_t{kib} << 10});
    }
}

/// Uses about `bytes` of the stack, and has them checked around `wait()`.
template <std::size_t Bytes, class Wait>
[[gnu::noinline]] bool with_large_frame(std::uint64_t seed, Wait& wait)
{
    const kept<Bytes / 8> here(seed);
    wait();
    return here.intact();
}

WEFT_TEST(hibernation_test, frames_of_several_pages)
{
    SKIP_WHERE_OFF();
    gate open;
    weft::wait_group all;
    std::atomic<int> good{0};
    auto wait = [&] { open.wait(); };
    for (int i = 0; i < 10; ++i) {
        all.go([&] { good += with_large_frame<1'000>(1, wait) ? 1 : 0; });
        all.go([&] { good += with_large_frame<4'000>(2, wait) ? 1 : 0; });
        all.go([&] { good += with_large_frame<8'000>(3, wait) ? 1 : 0; });
        // With a sanitizer's frames around it close to the 16 KiB up to which a stack is taken away.
        all.go([&] { good += with_large_frame<12'000>(4, wait) ? 1 : 0; });
    }
    EXPECT_TRUE(hibernate(40));
    open.open();
    all.wait();
    EXPECT_EQ(good, 40);
}

/// Whether the page at `at` is in memory.
bool in_memory(const void* at)
{
    constexpr std::uintptr_t page = 4'096;
    unsigned char there = 0;
    return ::mincore(reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(at) & ~(page - 1)), 1, &there) == 0 &&
           (there & 1U) != 0;
}

/// Touches `Bytes` of the stack below its caller and tells where they end.
template <std::size_t Bytes>
[[gnu::noinline]] char* go_deep()
{
    volatile char far[Bytes];
    for (std::size_t i = 0; i < Bytes; i += 1'024)
        far[i] = 1;
    char* volatile low = const_cast<char*>(far);
    return low;
}

WEFT_TEST(hibernation_test, what_lies_below_a_large_used_part_goes_back)
{
    SKIP_WHERE_OFF();
    gate open;
    weft::wait_group all;
    std::atomic<char*> low{nullptr};
    std::atomic<bool> good{false};
    all.go(
        [&]
        {
            auto wait = [&]
            {
                low = go_deep<40'000>() + 4'096;
                open.wait();
            };
            good = with_large_frame<40'000>(1, wait);  // more than is packed
        });
    EXPECT_TRUE(eventually(
        [&]
        {
            (void)weft::testing::hibernate_parked();
            return low != nullptr && !in_memory(low);
        }))
        << "trimmed";
    open.open();
    all.wait();
    EXPECT_TRUE(good);
}

WEFT_TEST(hibernation_test, a_hibernated_stack_is_not_in_memory)
{
    SKIP_WHERE_OFF();
    constexpr std::size_t n = 8;
    gate open;
    std::array<std::atomic<char*>, n> where{};
    std::array<char*, n> copy{};
    weft::wait_group all;
    for (std::size_t i = 0; i < n; ++i) {
        all.go(
            [&, i]
            {
                char here = 0;
                where[i] = &here;
                open.wait();
            });
    }
    ASSERT_TRUE(hibernate(n));
    for (std::size_t i = 0; i < n; ++i) {
        copy[i] = where[i];
        EXPECT_FALSE(in_memory(copy[i]));
    }
    open.open();
    all.wait();
}

// --- pointers into it

WEFT_TEST(hibernation_test, other_goroutines_read_and_write_there)
{
    SKIP_WHERE_OFF();
    constexpr std::size_t n = 50;
    gate open;
    std::array<std::atomic<std::atomic<std::uint64_t>*>, n> words{};
    weft::wait_group all;
    std::atomic<std::size_t> right{0};
    for (std::size_t i = 0; i < n; ++i) {
        all.go(
            [&, i]
            {
                std::atomic<std::uint64_t> word{i};
                words[i] = &word;
                open.wait();
                right += word == i + 3'000 ? 1 : 0;
            });
    }
    for (std::uint64_t round = 0; round < 3; ++round) {
        ASSERT_TRUE(hibernate(n));
        const weft::runtime_stats before = weft::stats();
        for (std::size_t i = 0; i < n; ++i) {
            EXPECT_EQ(words[i].load()->load(), i + 1'000 * round);
            words[i].load()->fetch_add(1'000);
        }
        EXPECT_GE(weft::stats().restores_by_access, before.restores_by_access + n);
        EXPECT_GE(weft::stats().restores, before.restores + n);
    }
    open.open();
    all.wait();
    EXPECT_EQ(right, n);
}

WEFT_TEST(hibernation_test, plain_threads_read_and_write_there)
{
    SKIP_WHERE_OFF();
    gate open;
    std::atomic<std::array<std::uint64_t, 16>*> there{nullptr};
    weft::wait_group all;
    std::atomic<bool> right{false};
    all.go(
        [&]
        {
            std::array<std::uint64_t, 16> words{};
            words.fill(7);
            there = &words;
            open.wait();
            right = words[0] == 8 && words[15] == 9;
        });
    ASSERT_TRUE(hibernate(1));
    std::thread(
        [&]
        {
            EXPECT_EQ((*there)[0], 7U);
            (*there)[0] = 8;
        })
        .join();
    ASSERT_TRUE(hibernate(1));
    std::thread([&] { (*there)[15] = 9; }).join();
    ASSERT_TRUE(hibernate(1));
    open.open();
    all.wait();
    EXPECT_TRUE(right);
}

WEFT_TEST(hibernation_test, two_faults_at_once)
{
    SKIP_WHERE_OFF();
    gate open;
    std::atomic<std::atomic<std::uint64_t>*> there{nullptr};
    weft::wait_group all;
    std::atomic<std::uint64_t> sum{0};
    all.go(
        [&]
        {
            std::atomic<std::uint64_t> word{0};
            there = &word;
            open.wait();
            sum = word.load();
        });
    const std::size_t rounds = weft::test::scaled(200);
    for (std::size_t i = 0; i < rounds; ++i) {
        ASSERT_TRUE(hibernate(1));
        std::atomic<int> ready{0};
        const auto add = [&]
        {
            ++ready;
            while (ready < 2)
                std::this_thread::yield();
            ++*there.load();
        };
        std::thread a(add);
        std::thread b(add);
        a.join();
        b.join();
    }
    open.open();
    all.wait();
    EXPECT_EQ(sum, 2 * rounds);
}

WEFT_TEST(hibernation_test, io_into_a_hibernated_stack)
{
    SKIP_WHERE_OFF();
    constexpr std::size_t size = 6'000;  // over a page's edge
    gate open;
    std::atomic<std::array<std::byte, size>*> there{nullptr};
    weft::wait_group all;
    std::atomic<bool> right{false};
    all.go(
        [&]
        {
            std::array<std::byte, size> buffer{};
            there = &buffer;
            open.wait();
            right = std::all_of(buffer.begin(), buffer.end(), [](std::byte b) { return b == std::byte{'x'}; });
        });
    weft::io::pipe_ends p = weft::io::pipe();
    const std::vector<std::byte> text(size, std::byte{'x'});
    p.writer.write(text);
    ASSERT_TRUE(hibernate(1));
    std::size_t done = 0;
    while (done < size)
        done += p.reader.read(std::span(*there.load()).subspan(done));
    ASSERT_TRUE(hibernate(1));
    EXPECT_EQ(p.writer.write(*there.load()), size);
    std::vector<std::byte> back(size);
    for (done = 0; done < size;)
        done += p.reader.read(std::span(back).subspan(done));
    EXPECT_EQ(back, text);
    open.open();
    all.wait();
    EXPECT_TRUE(right);
}

// --- what the kernel is given

/// Goroutines of which each has a `T` on its stack for others, and waits.
template <class T, std::size_t N = 1>
class owners {
public:
    template <class Make>
    explicit owners(Make make)
    {
        for (std::size_t i = 0; i < N; ++i)
            all_.go(
                [this, i, make]
                {
                    T own = make(i);
                    where_[i] = &own;
                    open_.wait();
                });
    }
    owners(const owners&) = delete;
    owners& operator=(const owners&) = delete;
    ~owners()
    {
        open_.open();
        all_.wait();
    }
    [[nodiscard]] T& operator[](std::size_t i) const { return *where_[i].load(); }

private:
    std::array<std::atomic<T*>, N> where_{};
    gate open_;
    weft::wait_group all_;
};

using text_buffer = std::array<std::byte, 64>;

text_buffer filled_with(char c)
{
    text_buffer made{};
    made.fill(static_cast<std::byte>(c));
    return made;
}

WEFT_TEST(hibernation_test, one_write_of_several_stacks)
{
    SKIP_WHERE_OFF();
    const owners<text_buffer, 3> texts([](std::size_t i) { return filled_with(static_cast<char>('a' + i)); });
    ASSERT_TRUE(hibernate(3));
    const std::string own = "own";
    const std::array<std::span<const std::byte>, 4> parts{std::as_bytes(std::span(own)), texts[0], texts[1], texts[2]};
    std::string expected = own;
    for (const char c : {'a', 'b', 'c'})
        expected.append(sizeof(text_buffer), c);
    const auto check = [&](weft::io::stream& to, weft::io::stream& from)
    {
        ASSERT_TRUE(hibernate(3));
        EXPECT_EQ(to.writev(parts), expected.size());
        std::string got(expected.size(), 0);
        for (std::size_t done = 0; done < got.size();)
            done += from.read(std::as_writable_bytes(std::span(got)).subspan(done));
        EXPECT_EQ(got, expected);
    };
    weft::io::pipe_ends pipe = weft::io::pipe();
    check(pipe.writer, pipe.reader);
    weft::net::unix_ends local = weft::net::unix_pair();
    check(local.first, local.second);
    weft::net::tcp_listener listener = weft::net::listen("127.0.0.1:0");
    weft::net::tcp_conn dialed = weft::net::dial(listener.local_address().to_string());
    weft::net::tcp_conn accepted = listener.accept();
    check(dialed, accepted);
}

/// The kernel forgets the count before it finds that it can't be written.
WEFT_TEST(hibernation_test, an_event_is_not_lost)
{
    SKIP_WHERE_OFF();
    const owners<std::uint64_t> count([](std::size_t) { return std::uint64_t{0}; });
    weft::io::stream event = weft::io::adopt(::eventfd(5, EFD_NONBLOCK | EFD_CLOEXEC));
    ASSERT_TRUE(hibernate(1));
    event.set_read_deadline(30s);
    EXPECT_EQ(event.read(std::as_writable_bytes(std::span(&count[0], 1))), sizeof(std::uint64_t));
    EXPECT_EQ(count[0], 5U);
}

WEFT_TEST(hibernation_test, datagrams)
{
    SKIP_WHERE_OFF();
    namespace net = weft::net;
    net::udp_conn from = net::listen_udp("127.0.0.1:0");
    net::udp_conn to = net::listen_udp("127.0.0.1:0");
    struct shared {
        net::address name;
        text_buffer text;
    };
    const owners<shared, 2> both([&](std::size_t i)
                                 { return shared{to.local_address(), filled_with(i == 0 ? 'x' : 'y')}; });
    ASSERT_TRUE(hibernate(2));
    from.send_to(both[0].text, both[0].name);
    ASSERT_TRUE(hibernate(2));
    EXPECT_EQ(to.receive(both[1].text), sizeof(text_buffer));
    EXPECT_EQ(both[1].text, filled_with('x'));
    const std::array<net::to_send, 1> sent{{{both[0].text, to.local_address()}}};
    ASSERT_TRUE(hibernate(2));
    EXPECT_EQ(from.send_many(sent), 1U);
    both[1].text = {};
    std::array<net::received, 1> got{{{.buffer = both[1].text}}};
    ASSERT_TRUE(hibernate(2));
    EXPECT_EQ(to.receive_many(got), 1U);
    EXPECT_EQ(both[1].text, filled_with('x'));
}

WEFT_TEST(hibernation_test, a_file_that_is_read_for_long)
{
    SKIP_WHERE_OFF();
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    std::atomic<char*> there{nullptr};
    std::atomic<long> reader{0};
    std::atomic<bool> right{false};
    weft::wait_group all;
    all.go(
        [&]
        {
            std::array<std::byte, 64> buffer{};
            there = reinterpret_cast<char*>(buffer.data());
            std::size_t n = 0;
            std::error_code ec;
            weft::wait_group reading;
            reading.go(
                [&]
                {
                    weft::fs::file pipe(ends[0]);
                    reader = weft::test::thread_id();
                    n = pipe.read(buffer, ec);
                });
            reading.wait();
            right = n == 4 && !ec && std::memcmp(buffer.data(), "text", 4) == 0;
        });
    gate open;
    all.go([&] { open.wait(); });
    EXPECT_TRUE(eventually([&] { return reader != 0 && weft::test::thread_sleeps(reader); })) << "in read(2)";
    EXPECT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 2; }));
    EXPECT_TRUE(hibernate(1));
    (void)weft::testing::hibernate_parked();
    EXPECT_TRUE(in_memory(there));
    EXPECT_EQ(::write(ends[1], "text", 4), 4);
    open.open();
    all.wait();
    EXPECT_TRUE(right);
    ::close(ends[1]);
}

WEFT_TEST(hibernation_test, what_is_kept_stays_until_all_let_it_go)
{
    SKIP_WHERE_OFF();
    const owners<char, 2> both([](std::size_t) { return 'x'; });
    ASSERT_TRUE(hibernate(2));
    const char* const kept_one = &both[0];
    const char* const other = &both[1];
    {
        const weft::detail::kept_stack kept(kept_one);
        EXPECT_TRUE(in_memory(kept_one)) << "put back";
        {
            const weft::detail::kept_stack again(kept_one);
            const weft::detail::kept_stack elsewhere(std::make_unique<char>().get());
            const weft::detail::kept_stack own(&kept);
        }
        (void)weft::testing::hibernate_parked();
        EXPECT_TRUE(in_memory(kept_one));
        EXPECT_FALSE(in_memory(other));
        EXPECT_EQ(away(), 1U);
    }
    EXPECT_TRUE(hibernate(2));
}

// --- what is left alone

WEFT_TEST(hibernation_test, pinned_locked_and_those_that_say_so_are_left_alone)
{
    SKIP_WHERE_OFF();
    gate open;
    weft::wait_group all;
    all.add(4);
    std::array<std::atomic<char*>, 4> where{};
    const auto wait = [&](std::size_t i)
    {
        char here = 0;
        where[i] = &here;
        open.wait();
        all.done();
    };
    weft::go(weft::attr{.pinned = true}, [&] { wait(0); });
    weft::go(
        [&]
        {
            const weft::pin here;
            wait(1);
        });
    weft::go(weft::attr{.hibernate = false}, [&] { wait(2); });
    weft::go([&] { wait(3); });
    ASSERT_TRUE(hibernate(1));  // the last one
    ASSERT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 4; }));
    (void)weft::testing::hibernate_parked();
    (void)weft::testing::hibernate_parked();
    EXPECT_EQ(away(), 1U);
    for (std::size_t i = 0; i < 3; ++i)
        EXPECT_TRUE(in_memory(where[i].load()));
    EXPECT_FALSE(in_memory(where[3].load()));
    open.open();
    all.wait();
}

TEST_F(hibernation_test, those_of_bubbles_are_left_alone)
{
    if (const char* const why_off = weft::stats().hibernation_off; why_off != nullptr)
        GTEST_SKIP() << why_off;
    weft::testing::bubble(
        []
        {
            weft::chan<int> c;
            weft::go([&] { EXPECT_EQ(c.recv(), 1); });
            weft::go([&] { weft::sleep_for(1h); });
            weft::testing::settle();
            EXPECT_EQ(weft::testing::hibernate_parked(), 0U);
            EXPECT_EQ(away(), 0U);
            c.send(1);
        });
}

WEFT_TEST(hibernation_test, one_that_keeps_its_own_stack_is_left_alone_for_so_long)
{
    SKIP_WHERE_OFF();
    gate first;
    gate second;
    gate third;
    std::atomic<char*> there{nullptr};
    weft::wait_group all;
    all.go([&] { third.wait(); });
    all.go(
        [&]
        {
            char here = 0;
            {
                const weft::detail::kept_own_stack kept;
                {
                    const weft::detail::kept_own_stack again;
                }
                there = &here;
                first.wait();
            }
            second.wait();
        });
    ASSERT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 2; }));
    ASSERT_TRUE(hibernate(1));
    (void)weft::testing::hibernate_parked();
    EXPECT_EQ(away(), 1U);
    EXPECT_TRUE(in_memory(there));
    first.open();
    EXPECT_TRUE(hibernate(2));
    second.open();
    third.open();
    all.wait();
}

WEFT_TEST(hibernation_test, one_that_was_unpinned_is_hibernated_again)
{
    SKIP_WHERE_OFF();
    gate open;
    weft::wait_group all;
    all.go(
        [&]
        {
            {
                const weft::pin here;
                weft::yield();
            }
            open.wait();
        });
    EXPECT_TRUE(hibernate(1));
    open.open();
    all.wait();
}

// --- seen from outside

[[gnu::noinline]] void wait_in_a_function_with_a_name(gate& open)
{
    open.wait();
    asm volatile("");
}

std::size_t count(const std::string& text, const std::string& what)
{
    std::size_t n = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
        ++n;
    return n;
}

WEFT_TEST(hibernation_test, a_dump_shows_their_stacks_and_does_not_put_them_back)
{
    SKIP_WHERE_OFF();
    gate open;
    weft::wait_group all;
    all.add(2);
    const auto wait = [&]
    {
        wait_in_a_function_with_a_name(open);
        all.done();
    };
    weft::go(weft::attr{.name = "hibernated"}, wait);
    weft::go(weft::attr{.name = "hot", .hibernate = false}, wait);
    // Whoever begins to wait links itself to the one before, on that one's stack.
    ASSERT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 2; }));
    ASSERT_TRUE(hibernate(1));
    const weft::runtime_stats before = weft::stats();
    const std::string dump = weft::debug::dump_string();
    const weft::runtime_stats after = weft::stats();
    EXPECT_EQ(after.restores, before.restores);
    EXPECT_EQ(after.goroutines_hibernated, 1U);
    // Two that wait in the same place, so both have the same frames.
    const auto frames = [&](const std::string& name)
    {
        const std::size_t begin = dump.find("[" + name + "]");
        return begin == std::string::npos ? 0 : count(dump.substr(begin, dump.find("\n\n", begin) - begin), "    #");
    };
    EXPECT_EQ(frames("hibernated"), frames("hot")) << dump;
    EXPECT_GE(frames("hibernated"), 3U) << dump;
    open.open();
    all.wait();
}

WEFT_TEST(hibernation_test, stats_add_up)
{
    SKIP_WHERE_OFF();
    constexpr std::size_t n = 200;
    gate open;
    weft::wait_group all;
    const weft::runtime_stats before = weft::stats();
    EXPECT_EQ(before.hibernations - before.restores, before.goroutines_hibernated);
    for (std::size_t i = 0; i < n; ++i)
        all.go([&] { open.wait(); });
    ASSERT_TRUE(hibernate(n));
    const weft::runtime_stats during = weft::stats();
    EXPECT_EQ(during.goroutines_hibernated, before.goroutines_hibernated + n);
    EXPECT_EQ(during.hibernations - during.restores, during.goroutines_hibernated);
    EXPECT_GE(during.hibernations, before.hibernations + n);
    EXPECT_GT(during.stack_hibernated, 0U);
    EXPECT_GE(during.goroutines_waiting, n);
    open.open();
    all.wait();
    const weft::runtime_stats after = weft::stats();
    EXPECT_EQ(after.goroutines_hibernated, before.goroutines_hibernated);
    EXPECT_EQ(after.hibernations - after.restores, after.goroutines_hibernated);
    EXPECT_GE(after.restores, during.restores + n);
}

WEFT_TEST(hibernation_test, where_it_is_off_nothing_is_taken_away)
{
    if (weft::stats().hibernation_off == nullptr)
        GTEST_SKIP() << "it is on";
    gate open;
    weft::wait_group all;
    all.go([&] { open.wait(); });
    ASSERT_TRUE(eventually([] { return weft::stats().goroutines_waiting >= 1; }));
    EXPECT_EQ(weft::testing::hibernate_parked(), 0U);
    EXPECT_EQ(away(), 0U);
    EXPECT_NE(std::string(weft::stats().hibernation_off), "");
    open.open();
    all.wait();
}

// --- whole ranges of stacks

/// The ranges of 2 MiB without access, of those in which goroutines' stacks lie.
std::size_t ranges_without_access(const std::vector<char*>& stacks)
{
    constexpr std::uintptr_t range = std::uintptr_t{2} << 20;
    std::vector<std::uintptr_t> of_stacks;
    for (const char* s : stacks)
        of_stacks.push_back(reinterpret_cast<std::uintptr_t>(s) / range);
    std::sort(of_stacks.begin(), of_stacks.end());
    of_stacks.erase(std::unique(of_stacks.begin(), of_stacks.end()), of_stacks.end());
    std::size_t n = 0;
    FILE* const maps = std::fopen("/proc/self/maps", "r");
    std::array<char, 512> line{};
    while (maps != nullptr && std::fgets(line.data(), line.size(), maps) != nullptr) {
        unsigned long low = 0;
        unsigned long high = 0;
        std::array<char, 5> access{};
        if (std::sscanf(line.data(), "%lx-%lx %4s", &low, &high, access.data()) != 3 || access[0] != '-')
            continue;
        for (const std::uintptr_t r : of_stacks)
            n += r * range >= low && (r + 1) * range <= high ? 1 : 0;
    }
    if (maps != nullptr)
        std::fclose(maps);
    return n;
}

/// Whether WEFT_DEBUG has that word.
bool debugs(const char* word)
{
    const char* const words = std::getenv("WEFT_DEBUG");
    return words != nullptr &&
           (std::string(",") + words + ",").find(std::string(",") + word + ",") != std::string::npos;
}

/// Many of a class of their own, so that they fill ranges of 2 MiB.
class filled_ranges {
public:
    static constexpr std::size_t stack = std::size_t{64} << 10;
    static constexpr std::size_t in_a_range = (std::size_t{2} << 20) / stack;

    explicit filled_ranges(std::size_t n) : words_(n)
    {
        all_.add(static_cast<int>(n));
        for (std::size_t i = 0; i < n; ++i) {
            weft::go(weft::attr{.stack_size = stack},
                     [this, i]
                     {
                         std::atomic<std::uint64_t> word{i};
                         words_[i] = &word;
                         auto wait = [this, i] { doors_[i % doors_.size()].wait(); };
                         const bool good = around(static_cast<int>(i % 7), i, wait);
                         right_ += good && word == i + 1 ? 1 : 0;
                         all_.done();
                     });
        }
    }
    void write_to_all()
    {
        for (std::atomic<std::atomic<std::uint64_t>*>& w : words_)
            ++*w.load();
    }
    void write_to(std::size_t i) { ++*words_[i].load(); }
    void open(std::size_t door) { doors_[door].open(); }
    [[nodiscard]] std::vector<char*> stacks() const
    {
        std::vector<char*> at;
        for (const std::atomic<std::atomic<std::uint64_t>*>& w : words_)
            at.push_back(reinterpret_cast<char*>(w.load()));
        return at;
    }
    std::size_t wait()
    {
        all_.wait();
        return right_;
    }

private:
    std::vector<std::atomic<std::atomic<std::uint64_t>*>> words_;
    std::array<gate, 2> doors_;
    weft::wait_group all_;
    std::atomic<std::size_t> right_{0};
};

WEFT_TEST(hibernation_test, ranges_of_which_all_stacks_are_away)
{
    SKIP_WHERE_OFF();
    constexpr std::size_t n = 10 * filled_ranges::in_a_range;
    filled_ranges f(n);
    ASSERT_TRUE(hibernate(n));
    const std::size_t cold = debugs("nocoldspans") ? 0 : 8;  // all but those at the edges
    EXPECT_GE(ranges_without_access(f.stacks()), cold);
    f.write_to(0);  // one stack of one of them, and the others of that range stay away
    EXPECT_GE(away(), n - 1);
    ASSERT_TRUE(hibernate(n));
    EXPECT_GE(ranges_without_access(f.stacks()), cold);
    for (std::size_t i = 1; i < n; ++i)
        f.write_to(i);
    if (!debugs("hibernate")) {  // at once
        EXPECT_EQ(ranges_without_access(f.stacks()), 0U);
    }
    ASSERT_TRUE(hibernate(n));
    f.open(0);
    f.open(1);
    EXPECT_EQ(f.wait(), n);
}

WEFT_TEST(hibernation_test, ranges_of_which_some_stacks_are_in_use)
{
    SKIP_WHERE_OFF();
    constexpr std::size_t n = 6 * filled_ranges::in_a_range;
    filled_ranges f(n);
    ASSERT_TRUE(hibernate(n));
    f.write_to_all();
    ASSERT_TRUE(hibernate(n));
    f.open(0);  // every second one wakes up and ends; another one in its stack
    ASSERT_TRUE(eventually([] { return weft::stats().goroutines_waiting <= 1 + n / 2; }));
    gate open;
    weft::wait_group others;
    others.add(n / 4);
    for (std::size_t i = 0; i < n / 4; ++i)
        weft::go(weft::attr{.stack_size = filled_ranges::stack, .hibernate = false},
                 [&]
                 {
                     open.wait();
                     others.done();
                 });
    ASSERT_TRUE(hibernate(n / 2));
    f.open(1);
    EXPECT_EQ(f.wait(), n);
    open.open();
    others.wait();
}

WEFT_TEST(hibernation_test, in_several_threads_while_they_wake_up)
{
    SKIP_WHERE_OFF();
    const std::size_t n = weft::test::scaled_live(500);
    const std::size_t rounds = weft::test::scaled(100);
    std::atomic<bool> stop{false};
    std::vector<std::thread> hibernators;
    for (int i = 0; i < 2; ++i)
        hibernators.emplace_back(
            [&]
            {
                while (!stop)
                    (void)weft::testing::hibernate_parked();
            });
    std::vector<weft::chan<int>> in(n);
    for (weft::chan<int>& c : in)
        c = weft::chan<int>(0);
    weft::chan<int> out(0);
    std::atomic<std::size_t> good{0};
    weft::wait_group all;
    for (std::size_t i = 0; i < n; ++i)
        all.go(
            [&, i]
            {
                auto echo = [&]
                {
                    while (const auto v = in[i].recv())
                        out.send(*v);
                };
                good += around(static_cast<int>(i % 9), i, echo) ? 1 : 0;
            });
    for (std::size_t round = 0; round < rounds; ++round) {
        for (std::size_t i = 0; i < 10; ++i)
            in[(round * 10 + i) % n].send(static_cast<int>(i));
        int sum = 0;
        for (std::size_t i = 0; i < 10; ++i)
            sum += out.recv().value();
        EXPECT_EQ(sum, 45);
    }
    for (weft::chan<int>& c : in)
        c.close();
    all.wait();
    stop = true;
    for (std::thread& t : hibernators)
        t.join();
    EXPECT_EQ(good, n);
}

}  // namespace
