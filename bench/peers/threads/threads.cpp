// The threads side of weft's benchmarks: the same work with std::thread and std::mutex, under the same names. Where a
// machine can't have as many threads as weft has goroutines, the count is smaller and the result's note says so.
#include <linux/futex.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "../../micro/harness.hpp"

namespace {

constexpr std::uint64_t many = 10'000;
constexpr std::size_t kib = 1024;

/// The process's threads, those to come included, may run on `procs` CPUs only.
void confine(int procs)
{
    static const cpu_set_t allowed = []
    {
        cpu_set_t set;
        if (sched_getaffinity(0, sizeof set, &set) != 0)
            throw std::system_error(errno, std::generic_category(), "sched_getaffinity");
        return set;
    }();
    cpu_set_t chosen;
    CPU_ZERO(&chosen);
    int left = procs;
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE && left > 0; ++cpu) {
        if (CPU_ISSET(cpu, &allowed)) {
            CPU_SET(cpu, &chosen);
            --left;
        }
    }
    if (left > 0)
        throw std::invalid_argument("there are fewer than " + std::to_string(procs) + " CPUs");
    if (sched_setaffinity(0, sizeof chosen, &chosen) != 0)
        throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
}

void join_all(std::vector<std::thread>& threads)
{
    for (std::thread& t : threads)
        t.join();
    threads.clear();
}

/// Context switches of this process so far.
double switches()
{
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_nvcsw + usage.ru_nivcsw);
}

bench::result yield_two(const bench::settings& set)
{
    double switched = 0;
    const auto yields = [&switched](std::uint64_t n)
    {
        const auto yield_half = [half = n / 2]
        {
            for (std::uint64_t k = 0; k < half; ++k)
                std::this_thread::yield();
        };
        const double before = switches();
        std::vector<std::thread> threads;
        threads.emplace_back(yield_half);
        threads.emplace_back(yield_half);
        join_all(threads);
        switched = switches() - before;
    };
    bench::result r = bench::scaled(set, yields);
    r.metrics.push_back({"switches_per_op", switched / static_cast<double>(r.ops)});
    return r;
}

/// Two threads hand a turn to and fro, so that every operation is a switch.
bench::result futex_hand_over(const bench::settings& set)
{
    const auto hand_over = [](std::uint64_t n)
    {
        std::array<std::atomic<std::uint32_t>, 2> turn{1, 0};
        const auto futex = [](std::atomic<std::uint32_t>& word, int operation, std::uint32_t value)
        { syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0); };
        const auto play = [&turn, &futex, half = (n + 1) / 2](std::size_t me)
        {
            for (std::uint64_t k = 0; k < half; ++k) {
                while (turn[me].load() == 0)
                    futex(turn[me], FUTEX_WAIT, 0);
                turn[me].store(0);
                turn[1 - me].store(1);
                futex(turn[1 - me], FUTEX_WAKE, 1);
            }
        };
        std::vector<std::thread> threads;
        threads.emplace_back(play, 0);
        threads.emplace_back(play, 1);
        join_all(threads);
    };
    return bench::scaled(set, hand_over);
}

bench::result spawn_single(const bench::settings& set)
{
    const auto spawn_and_join = [](std::uint64_t n)
    {
        for (std::uint64_t i = 0; i < n; ++i)
            std::thread([] {}).join();
    };
    return bench::scaled(set, spawn_and_join);
}

bench::result spawn_batches(const bench::settings& set)
{
    const auto spawn_and_join = [](std::uint64_t n)
    {
        constexpr std::uint64_t batch = 1000;
        std::vector<std::thread> threads;
        for (std::uint64_t left = n; left > 0;) {
            const std::uint64_t count = std::min(left, batch);
            left -= count;
            for (std::uint64_t i = 0; i < count; ++i)
                threads.emplace_back([] {});
            join_all(threads);
        }
    };
    return bench::scaled(set, spawn_and_join);
}

bench::result spawn_at_once(const bench::settings&)
{
    const auto spawn_and_join = []
    {
        std::vector<std::thread> threads;
        for (std::uint64_t i = 0; i < many; ++i)
            threads.emplace_back([] {});
        join_all(threads);
    };
    const double before = bench::reset_peak_resident();
    bench::result r = bench::fixed(many, spawn_and_join);
    r.metrics.push_back({"peak_bytes_per_op", (bench::peak_resident() - before) / double{many}});
    r.note = "10,000 threads instead of 1,000,000; the peak lacks kernel memory";
    return r;
}

bench::result mutex_contended(const bench::settings&)
{
    constexpr std::uint64_t contenders = 1000;
    constexpr std::uint64_t each = 10'000;
    std::mutex mutex;
    std::uint64_t counter = 0;
    const auto count = [&mutex, &counter]
    {
        for (std::uint64_t k = 0; k < each; ++k) {
            const std::lock_guard hold(mutex);
            ++counter;
        }
    };
    const auto count_by_all = [&count]
    {
        std::vector<std::thread> threads;
        for (std::uint64_t i = 0; i < contenders; ++i)
            threads.emplace_back(count);
        join_all(threads);
    };
    bench::result r = bench::fixed(contenders * each, count_by_all);
    bench::require(counter == contenders * each, "mutex/contended");
    return r;
}

