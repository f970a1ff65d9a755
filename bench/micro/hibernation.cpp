// Goroutines that are parked for long: what they weigh before and after hibernation, what that costs, and what it costs
// to wake one. The Go and the threads peer do the same as far as they can: there, nothing is hibernated.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "harness.hpp"
#include "weft/chan.hpp"
#include "weft/go.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/testing.hpp"
#include "weft/time.hpp"

namespace {

using namespace std::chrono_literals;

/// Here goroutines are hibernated when a case says so: not by time.
bench::result by_hand(const bench::settings& set, const std::function<bench::result()>& body)
{
    bench::result r;
    weft::run(weft::options{.procs = set.procs, .hibernate_after = 1h}, [&] { r = body(); });
    return r;
}

/// Goroutines at a gate.
class crowd {
public:
    /// `reach()` is called by each before it waits; `stack`: of each, bytes.
    template <class Reach>
    crowd(std::uint64_t n, std::size_t stack, Reach&& reach)
    {
        gate_.add();
        for (std::uint64_t i = 0; i < n; ++i) {
            all_.add();
            weft::go(weft::attr{.stack_size = stack},
                     [this, reach, i]
                     {
                         reach(i);
                         arrived_.fetch_add(1, std::memory_order_relaxed);
                         gate_.wait();
                         all_.done();
                     });
        }
        while (arrived_.load(std::memory_order_relaxed) != n)
            weft::sleep_for(1ms);
        weft::sleep_for(100ms);  // the last ones are between their count and the gate
    }
    void let_go()
    {
        gate_.done();
        all_.wait();
    }

private:
    weft::wait_group gate_;
    weft::wait_group all_;
    std::atomic<std::uint64_t> arrived_{0};
};

void hibernate(std::uint64_t at_least)
{
    bench::require(weft::testing::hibernate_parked() >= at_least, "hibernate_parked()");
}

/// Writes to each page of the next `Bytes` of the stack.
template <std::size_t Bytes>
__attribute__((noinline)) void touch()
{
    if constexpr (Bytes != 0) {
        std::array<std::byte, Bytes> frame;
        for (std::size_t i = 0; i < frame.size(); i += 1024)
            *static_cast<volatile std::byte*>(&frame[i]) = std::byte{1};
    }
}

/// `Count` goroutines that have used `Bytes` of their stacks and have returned from there when they park.
template <std::uint64_t Count, std::size_t Bytes>
bench::result parked_after_depth(const bench::settings& set)
{
    return by_hand(set,
                   []
                   {
                       constexpr auto count = static_cast<double>(Count);
                       constexpr std::size_t stack = std::max(weft::default_stack_size, 4 * Bytes);
                       const bench::memory before;
                       crowd all(Count, stack, [](std::uint64_t) { touch<Bytes>(); });
                       const bench::memory hot;
                       hibernate(Count);
                       const bench::memory cold;
                       all.let_go();
                       return bench::result{
                           .ops = Count,
                           .metrics = {{"hot_bytes_per_op", hot.own_taken_since(before) / count},
                                       {"hibernated_bytes_per_op", cold.own_taken_since(before) / count}},
                           .note = {}};
                   });
}

/// Per goroutine: into hibernation, out of it because somebody else touches the stack, and out of it to run to the end;
/// the last one without hibernation too.
bench::result there_and_back(const bench::settings& set)
{
    return by_hand(set,
                   []
                   {
                       constexpr std::uint64_t count = 100'000;
                       std::vector<const volatile std::uint64_t*> inside(count);
                       const auto note = [&inside](std::uint64_t i)
                       {
                           // The frame is left before the park: but it is on a page that is in use then.
                           const volatile std::uint64_t here = i;
                           inside[i] = &here;
                       };
                       const auto per_op = [](const bench::elapsed& took) { return bench::per_op(took.wall, count); };
                       crowd cold(count, weft::default_stack_size, note);
                       const auto hibernating = bench::time_of([] { hibernate(count); });
                       const std::uint64_t before = weft::stats().restores_by_access;
                       const auto touching = bench::time_of(
                           [&]
                           {
                               for (const volatile std::uint64_t* at : inside)
                                   static_cast<void>(*at);
                           });
                       bench::require(weft::stats().restores_by_access - before == count, "hibernation/cost: accesses");
                       hibernate(count);
                       const auto waking = bench::time_of([&] { cold.let_go(); });
                       crowd hot(count, weft::default_stack_size, note);
                       const auto waking_hot = bench::time_of([&] { hot.let_go(); });
                       return bench::result{.ops = count,
                                            .metrics = {{"hibernate_ns", per_op(hibernating)},
                                                        {"restore_ns", per_op(touching)},
                                                        {"wake_ns", per_op(waking)},
                                                        {"wake_hot_ns", per_op(waking_hot)}},
                                            .note = {}};
                   });
}

/// From a send to when the goroutine that has waited for it runs; microseconds.
bench::result wake_latency(const bench::settings& set, bool hibernated)
{
    return by_hand(set,
                   [hibernated]
                   {
                       using clock = std::chrono::steady_clock;
                       constexpr std::size_t count = 10'000;
                       std::deque<weft::chan<clock::time_point>> calls(count);
                       weft::chan<double> answers;
                       weft::wait_group all;
                       for (weft::chan<clock::time_point>& call : calls)
                           all.go(
                               [&call, &answers]
                               {
                                   const clock::time_point sent = *call.recv();
                                   const std::chrono::duration<double, std::micro> took = clock::now() - sent;
                                   answers.send(took.count());
                               });
                       while (weft::stats().goroutines_waiting < count)
                           weft::sleep_for(1ms);
                       if (hibernated)
                           hibernate(count);
                       std::vector<double> us;
                       for (weft::chan<clock::time_point>& call : calls) {
                           call.send(clock::now());
                           us.push_back(*answers.recv());
                       }
                       all.wait();
                       std::ranges::sort(us);
                       return bench::result{.ops = count,
                                            .metrics = {{"p50_us", us[count / 2]}, {"p99_us", us[count / 100 * 99]}},
                                            .note = {}};
                   });
}

bench::result wake_hibernated(const bench::settings& set)
{
    return wake_latency(set, true);
}
bench::result wake_hot(const bench::settings& set)
{
    return wake_latency(set, false);
}

/// 1 % of the goroutines pass values to and fro, in pairs, and each pair wakes one of the idle 99 % now and then, which
/// are all hibernated at the beginning if they can be. One operation: a round trip.
bench::result mixed_load(const bench::settings& set, std::chrono::nanoseconds hibernate_after)
{
    constexpr std::size_t idle_count = 99'000;
    constexpr std::size_t pairs = 500;
    constexpr std::uint64_t trips_per_wake = 1'000;
    constexpr auto duration = 2s;

    bench::result r;
    const auto body = [&]
    {
        std::deque<weft::chan<bool>> idle(idle_count);
        weft::wait_group sleepers;
        for (weft::chan<bool>& bell : idle)
            sleepers.go(
                [&bell]
                {
                    while (bell.recv()) {
                    }
                });
        while (weft::stats().goroutines_waiting < idle_count)
            weft::sleep_for(1ms);
        if (hibernate_after > 0s)
            hibernate(1);  // some may be already

        std::atomic<bool> over{false};
        std::atomic<std::uint64_t> trips{0};
        weft::wait_group players;
        const auto serve = [&](std::size_t pair, weft::chan<std::uint64_t>& to, weft::chan<std::uint64_t>& back)
        {
            std::uint64_t done = 0;
            std::size_t next = pair;
            while (!over.load(std::memory_order_relaxed)) {
                to.send(done);
                bench::require(back.recv() == ++done, "hibernation/mixed");
                if (done % trips_per_wake == 0) {
                    idle[next].send(true);
                    next = (next + pairs) % idle_count;
                }
            }
            to.close();
            trips.fetch_add(done, std::memory_order_relaxed);
        };
        const auto answer = [](weft::chan<std::uint64_t>& to, weft::chan<std::uint64_t>& back)
        {
            while (const auto value = to.recv())
                back.send(*value + 1);
        };
        std::deque<std::array<weft::chan<std::uint64_t>, 2>> wires(pairs);
        const auto took = bench::time_of(
            [&]
            {
                for (std::size_t i = 0; i < pairs; ++i) {
                    players.go([&serve, &wires, i] { serve(i, wires[i][0], wires[i][1]); });
                    players.go([&answer, &wires, i] { answer(wires[i][0], wires[i][1]); });
                }
                weft::sleep_for(duration);
                over.store(true, std::memory_order_relaxed);
                players.wait();
            });
        const weft::runtime_stats after = weft::stats();
        for (weft::chan<bool>& bell : idle)
            bell.close();
        sleepers.wait();
        r = {.ops = trips.load(),
             .metrics = {{"ns_per_op", bench::per_op(took.wall, trips.load())},
                         {"cpu_ns_per_op", bench::per_op(took.cpu, trips.load())},
                         {"hibernations", static_cast<double>(after.hibernations)},
                         {"restores", static_cast<double>(after.restores)}},
             .note = {}};
    };
    weft::run(weft::options{.procs = set.procs, .hibernate_after = hibernate_after}, body);
    return r;
}

bench::result mixed_on(const bench::settings& set)
{
    return mixed_load(set, weft::options{}.hibernate_after);
}
bench::result mixed_off(const bench::settings& set)
{
    return mixed_load(set, 0s);
}

constexpr std::size_t kib = 1024;

constexpr bench::named_case cases[] = {
    {"hibernation/depth_0", parked_after_depth<100'000, 0>},
    {"hibernation/depth_4k", parked_after_depth<100'000, 4 * kib>},
    {"hibernation/depth_8k", parked_after_depth<50'000, 8 * kib>},
    {"hibernation/depth_32k", parked_after_depth<20'000, 32 * kib>},
    {"hibernation/depth_128k", parked_after_depth<5'000, 128 * kib>},
    {"hibernation/cost", there_and_back},
    {"hibernation/wake", wake_hibernated},
    {"hibernation/wake_hot", wake_hot},
    {"hibernation/mixed_on", mixed_on},
    {"hibernation/mixed_off", mixed_off},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases, [](int, const auto& body) { body(); });
}
