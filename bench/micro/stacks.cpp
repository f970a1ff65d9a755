// What stacks cost beside their pages, by size of the reservation; and what is left of a burst of deep ones.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "harness.hpp"
#include "weft/go.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kib = 1'024;

/// `count` goroutines with stacks of `stack`, all parked at the same time. `arrived()` is called when they are.
template <class Body, class Arrived>
void park_all(std::uint64_t count, std::size_t stack, Body body, Arrived arrived)
{
    weft::wait_group gate;
    gate.add(1);
    weft::wait_group all;
    std::atomic<std::uint64_t> there{0};
    for (std::uint64_t i = 0; i < count; ++i) {
        all.add();
        weft::go(weft::attr{.stack_size = stack},
                 [&gate, &all, &there, body]
                 {
                     body();
                     there.fetch_add(1, std::memory_order_relaxed);
                     gate.wait();
                     all.done();
                 });
    }
    while (there.load(std::memory_order_relaxed) != count || weft::stats().goroutines_waiting < count)
        weft::sleep_for(1ms);
    arrived();
    gate.done();
    all.wait();
}

template <std::size_t Stack>
bench::result parked_with(const bench::settings&)
{
    constexpr std::uint64_t count = 50'000;
    const weft::runtime_memory before = weft::memory();
    weft::runtime_memory after{};
    park_all(count, Stack, [] {}, [&] { after = weft::memory(); });
    const auto each = [](std::uint64_t now, std::uint64_t then)
    { return (static_cast<double>(now) - static_cast<double>(then)) / double{count}; };
    return {
        .ops = count,
        .metrics = {{"table_bytes_per_op", each(after.page_tables, before.page_tables)},
                    {"stack_bytes_per_op", each(after.stacks, before.stacks)},
                    {"bytes_per_op", each(after.page_tables + after.resident, before.page_tables + before.resident)}},
        .note = {}};
}

constexpr std::size_t depth = 32 * kib;

[[gnu::noinline]] unsigned go_deep(std::size_t bytes)
{
    std::array<volatile unsigned char, kib> here;
    for (std::size_t i = 0; i < here.size(); i += 64)
        here[i] = 1;
    return bytes > kib ? go_deep(bytes - kib) + here[0] : here[0];
}

void deep_one()
{
    bench::require(go_deep(depth) == depth / kib, "depth");
}

/// A million goroutines that each use 32 KiB of their stack and park, in as many waves as memory asks for. The memory
/// of the process 10 s after the last has ended, against that before the first has begun.
bench::result burst(const bench::settings&)
{
    constexpr std::uint64_t million = 1'000'000;
    constexpr std::size_t each = depth + 16 * kib;
    const double available = bench::memory{}.available * 0.6;
    const auto wave = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(available) / each, 1'000, million);
    const auto run_it = [&]
    {
        for (std::uint64_t done = 0; done < million; done += wave)
            park_all(std::min(wave, million - done), weft::default_stack_size, deep_one, [] {});
    };
    const weft::runtime_memory base = weft::memory();
    const auto first = bench::time_of(run_it);
    const weft::runtime_memory peak = weft::memory();
    weft::sleep_for(10s);
    const weft::runtime_memory after = weft::memory();
    const auto second = bench::time_of(run_it);
    const auto third = bench::time_of(run_it);
    const auto mib = [](std::uint64_t bytes) { return static_cast<double>(bytes) / (kib * kib); };
    const std::uint64_t blocks = after.control_blocks - base.control_blocks;
    return {.ops = million,
            .metrics = {{"wave", static_cast<double>(wave)},
                        {"base_mib", mib(base.resident + base.page_tables)},
                        {"peak_mib", mib(peak.resident + peak.page_tables)},
                        {"after_10_s_mib", mib(after.resident + after.page_tables)},
                        {"control_blocks_mib", mib(blocks)},
                        {"stacks_mib", mib(after.stacks)},
                        {"page_tables_mib", mib(after.page_tables)},
                        {"ms", bench::milliseconds(first.wall)},
                        {"cpu_ms", bench::milliseconds(first.cpu)},
                        {"after_decay_ms", bench::milliseconds(second.wall)},
                        {"after_decay_cpu_ms", bench::milliseconds(second.cpu)},
                        {"at_once_ms", bench::milliseconds(third.wall)},
                        {"at_once_cpu_ms", bench::milliseconds(third.cpu)}},
            .note = {}};
}

constexpr bench::named_case cases[] = {
    {"stacks/parked_16k", parked_with<16 * kib>},   {"stacks/parked_32k", parked_with<32 * kib>},
    {"stacks/parked_64k", parked_with<64 * kib>},   {"stacks/parked_128k", parked_with<128 * kib>},
    {"stacks/parked_256k", parked_with<256 * kib>}, {"stacks/parked_512k", parked_with<512 * kib>},
    {"stacks/parked_1m", parked_with<1'024 * kib>}, {"stacks/burst", burst},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