/// In a second thread, because glibc's mutex may know that a process has one thread only and do less then.
bench::result mutex_uncontended(const bench::settings& set)
{
    std::mutex mutex;
    const auto lock_and_unlock = [&mutex](std::uint64_t n)
    {
        for (std::uint64_t i = 0; i < n; ++i) {
            mutex.lock();
            mutex.unlock();
        }
    };
    bench::result r;
    std::thread([&] { r = bench::scaled(set, lock_and_unlock); }).join();
    return r;
}

bench::result parked(const bench::settings&)
{
    std::latch gate(1);
    std::latch arrived(many);
    std::vector<std::thread> threads;
    const auto pass_gate = [&gate, &arrived]
    {
        arrived.count_down();
        gate.wait();
    };
    const auto get_there = [&]
    {
        for (std::uint64_t i = 0; i < many; ++i)
            threads.emplace_back(pass_gate);
        arrived.wait();
    };
    const auto let_go = [&]
    {
        gate.count_down();
        join_all(threads);
    };

    const bench::memory before;
    const auto getting_there = bench::time_of(get_there);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the last ones are between their count and the gate
    const bench::memory after;
    const double maps = bench::maps_lines();
    const auto letting_go = bench::time_of(let_go);
    return {.ops = many,
            .metrics = {{"bytes_per_op", after.taken_since(before) / double{many}},
                        {"own_bytes_per_op", after.own_taken_since(before) / double{many}},
                        {"maps_lines", maps},
                        {"ms", bench::milliseconds(getting_there.wall)},
                        {"release_ms", bench::milliseconds(letting_go.wall)}},
            .note = "10,000 threads instead of 1,000,000"};
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

/// Threads that have used `Bytes` of their stacks. They keep them: hibernated_bytes_per_op is the same figure, to stand
/// beside weft's.
template <std::uint64_t Count, std::size_t Bytes>
bench::result parked_after_depth(const bench::settings&)
{
    std::latch gate(1);
    std::latch arrived(Count);
    std::vector<std::thread> threads;
    threads.reserve(Count);
    const auto kernel_stacks = [] { return bench::proc_bytes("/proc/meminfo", "KernelStack"); };
    const double kernel_before = kernel_stacks();
    const bench::memory before;
    for (std::uint64_t i = 0; i < Count; ++i)
        threads.emplace_back(
            [&]
            {
                touch<Bytes>();
                arrived.count_down();
                gate.wait();
            });
    arrived.wait();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the last ones are between their count and the gate
    const double own = bench::memory().own_taken_since(before);
    const double each = (own + kernel_stacks() - kernel_before) / double{Count};
    gate.count_down();
    join_all(threads);
    return {.ops = Count,
            .metrics = {{"hot_bytes_per_op", each}, {"hibernated_bytes_per_op", each}},
            .note = std::to_string(Count) + " threads; the kernel's stacks are in it"};
}

/// Threads until the kernel refuses one.
bench::result most_threads(const bench::settings&)
{
    constexpr std::uint64_t enough = 1'000'000;
    std::latch gate(1);
    std::vector<std::thread> threads;
    std::string stopped_by = "nothing";
    const auto start_all = [&]
    {
        try {
            while (threads.size() < enough)
                threads.emplace_back([&gate] { gate.wait(); });
        } catch (const std::system_error& e) {
            stopped_by = e.what();
        }
    };
    const auto starting = bench::time_of(start_all);
    const std::uint64_t started = threads.size();
    gate.count_down();
    join_all(threads);
    return {.ops = started,
            .metrics = {{"threads", static_cast<double>(started)}, {"ms", bench::milliseconds(starting.wall)}},
            .note = "stopped by: " + stopped_by};
}

constexpr bench::named_case cases[] = {
    {"yield/two", yield_two},
    {"switch/futex", futex_hand_over},
    {"spawn/single", spawn_single},
    {"spawn/batch_1000", spawn_batches},
    {"spawn/million", spawn_at_once},
    {"mutex/contended", mutex_contended},
    {"mutex/uncontended", mutex_uncontended},
    {"parked/million", parked},
    {"hibernation/depth_0", parked_after_depth<many, 0>},
    {"hibernation/depth_4k", parked_after_depth<many, 4 * kib>},
    {"hibernation/depth_8k", parked_after_depth<many, 8 * kib>},
    {"hibernation/depth_32k", parked_after_depth<many, 32 * kib>},
    {"hibernation/depth_128k", parked_after_depth<5'000, 128 * kib>},
    {"threads/most", most_threads},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body)
                       {
                           confine(procs);
                           body();
                       });
}
