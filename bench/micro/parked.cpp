// A million goroutines parked at a gate: what they weigh, how long it takes to get there and to let them go.
#include <atomic>
#include <chrono>
#include <cstdint>

#include "harness.hpp"
#include "weft/chan.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t million = 1'000'000;

/// Goroutines that wait for a wait group.
class wait_group_gate {
public:
    wait_group_gate() { gate_.add(1); }
    void wait() { gate_.wait(); }
    void open() { gate_.done(); }

private:
    weft::wait_group gate_;
};

/// Goroutines that wait for the closing of a channel.
class chan_gate {
public:
    void wait() { static_cast<void>(gate_.recv()); }
    void open() { gate_.close(); }

private:
    weft::chan<bool> gate_;
};

template <class Gate>
bench::result parked(const bench::settings&)
{
    Gate gate;
    weft::wait_group all;
    std::atomic<std::uint64_t> arrived{0};
    const auto pass_gate = [&gate, &arrived]
    {
        arrived.fetch_add(1, std::memory_order_relaxed);
        gate.wait();
    };
    const auto get_there = [&]
    {
        for (std::uint64_t i = 0; i < million; ++i)
            all.go(pass_gate);
        while (arrived.load(std::memory_order_relaxed) != million)
            weft::sleep_for(1ms);
    };
    const auto let_go = [&]
    {
        gate.open();
        all.wait();
    };

    const bench::memory before;
    const auto getting_there = bench::time_of(get_there);
    weft::sleep_for(100ms);  // the last ones are between their count and the gate
    const bench::memory after;
    const double maps = bench::maps_lines();
    const auto letting_go = bench::time_of(let_go);
    return {.ops = million,
            .metrics = {{"bytes_per_op", after.taken_since(before) / double{million}},
                        {"own_bytes_per_op", after.own_taken_since(before) / double{million}},
                        {"maps_lines", maps},
                        {"ms", bench::milliseconds(getting_there.wall)},
                        {"release_ms", bench::milliseconds(letting_go.wall)}},
            .note = {}};
}

constexpr bench::named_case cases[] = {
    {"parked/million", parked<wait_group_gate>},
    {"parked/million_chan", parked<chan_gate>},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
