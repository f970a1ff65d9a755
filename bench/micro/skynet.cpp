// Skynet: a tree of goroutines, ten below each node, whose million leaves are summed up on the way back.
#include <array>
#include <cstdint>

#include "harness.hpp"
#include "weft/chan.hpp"
#include "weft/future.hpp"
#include "weft/go.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

namespace {

constexpr std::uint64_t leaves = 1'000'000;
constexpr std::uint64_t expected = leaves * (leaves - 1) / 2;
constexpr std::size_t fanout = 10;

/// The sum of the leaves first .. first+size-1.
std::uint64_t by_future(std::uint64_t first, std::uint64_t size)
{
    if (size == 1)
        return first;
    const std::uint64_t part = size / fanout;
    std::array<weft::future<std::uint64_t>, fanout> below;
    for (std::size_t i = 0; i < fanout; ++i)
        below[i] = weft::async([from = first + i * part, part] { return by_future(from, part); });
    std::uint64_t sum = 0;
    for (auto& child : below)
        sum += child.get();
    return sum;
}

std::uint64_t by_wait_group(std::uint64_t first, std::uint64_t size)
{
    if (size == 1)
        return first;
    const std::uint64_t part = size / fanout;
    std::array<std::uint64_t, fanout> below{};
    weft::wait_group all;
    for (std::size_t i = 0; i < fanout; ++i)
        all.go([&slot = below[i], from = first + i * part, part] { slot = by_wait_group(from, part); });
    all.wait();
    std::uint64_t sum = 0;
    for (const std::uint64_t child : below)
        sum += child;
    return sum;
}

/// Sends the sum to `out`; the channels are unbuffered, as in the original.
void send_sum(const weft::sender<std::uint64_t>& out, std::uint64_t first, std::uint64_t size)
{
    if (size == 1)
        return out.send(first);
    const std::uint64_t part = size / fanout;
    const weft::chan<std::uint64_t> below;
    for (std::size_t i = 0; i < fanout; ++i)
        weft::go([below, from = first + i * part, part] { send_sum(below, from, part); });
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < fanout; ++i)
        sum += *below.recv();
    out.send(sum);
}

std::uint64_t by_chan(std::uint64_t first, std::uint64_t size)
{
    const weft::chan<std::uint64_t> out;
    weft::go([out, first, size] { send_sum(out, first, size); });
    return *out.recv();
}

template <std::uint64_t (*Skynet)(std::uint64_t, std::uint64_t)>
bench::result skynet(const bench::settings&)
{
    std::uint64_t sum = 0;
    bench::result r = bench::fixed(leaves, [&sum] { sum = weft::async([] { return Skynet(0, leaves); }).get(); });
    bench::require(sum == expected, "skynet");
    return r;
}

constexpr bench::named_case cases[] = {
    {"skynet/future", skynet<by_future>},
    {"skynet/wait_group", skynet<by_wait_group>},
    {"skynet/chan", skynet<by_chan>},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
