// Values through channels: a round trip between two goroutines, and streams through a buffer.
#include <cstdint>

#include "harness.hpp"
#include "weft/chan.hpp"
#include "weft/go.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

namespace {

constexpr int buffer = 128;

/// Two goroutines and two unbuffered channels; one operation is a value there and back.
bench::result round_trip(const bench::settings& set)
{
    const auto play = [](std::uint64_t n)
    {
        const weft::chan<std::uint64_t> ping;
        const weft::chan<std::uint64_t> pong;
        weft::go(
            [ping, pong]
            {
                for (const std::uint64_t v : ping)
                    pong.send(v);
            });
        for (std::uint64_t i = 0; i < n; ++i) {
            ping.send(i);
            bench::require(*pong.recv() == i, "chan/round_trip");
        }
        ping.close();
    };
    return bench::scaled(set, play);
}

/// `producers` send what `consumers` receive from one channel; one operation is one value.
template <std::uint64_t Producers, std::uint64_t Consumers>
bench::result stream(const bench::settings& set)
{
    const auto transport = [](std::uint64_t n)
    {
        const weft::chan<std::uint64_t> items(buffer);
        const weft::chan<std::uint64_t> sums(static_cast<int>(Consumers));
        weft::wait_group sending;
        for (std::uint64_t p = 0; p < Producers; ++p)
            sending.go(
                [items, from = n * p / Producers, to = n * (p + 1) / Producers]
                {
                    for (std::uint64_t v = from; v < to; ++v)
                        items.send(v);
                });
        for (std::uint64_t c = 0; c < Consumers; ++c)
            weft::go(
                [items, sums]
                {
                    std::uint64_t sum = 0;
                    for (const std::uint64_t v : items)
                        sum += v;
                    sums.send(sum);
                });
        sending.wait();
        items.close();
        std::uint64_t sum = 0;
        for (std::uint64_t c = 0; c < Consumers; ++c)
            sum += *sums.recv();
        bench::require(sum == (n % 2 == 0 ? n / 2 * (n - 1) : (n - 1) / 2 * n), "chan/buffered");
    };
    return bench::scaled(set, transport);
}

constexpr bench::named_case cases[] = {
    {"chan/round_trip", round_trip},
    {"chan/buffered_1_1", stream<1, 1>},
    {"chan/buffered_4_4", stream<4, 4>},
    {"chan/buffered_1000_1", stream<1000, 1>},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
