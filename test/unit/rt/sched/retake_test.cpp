// A P is taken away from who computes or blocks (src/rt/sched/retake.cpp), and what follows: the others go on, whoever
// lost it gets one again, threads come and go.
#include <netdb.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "rt/core/m.hpp"
#include "rt/rt.hpp"
#include "rt/sched/retake.hpp"
#include "rt/sched/scheduler.hpp"

namespace {

using retake_test = weft::test::fixture;
using weft::test::eventually;
using weft::test::get_errno;
using weft::test::procs;
using weft::test::scaled;
using weft::test::set_errno;
using weft::test::thread_id;

using namespace std::chrono_literals;

/// A loop that makes no call of ours. It ends when others, who need its P, say so.
void compute_until(const std::atomic<bool>& stop)
{
    for (volatile unsigned x = 0; !stop.load(std::memory_order_relaxed);)
        x = x + 1;
}

/// A pipe, to block on without a word to the runtime.
class pipe_pair {
public:
    pipe_pair() { EXPECT_EQ(::pipe(ends_.data()), 0); }
    pipe_pair(const pipe_pair&) = delete;
    pipe_pair& operator=(const pipe_pair&) = delete;
    ~pipe_pair()
    {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    [[nodiscard]] int reading() const { return ends_[0]; }
    [[nodiscard]] char read_one() const
    {
        char c = 0;
        EXPECT_EQ(::read(ends_[0], &c, 1), 1);
        return c;
    }
    void write_one(char c) const { EXPECT_EQ(::write(ends_[1], &c, 1), 1); }

private:
    std::array<int, 2> ends_{};
};

WEFT_TEST(retake_test, a_tight_loop_holds_nobody_up)
{
    const procs one(1);
    std::atomic<bool> stop{false};
    weft::wait_group all;
    all.go([&] { compute_until(stop); });
    weft::yield();  // the loop runs, and has our P; we can come back only if it loses it
    stop = true;
    all.wait();
}

WEFT_TEST(retake_test, many_tight_loops_hold_nobody_up)
{
    const procs two(2);
    std::atomic<bool> stop{false};
    weft::wait_group all;
    for (int i = 0; i < 20; ++i)
        all.go([&] { compute_until(stop); });
    weft::sleep_for(1ms);
    weft::yield();
    stop = true;
    all.wait();
}

WEFT_TEST(retake_test, timers_go_off_beside_a_tight_loop)
{
    const procs one(1);
    std::atomic<bool> stop{false};
    weft::wait_group all;
    weft::after_func(1ms, [&] { stop = true; });
    all.go([&] { compute_until(stop); });
    all.wait();
}

WEFT_TEST(retake_test, a_plain_thread_is_served_beside_a_tight_loop)
{
    const procs one(1);
    std::atomic<bool> stop{false};
    std::thread outside;
    weft::wait_group all;
    all.go(
        [&]
        {
            outside = std::thread([&] { weft::async([&] { stop = true; }).get(); });
            compute_until(stop);
        });
    all.wait();
    outside.join();
}

WEFT_TEST(retake_test, an_unannounced_blocking_call_holds_nobody_up)
{
    const procs one(1);
    const pipe_pair line;
    weft::wait_group all;
    all.go([&] { EXPECT_EQ(line.read_one(), 'x'); });
    weft::yield();
    line.write_one('x');
    all.wait();
}

WEFT_TEST(retake_test, a_std_mutex_may_block)
{
    const procs one(1);
    std::mutex m;
    weft::wait_group all;
    m.lock();
    all.go([&] { const std::lock_guard hold(m); });
    weft::yield();
    m.unlock();
    all.wait();
}

WEFT_TEST(retake_test, a_process_may_be_waited_for)
{
    const procs one(1);
    const pipe_pair line;
    const pid_t child = ::fork();
    if (child == 0) {
        char c = 0;
        ::_exit(::read(line.reading(), &c, 1) == 1 && c == 'q' ? 7 : 8);
    }
    weft::wait_group all;
    all.go(
        [&]
        {
            int status = 0;
            while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
            }
            EXPECT_EQ(WEXITSTATUS(status), 7);
        });
    weft::yield();
    line.write_one('q');
    all.wait();
}

// Each call is shorter than a slice; but between them none of ours is made.
WEFT_TEST(retake_test, calls_of_libraries_hold_nobody_up)
{
    const procs one(1);
    for (void (*const call)() : {+[] { ::usleep(500); },
                                 +[]
                                 {
                                     addrinfo* list = nullptr;
                                     if (::getaddrinfo("localhost", nullptr, nullptr, &list) == 0)
                                         ::freeaddrinfo(list);
                                 }}) {
        std::atomic<bool> stop{false};
        weft::wait_group all;
        all.go(
            [&]
            {
                while (!stop)
                    call();
            });
        weft::yield();
        stop = true;
        all.wait();
    }
}

WEFT_TEST(retake_test, blocking_returns_what_the_call_returns)
{
    EXPECT_EQ(weft::blocking([] { return 42; }), 42);
    int x = 1;
    int& same = weft::blocking([&]() -> int& { return x; });
    EXPECT_EQ(&same, &x);
    weft::blocking([&] { x = 2; });
    EXPECT_EQ(x, 2);
    EXPECT_THROW(weft::blocking([] { throw std::runtime_error("from within"); }), std::runtime_error);
    EXPECT_EQ(weft::blocking(
                  []
                  {
                      weft::yield();  // calls of ours are fine in there
                      return weft::async([] { return 5; }).get();
                  }),
              5);
}

TEST_F(retake_test, blocking_on_a_plain_thread_calls_it)
{
    EXPECT_EQ(weft::blocking([] { return 42; }), 42);
}

WEFT_TEST(retake_test, blocking_lets_others_run_and_comes_back)
{
    const procs one(1);
    const pipe_pair line;
    weft::wait_group all;
    all.go([&] { EXPECT_EQ(weft::blocking([&] { return line.read_one(); }), 'b'); });
    weft::yield();
    line.write_one('b');
    all.wait();
}

WEFT_TEST(retake_test, errno_survives_the_way_back)
{
    const procs one(1);
    std::atomic<bool> stop{false};
    weft::wait_group all;
    const pipe_pair line;
    all.go(
        [&]
        {
            const int saved = weft::blocking(
                [&]
                {
                    (void)line.read_one();
                    set_errno(EXDEV);
                    return 0;
                });
            EXPECT_EQ(saved, 0);
            EXPECT_EQ(get_errno(), EXDEV);
        });
    all.go([&] { compute_until(stop); });
    weft::yield();
    line.write_one('x');
    weft::sleep_for(1ms);
    stop = true;
    all.wait();
}

WEFT_TEST(retake_test, a_thousand_blocked_at_once)
{
    const procs two(2);
    const std::size_t n = weft::test::scaled(1'000);
    const pipe_pair gate;
    std::atomic<std::size_t> inside{0};
    weft::wait_group all;
    for (std::size_t i = 0; i < n; ++i) {
        all.go(
            [&]
            {
                const char c = weft::blocking(
                    [&]
                    {
                        ++inside;
                        return gate.read_one();
                    });
                EXPECT_EQ(c, 'g');
            });
    }
    EXPECT_TRUE(eventually([&] { return inside == n; }));
    EXPECT_GE(weft::stats().goroutines_without_p + 2, n);
    for (std::size_t i = 0; i < n; ++i)
        gate.write_one('g');
    all.wait();
}

// Meanwhile others talk and sleep. How soon each of the thousand begins is the kernel's affair: they are threads then.
WEFT_TEST(retake_test, a_thousand_tight_loops_at_once)
{
    const procs two(2);
    const std::size_t n = scaled(1'000);
    std::atomic<bool> stop{false};
    std::atomic<std::size_t> begun{0};
    weft::chan<int> there;
    weft::chan<int> back;
    weft::wait_group all;
    for (std::size_t i = 0; i < n; ++i) {
        all.go(
            [&]
            {
                ++begun;
                compute_until(stop);
            });
    }
    all.go(
        [&]
        {
            for (const int v : there)
                back.send(v);
        });
    EXPECT_TRUE(eventually([&] { return begun > 4; }));
    for (int i = 0; i < 10; ++i) {
        there.send(i);
        EXPECT_EQ(back.recv(), i);
        weft::sleep_for(1ms);
    }
    there.close();
    stop = true;
    all.wait();
    EXPECT_EQ(begun, n);
}

// Between calls that may park a goroutine stays on its thread, also when its P has been taken in between.
WEFT_TEST(retake_test, no_migration_where_nothing_parks)
{
    const procs one(1);
    std::atomic<int> moved{0};
    std::atomic<bool> done{false};
    weft::wait_group all;
    for (int g = 0; g < 4; ++g) {
        all.go(
            [&]
            {
                weft::mutex m;
                weft::chan<int> c(1);
                for (std::size_t i = 0; i < scaled(10); ++i) {
                    const long own = thread_id();
                    const pipe_pair line;
                    std::thread([&] { line.write_one('x'); }).join();
                    (void)line.read_one();
                    std::this_thread::sleep_for(12ms);  // longer than a slice: our P is gone
                    weft::go([] {});
                    moved += own == thread_id() ? 0 : 1;
                    int out = 0;
                    (void)c.try_send(1);
                    (void)c.try_recv(out);
                    m.lock();
                    m.unlock();
                    moved += own == thread_id() ? 0 : 1;
                    weft::yield();
                }
            });
    }
    weft::wait_group beside;
    beside.go(
        [&]
        {
            while (!done)
                weft::yield();
        });
    all.wait();
    done = true;
    beside.wait();
    EXPECT_EQ(moved, 0);
}

WEFT_TEST(retake_test, a_locked_goroutine_keeps_its_thread)
{
    const procs one(1);
    std::atomic<bool> stop{false};
    weft::wait_group all;
    weft::go(weft::attr{.pinned = true},
             [&, done = (all.add(1), 0)]
             {
                 (void)done;
                 const long own = thread_id();
                 compute_until(stop);
                 weft::yield();
                 EXPECT_EQ(own, thread_id());
                 weft::blocking([] { std::this_thread::sleep_for(12ms); });
                 EXPECT_EQ(own, thread_id());
                 weft::sleep_for(1ms);
                 EXPECT_EQ(own, thread_id());
                 all.done();
             });
    weft::yield();
    stop = true;
    for (int i = 0; i < 100; ++i)
        weft::sleep_for(200us);
    all.wait();
}

WEFT_TEST(retake_test, nobody_else_gets_the_thread_of_a_locked_hog)
{
    const procs two(2);
    std::atomic<bool> stop{false};
    std::atomic<long> thread{0};
    std::atomic<int> intruders{0};
    weft::wait_group all;
    const pipe_pair line;
    all.go(
        [&]
        {
            const weft::pin keep;
            thread = thread_id();
            compute_until(stop);
            EXPECT_EQ(line.read_one(), 'x');
            weft::blocking([&] { EXPECT_EQ(line.read_one(), 'y'); });
            EXPECT_EQ(thread, thread_id());
            thread = 0;
        });
    ASSERT_TRUE(eventually([&] { return thread != 0; }));
    const auto others_run = [&]
    {
        weft::wait_group others;
        for (std::size_t i = 0; i < scaled(50); ++i) {
            others.go(
                [&]
                {
                    for (int k = 0; k < 20; ++k) {
                        intruders += thread_id() == thread ? 1 : 0;
                        weft::yield();
                    }
                    std::this_thread::sleep_for(1ms);
                    weft::sleep_for(1ms);
                    intruders += thread_id() == thread ? 1 : 0;
                });
        }
        others.wait();
    };
    others_run();
    stop = true;
    others_run();
    line.write_one('x');
    others_run();
    line.write_one('y');
    all.wait();
    EXPECT_EQ(intruders, 0);
}

/// As where there are as many Ps as CPUs.
class all_cpus_used {
public:
    all_cpus_used() { weft::rt::sched.cpus = 1; }
    all_cpus_used(const all_cpus_used&) = delete;
    all_cpus_used& operator=(const all_cpus_used&) = delete;
    ~all_cpus_used() { weft::rt::sched.cpus = real_; }

private:
    std::uint32_t real_ = weft::rt::sched.cpus;
};

WEFT_TEST(retake_test, a_call_that_has_been_long_gives_the_p_away_at_once)
{
    const procs one(1);
    const all_cpus_used used;
    weft::detail::blocking_call call;
    const auto block_until_another_runs = [&call]
    {
        std::atomic<bool> ran{false};
        weft::wait_group other;
        other.go([&] { ran = true; });
        const std::uint64_t before = weft::stats().retakes;
        weft::detail::begin_blocking(call);
        const bool at_once = weft::stats().retakes != before;
        do
            std::this_thread::sleep_for(20us);
        while (!ran);
        weft::detail::end_blocking(call);
        other.wait();
        return at_once;
    };
    for (int i = 1; i <= 3; ++i) {
        EXPECT_EQ(call.known_long, std::min(i - 1, int{call.certainly}));
        (void)block_until_another_runs();
    }
    // Not while an M still looks for work: it will find it.
    EXPECT_TRUE(eventually(block_until_another_runs));
    EXPECT_EQ(call.known_long, call.certainly);
    // One that turns out to be short is not trusted any more.
    EXPECT_TRUE(eventually(
        [&]
        {
            weft::wait_group other;
            other.go([] {});
            weft::detail::begin_blocking(call);
            weft::detail::end_blocking(call);
            other.wait();
            return call.known_long == 0;
        }));
}

// From many goroutines at once, through sleeps, short calls and resizes; each call is over on the thread it began on.
WEFT_TEST(retake_test, many_give_their_ps_away)
{
    const procs four(4);
    const all_cpus_used used;
    weft::detail::blocking_call call;
    std::atomic<std::size_t> moved{0};
    std::atomic<std::size_t> done{0};
    weft::wait_group all;
    const std::size_t each = scaled(100);
    for (int i = 0; i < 16; ++i) {
        all.go(
            [&, i]
            {
                for (std::size_t k = 0; k < each; ++k) {
                    call.known_long = call.certainly;
                    weft::detail::begin_blocking(call);
                    const long thread = thread_id();
                    if ((static_cast<std::size_t>(i) + k) % 3 != 0)
                        ::poll(nullptr, 0, static_cast<int>(k % 2));
                    moved += thread_id() == thread ? 0U : 1U;
                    weft::detail::end_blocking(call);
                    weft::yield();
                    ++done;
                }
            });
    }
    for (int n = 1; done < 16 * each; n = n % 4 + 1) {
        weft::max_procs(n);
        weft::sleep_for(1ms);
    }
    all.wait();
    EXPECT_EQ(moved, 0U);
}

WEFT_TEST(retake_test, nobody_loses_a_p_that_nobody_needs)
{
    const procs one(1);
    (void)eventually([] { return weft::stats().goroutines_without_p == 0; });
    const std::uint64_t before = weft::stats().retakes;
    const auto end = std::chrono::steady_clock::now() + 60ms;
    while (std::chrono::steady_clock::now() < end) {
    }
    EXPECT_EQ(weft::stats().retakes, before);
}

WEFT_TEST(retake_test, who_starts_goroutines_takes_an_idle_p_again)
{
    const procs one(1);
    const long thread = thread_id();
    std::atomic<bool> ran{false};
    weft::go([&] { ran = true; });
    compute_until(ran);  // by the P that we had
    const auto without_p = [] { return weft::rt::this_m()->section.without_p(); };
    EXPECT_TRUE(without_p());
    EXPECT_TRUE(weft::test::spin_until([] { return weft::rt::sched.idle.read().idle == 1; }))
        << "nothing is left to do";
    weft::wait_group all;
    all.go([] {});
    EXPECT_FALSE(without_p());
    EXPECT_EQ(thread_id(), thread);
    all.wait();
}

WEFT_TEST(retake_test, a_retired_p_is_taken_from_a_loop)
{
    const procs two(2);
    std::atomic<bool> stop{false};
    weft::wait_group all;
    for (int i = 0; i < 2; ++i)
        all.go([&] { compute_until(stop); });
    weft::sleep_for(1ms);
    {
        const procs one(1);
        weft::yield();
        EXPECT_TRUE(eventually(
            []
            {
                const weft::runtime_stats s = weft::stats();
                return s.procs == 1;
            }));
    }
    stop = true;
    all.wait();
}

// Everybody who comes back without a P while all are taken queues, and gets one in turn.
WEFT_TEST(retake_test, all_come_back)
{
    const procs one(1);
    std::atomic<int> rounds{0};
    weft::wait_group all;
    for (int g = 0; g < 8; ++g) {
        all.go(
            [&]
            {
                for (std::size_t i = 0; i < scaled(20); ++i) {
                    weft::blocking([] { ::poll(nullptr, 0, 1); });
                    ++rounds;
                    std::this_thread::sleep_for(1ms);
                    weft::go([] {});
                }
            });
    }
    all.wait();
    EXPECT_EQ(rounds, static_cast<int>(8 * scaled(20)));
}

}  // namespace
