// Single calls under Google Benchmark: what one costs by itself, and how the cost of go() grows with its closure.
#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <cstddef>

#include "weft/future.hpp"
#include "weft/go.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

void mutex_lock_unlock(benchmark::State& state)
{
    weft::mutex mutex;
    for (auto _ : state) {
        mutex.lock();
        mutex.unlock();
    }
}
BENCHMARK(mutex_lock_unlock);

void mutex_try_lock_unlock(benchmark::State& state)
{
    weft::mutex mutex;
    for (auto _ : state) {
        benchmark::DoNotOptimize(mutex.try_lock());
        mutex.unlock();
    }
}
BENCHMARK(mutex_try_lock_unlock);

void wait_group_add_done(benchmark::State& state)
{
    weft::wait_group group;
    for (auto _ : state) {
        group.add(1);
        group.done();
    }
}
BENCHMARK(wait_group_add_done);

void wait_group_wait_at_zero(benchmark::State& state)
{
    weft::wait_group group;
    for (auto _ : state)
        group.wait();
}
BENCHMARK(wait_group_wait_at_zero);

void goroutine_id(benchmark::State& state)
{
    for (auto _ : state)
        benchmark::DoNotOptimize(weft::goroutine_id());
}
BENCHMARK(goroutine_id);

void yield_alone(benchmark::State& state)
{
    for (auto _ : state)
        weft::yield();
}
BENCHMARK(yield_alone);

void clock_now(benchmark::State& state)
{
    for (auto _ : state)
        benchmark::DoNotOptimize(weft::clock::now());
}
BENCHMARK(clock_now);

void async_get(benchmark::State& state)
{
    for (auto _ : state)
        benchmark::DoNotOptimize(weft::async([] { return 1; }).get());
}
BENCHMARK(async_get);

/// go() and the run of a goroutine whose closure holds `Bytes`, in batches of 64.
template <std::size_t Bytes>
void go_closure(benchmark::State& state)
{
    constexpr int batch = 64;
    const std::array<std::byte, Bytes> payload{};
    weft::wait_group last;
    std::atomic<int> left{0};  // written by one goroutine at a time: there is one P
    const auto work = [&last, &left, payload]
    {
        benchmark::DoNotOptimize(payload);
        const int now = left.load(std::memory_order_relaxed) - 1;
        left.store(now, std::memory_order_relaxed);
        if (now == 0)
            last.done();
    };
    while (state.KeepRunningBatch(batch)) {
        left.store(batch, std::memory_order_relaxed);
        last.add();
        for (int i = 0; i < batch; ++i)
            weft::go(work);
        last.wait();
    }
}
BENCHMARK(go_closure<1>);
BENCHMARK(go_closure<32>);
BENCHMARK(go_closure<64>);
BENCHMARK(go_closure<128>);
BENCHMARK(go_closure<1024>);

}  // namespace

int main(int argc, char** argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    // Google Benchmark's own frames are deep; 1 MiB is what it needs and some more.
    return weft::run(weft::options{.procs = 1},
                     []
                     {
                         weft::async(weft::attr{.name = "benchmarks", .stack_size = std::size_t{1} << 20},
                                     [] { benchmark::RunSpecifiedBenchmarks(); })
                             .get();
                         benchmark::Shutdown();
                     });
}
