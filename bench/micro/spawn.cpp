// Starting goroutines that do nothing, and joining them.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "harness.hpp"
#include "weft/future.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

namespace {

constexpr std::uint64_t million = 1'000'000;
constexpr std::uint64_t batch = 1000;

bench::result single(const bench::settings& set)
{
    const auto spawn_and_join = [](std::uint64_t n)
    {
        weft::wait_group one;
        for (std::uint64_t i = 0; i < n; ++i) {
            one.go([] {});
            one.wait();
        }
    };
    return bench::scaled(set, spawn_and_join);
}

bench::result single_future(const bench::settings& set)
{
    const auto spawn_and_get = [](std::uint64_t n)
    {
        for (std::uint64_t i = 0; i < n; ++i)
            bench::require(weft::async([i] { return i; }).get() == i, "spawn/single_future");
    };
    return bench::scaled(set, spawn_and_get);
}

bench::result batches(const bench::settings& set)
{
    const auto spawn_and_join = [](std::uint64_t n)
    {
        weft::wait_group all;
        for (std::uint64_t left = n; left > 0;) {
            const std::uint64_t count = std::min(left, batch);
            left -= count;
            for (std::uint64_t i = 0; i < count; ++i)
                all.go([] {});
            all.wait();
        }
    };
    return bench::scaled(set, spawn_and_join);
}

bench::result batches_future(const bench::settings& set)
{
    std::vector<weft::future<std::uint64_t>> results(batch);
    const auto spawn_and_get = [&results](std::uint64_t n)
    {
        for (std::uint64_t left = n; left > 0;) {
            const std::uint64_t count = std::min(left, batch);
            left -= count;
            for (std::uint64_t i = 0; i < count; ++i)
                results[i] = weft::async([i] { return i; });
            for (std::uint64_t i = 0; i < count; ++i)
                bench::require(results[i].get() == i, "spawn/batch_1000_future");
        }
    };
    return bench::scaled(set, spawn_and_get);
}

/// Starts a million goroutines, then joins them. Some may finish before the last one has started, so the memory is the
/// peak of resident pages.
bench::result at_once(const bench::settings&)
{
    const auto spawn_and_join = []
    {
        weft::wait_group all;
        for (std::uint64_t i = 0; i < million; ++i)
            all.go([] {});
        all.wait();
    };
    const double before = bench::reset_peak_resident();
    bench::result r = bench::fixed(million, spawn_and_join);
    r.metrics.push_back({"peak_bytes_per_op", (bench::peak_resident() - before) / double{million}});
    return r;
}

/// The second million of a process, with the memory of the first at hand.
bench::result at_once_warm(const bench::settings& set)
{
    static_cast<void>(at_once(set));
    return at_once(set);
}

constexpr bench::named_case cases[] = {
    {"spawn/single", single},      {"spawn/single_future", single_future},
    {"spawn/batch_1000", batches}, {"spawn/batch_1000_future", batches_future},
    {"spawn/million", at_once},    {"spawn/million_warm", at_once_warm},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
