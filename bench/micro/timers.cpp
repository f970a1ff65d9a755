// Timers that are started and stopped, and a million goroutines that sleep.
#include <algorithm>
#include <chrono>
#include <cstdint>

#include "harness.hpp"
#include "weft/clock.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t million = 1'000'000;
constexpr std::uint64_t sleeps = 3;

/// One operation: a timer made and stopped, long before it would fire, while nothing else is armed.
bench::result start_stop(const bench::settings& set)
{
    const auto start_and_stop = [](std::uint64_t n)
    {
        for (std::uint64_t i = 0; i < n; ++i) {
            weft::timer t(1h);
            bench::require(t.stop(), "timers/start_stop");
        }
    };
    return bench::scaled(set, start_and_stop);
}

/// One operation: the deadline of a timer put off, as each read of a connection with a timeout does.
bench::result reset(const bench::settings& set)
{
    weft::timer t(1h);
    const auto put_off = [&t](std::uint64_t n)
    {
        for (std::uint64_t i = 0; i < n; ++i)
            bench::require(t.reset(1h), "timers/reset");
    };
    return bench::scaled(set, put_off);
}

/// From 0 to 1 s, by a hash of the sleep's number (splitmix64): the Go peer sleeps the same times.
std::chrono::nanoseconds duration_of(std::uint64_t number)
{
    std::uint64_t z = number * 0x9e37'79b9'7f4a'7c15;
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
    return std::chrono::nanoseconds((z ^ (z >> 31)) % 1'000'000'000);
}

/// `late_ms`: by how much all of it took longer than the longest three sleeps of one goroutine.
bench::result sleepers(const bench::settings&)
{
    std::chrono::nanoseconds longest{0};
    for (std::uint64_t i = 0; i < million; ++i) {
        std::chrono::nanoseconds sum{0};
        for (std::uint64_t k = 0; k < sleeps; ++k)
            sum += duration_of(i * sleeps + k);
        longest = std::max(longest, sum);
    }
    const auto sleep_all = []
    {
        weft::wait_group all;
        for (std::uint64_t i = 0; i < million; ++i)
            all.go(
                [i]
                {
                    for (std::uint64_t k = 0; k < sleeps; ++k)
                        weft::sleep_for(duration_of(i * sleeps + k));
                });
        all.wait();
    };
    const bench::elapsed took = bench::time_of(sleep_all);
    bench::require(took.wall >= longest, "timers/million_sleepers: woken early");
    return {.ops = million * sleeps,
            .metrics = {{"ns_per_op", bench::per_op(took.wall, million * sleeps)},
                        {"cpu_ns_per_op", bench::per_op(took.cpu, million * sleeps)},
                        {"cpu_ms", bench::milliseconds(took.cpu)},
                        {"late_ms", bench::milliseconds(took.wall - longest)}},
            .note = {}};
}

constexpr bench::named_case cases[] = {
    {"timers/start_stop", start_stop},
    {"timers/reset", reset},
    {"timers/million_sleepers", sleepers},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
