// Runs one hot path of the library a given number of times, twice, for tools/icount.py to count the instructions.
//
//     paths NAME LESS MORE        under callgrind with --collect-atstart=no
//
// Callgrind keeps its collection switch per thread, and `measured` turns it on in the thread of the one P only, so
// neither the start of the process nor the runtime's own threads are counted. It writes one file after LESS and one
// after MORE operations; what a run costs beside its operations cancels out in their difference.
#include <valgrind/callgrind.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

#include "weft/chan.hpp"
#include "weft/future.hpp"
#include "weft/go.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

/// One operation: a switch to the other goroutine.
void yield(std::uint64_t n)
{
    weft::wait_group other;
    other.go(
        [half = n / 2]
        {
            for (std::uint64_t i = 0; i < half; ++i)
                weft::yield();
        });
    for (std::uint64_t i = 0; i < n / 2; ++i)
        weft::yield();
    other.wait();
}

/// One operation: a round trip, in which two goroutines park once and are made ready once each.
void park_ready(std::uint64_t n)
{
    weft::wait_group ping;
    weft::wait_group pong;
    weft::wait_group other;
    ping.add();
    pong.add();
    other.go(
        [&, n]
        {
            for (std::uint64_t i = 0; i < n; ++i) {
                ping.wait();
                ping.add();
                pong.done();
            }
        });
    for (std::uint64_t i = 0; i < n; ++i) {
        ping.done();
        pong.wait();
        pong.add();
    }
    other.wait();
    ping.done();
    pong.done();
}

/// One operation: go() of a goroutine that does next to nothing, and its run, in batches of 100.
void go_finish(std::uint64_t n)
{
    constexpr std::uint64_t batch = 100;
    for (std::uint64_t started = 0; started < n; started += batch) {
        weft::wait_group last;
        std::uint64_t finished = 0;
        last.add();
        for (std::uint64_t i = 0; i < batch; ++i)
            weft::go(
                [&]
                {
                    if (++finished == batch)
                        last.done();
                });
        last.wait();
    }
}

/// One operation: wait_group::go() and wait(), one at a time.
void wait_group_go_wait(std::uint64_t n)
{
    weft::wait_group one;
    for (std::uint64_t i = 0; i < n; ++i) {
        one.go([] {});
        one.wait();
    }
}

/// One operation: async() and get(), one at a time: start, park, run, wake.
void async_get(std::uint64_t n)
{
    for (std::uint64_t i = 0; i < n; ++i)
        if (weft::async([i] { return i; }).get() != i)
            throw std::runtime_error("async_get: wrong result");
}

void mutex_lock_unlock(std::uint64_t n)
{
    weft::mutex mutex;
    for (std::uint64_t i = 0; i < n; ++i) {
        mutex.lock();
        mutex.unlock();
    }
}

void wait_group_add_done(std::uint64_t n)
{
    weft::wait_group group;
    for (std::uint64_t i = 0; i < n; ++i) {
        group.add();
        group.done();
    }
}

/// One operation: a value into a buffer and out of it.
void chan_buffered(std::uint64_t n)
{
    const weft::chan<std::uint64_t> c(128);
    for (std::uint64_t i = 0; i < n; ++i) {
        c.send(i);
        if (c.recv() != i)
            throw std::runtime_error("chan_buffered: wrong value");
    }
}

/// One operation: a value to the other goroutine and back.
void chan_round_trip(std::uint64_t n)
{
    const weft::chan<std::uint64_t> ping;
    const weft::chan<std::uint64_t> pong;
    weft::wait_group other;
    other.go(
        [&]
        {
            for (const std::uint64_t v : ping)
                pong.send(v);
        });
    for (std::uint64_t i = 0; i < n; ++i) {
        ping.send(i);
        if (pong.recv() != i)
            throw std::runtime_error("chan_round_trip: wrong value");
    }
    ping.close();
    other.wait();
}

/// One operation: a select of four that has its choice, and the send that puts the value back.
void select_ready(std::uint64_t n)
{
    const std::array<weft::chan<std::uint64_t>, 4> c{weft::chan<std::uint64_t>(1), weft::chan<std::uint64_t>(1),
                                                     weft::chan<std::uint64_t>(1), weft::chan<std::uint64_t>(1)};
    for (const auto& one : c)
        one.send(1);
    for (std::uint64_t i = 0; i < n; ++i) {
        const std::size_t from =
            weft::select(weft::on_recv(c[0]), weft::on_recv(c[1]), weft::on_recv(c[2]), weft::on_recv(c[3]));
        c[from].send(1);
    }
}

/// One operation: a select of four that goes its default way.
void select_default(std::uint64_t n)
{
    const std::array<weft::chan<std::uint64_t>, 4> c;
    for (std::uint64_t i = 0; i < n; ++i)
        if (weft::select(weft::on_recv(c[0]), weft::on_recv(c[1]), weft::on_recv(c[2]), weft::on_recv(c[3]),
                         weft::otherwise()) != 4)
            throw std::runtime_error("select_default: a value");
}

/// One operation: a timeout that is put off.
void timer_reset(std::uint64_t n)
{
    weft::timer t(1h);
    for (std::uint64_t i = 0; i < n; ++i)
        if (!t.reset(1h))
            throw std::runtime_error("timer_reset: it has fired");
}

/// One operation: a timeout that begins, and ends before it fires.
void timer_start_stop(std::uint64_t n)
{
    for (std::uint64_t i = 0; i < n; ++i) {
        weft::timer t(1h);
        if (!t.stop())
            throw std::runtime_error("timer_start_stop: it has fired");
    }
}

struct path {
    std::string_view name;
    void (*run)(std::uint64_t);
};

constexpr path paths[] = {
    {"yield", yield},
    {"park_ready", park_ready},
    {"go_finish", go_finish},
    {"wait_group_go_wait", wait_group_go_wait},
    {"async_get", async_get},
    {"mutex_lock_unlock", mutex_lock_unlock},
    {"wait_group_add_done", wait_group_add_done},
    {"chan_buffered", chan_buffered},
    {"chan_round_trip", chan_round_trip},
    {"select_ready", select_ready},
    {"select_default", select_default},
    {"timer_reset", timer_reset},
    {"timer_start_stop", timer_start_stop},
};

void measured(const path& p, std::uint64_t n)
{
    CALLGRIND_TOGGLE_COLLECT;
    p.run(n);
    CALLGRIND_TOGGLE_COLLECT;
    CALLGRIND_DUMP_STATS;
}

int usage()
{
    std::fputs("usage: paths NAME LESS MORE; NAME is one of:\n", stderr);
    for (const path& p : paths)
        std::fprintf(stderr, "  %.*s\n", static_cast<int>(p.name.size()), p.name.data());
    return 2;
}

}  // namespace

int main(int argc, char** argv)
{
    const path* chosen = nullptr;
    for (const path& p : paths)
        if (argc == 4 && p.name == argv[1])
            chosen = &p;
    if (chosen == nullptr)
        return usage();
    try {
        const std::uint64_t less = std::stoull(argv[2]);
        const std::uint64_t more = std::stoull(argv[3]);
        return weft::run(weft::options{.procs = 1},
                         [&]
                         {
                             chosen->run(less);
                             measured(*chosen, less);
                             measured(*chosen, more);
                         });
    } catch (const std::exception& e) {
        std::fprintf(stderr, "paths: %s\n", e.what());
        return EXIT_FAILURE;
    }
}
