// Who waits for whom: a 1 ms ticker beside tight loops, and the next goroutine behind one that blocks its thread.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <vector>

#include <sys/syscall.h>

#include "harness.hpp"
#include "weft/go.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

double quantile(std::vector<double>& sorted, double q)
{
    return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
}

bench::result of_delays(std::vector<double>& delays)
{
    std::sort(delays.begin(), delays.end());
    return {
        .ops = delays.size(),
        .metrics = {{"p50_us", quantile(delays, 0.5)}, {"p99_us", quantile(delays, 0.99)}, {"max_us", delays.back()}},
        .note = {}};
}

/// By how much ticks come late, from one second after the loops began on.
template <int Loops>
bench::result ticker_beside_loops(const bench::settings&)
{
    constexpr std::size_t ticks = 500;
    constexpr auto period = 1ms;
    std::atomic<bool> stop{false};
    weft::wait_group loops;
    for (int i = 0; i < Loops; ++i) {
        loops.go(
            [&stop]
            {
                for (volatile unsigned x = 0; !stop.load(std::memory_order_relaxed);)
                    x = x + 1;
            });
    }
    weft::sleep_for(1s);
    std::vector<double> late;
    late.reserve(ticks);
    for (std::size_t i = 0; i < ticks; ++i) {
        const auto due = steady_clock::now() + period;
        weft::sleep_for(period);
        late.push_back(std::chrono::duration<double, std::micro>(steady_clock::now() - due).count());
    }
    stop = true;
    loops.wait();
    return of_delays(late);
}

/// How long the next goroutine waits when the running one blocks its thread.
template <bool Announced>
bench::result hand_off(const bench::settings&)
{
    constexpr std::size_t times = Announced ? 300 : 50;
    std::vector<double> waited;
    waited.reserve(times);
    for (std::size_t i = 0; i < times; ++i) {
        steady_clock::time_point began;
        steady_clock::time_point next_ran;
        weft::wait_group next;
        weft::yield();  // the last round's call may have cost us our P, and without one we hold nobody up
        next.go([&] { next_ran = steady_clock::now(); });
        const auto block = [] { ::usleep(20'000); };
        began = steady_clock::now();
        if constexpr (Announced)
            weft::blocking(block);
        else
            block();
        next.wait();
        waited.push_back(std::chrono::duration<double, std::micro>(next_ran - began).count());
    }
    return of_delays(waited);
}

bench::result system_call(const bench::settings& set)
{
    return bench::scaled(set,
                         [](std::uint64_t n)
                         {
                             for (std::uint64_t i = 0; i < n; ++i)
                                 (void)::syscall(SYS_getppid);
                         });
}

/// How much more CPU time an announced call takes than a bare one, which here is time, for nobody waits: the median
/// over pairs of runs, one after the other.
bench::result announced_system_call(const bench::settings& set)
{
    const auto announced = [](std::uint64_t n)
    {
        for (std::uint64_t i = 0; i < n; ++i)
            (void)weft::blocking([] { return ::syscall(SYS_getppid); });
    };
    const auto bare = [](std::uint64_t n)
    {
        for (std::uint64_t i = 0; i < n; ++i)
            (void)::syscall(SYS_getppid);
    };
    bench::result r = bench::scaled(set, announced);
    constexpr std::size_t pairs = 21;
    const std::uint64_t n = r.ops / pairs + 1;
    std::vector<double> over;
    for (std::size_t i = 0; i < pairs; ++i) {
        const double with = bench::per_op(bench::time_of([&] { announced(n); }).cpu, n);
        over.push_back(with - bench::per_op(bench::time_of([&] { bare(n); }).cpu, n));
    }
    std::sort(over.begin(), over.end());
    r.metrics.push_back({"over_ns", quantile(over, 0.5)});
    return r;
}

constexpr bench::named_case cases[] = {
    {"fairness/ticker_beside_1", ticker_beside_loops<1>},
    {"fairness/ticker_beside_2", ticker_beside_loops<2>},
    {"fairness/ticker_beside_4", ticker_beside_loops<4>},
    {"fairness/ticker_beside_100", ticker_beside_loops<100>},
    {"fairness/hand_off_announced", hand_off<true>},
    {"fairness/hand_off_unannounced", hand_off<false>},
    {"fairness/system_call", system_call},
    {"fairness/announced_system_call", announced_system_call},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
