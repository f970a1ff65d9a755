// The work of the example, written once for goroutines and for threads: a Kit says which mutex, latch and sleep the
// tasks use. Every task waits at its wave's gate and at the gate of all, swaps a value with its partner (tasks 0 and 1,
// 2 and 3, ...), sleeps for up to a second, and notes what it got in a record of its own; the records show afterwards
// whether anything was lost, done twice or mixed up.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "result.hpp"

namespace million {

/// Scrambles `x`: the output function of the splitmix64 generator (Steele, Lea, Flood, 2014).
[[nodiscard]] constexpr std::uint64_t scramble(std::uint64_t x) noexcept
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

/// What task `i` gives to its partner.
[[nodiscard]] constexpr std::uint64_t value_of(std::uint64_t i) noexcept
{
    return scramble(i);
}

/// How long task `i` sleeps: anything below a second, the same in every run.
[[nodiscard]] constexpr std::chrono::nanoseconds sleep_of(std::uint64_t i) noexcept
{
    constexpr std::uint64_t second = 1'000'000'000;
    return std::chrono::nanoseconds(scramble(~i) % second);
}

/// A point that all tasks pass, and that somebody waits for them to have passed.
template <class Kit>
class milestone {
public:
    explicit milestone(std::uint64_t tasks) : tasks_(tasks) {}

    /// `n` tasks have passed, or will never come.
    void pass(std::uint64_t n = 1)
    {
        if (passed_.fetch_add(n, std::memory_order_acq_rel) + n == tasks_)
            all_.count_down();
    }
    void wait() { all_.wait(); }
    [[nodiscard]] std::uint64_t passed() const { return passed_.load(std::memory_order_relaxed); }

private:
    const std::uint64_t tasks_;
    alignas(64) std::atomic<std::uint64_t> passed_{0};  // on a cache line of its own: every task writes it
    alignas(64) typename Kit::latch all_{1};
};

/// The wave of a workload that is let go all at once.
[[nodiscard]] constexpr std::uint64_t one_wave(std::uint64_t tasks) noexcept
{
    return tasks + tasks % 2;
}

template <class Kit>
class workload {
public:
    /// For up to `tasks` tasks, let go in waves of `wave`, an even number.
    workload(std::uint64_t tasks, std::uint64_t wave)
        : arrived(tasks),
          woken(tasks),
          exchanged(tasks),
          awake(tasks),
          tasks_(tasks),
          wave_(wave),
          pairs_(std::make_unique<pair[]>(tasks / 2 + 1)),
          records_(tasks)
    {
        for (std::uint64_t first = 0; first < tasks; first += wave)
            wave_gates_.emplace_back(1);
    }

    /// The whole life of task `i`.
    void run_task(std::uint64_t i)
    {
        arrived.pass();
        wave_gates_[i / wave_].wait();
        woken.pass();
        gate_.wait();
        const std::uint64_t received = swap_with_partner(i);
        exchanged.pass();

        const auto wake_at = Kit::clock::now() + sleep_of(i);
        Kit::sleep_until(wake_at);
        note(i, received, Kit::clock::now() - wake_at);
        awake.pass();
    }

    /// Called once, after the last task was started: `n` of them exist, 0 to n-1. A task left without a partner swaps
    /// with the caller.
    void started(std::uint64_t n)
    {
        started_ = n;
        if (n % 2 != 0) {
            pair& p = pairs_[n / 2];
            const std::lock_guard hold(p.guard);
            p.value[1] = value_of(n);
            p.both_gave.count_down();
        }
        if (n < tasks_)
            for (milestone<Kit>* m : {&arrived, &woken, &exchanged, &awake})
                m->pass(tasks_ - n);
    }

    [[nodiscard]] std::uint64_t wave() const { return wave_; }
    [[nodiscard]] std::uint64_t waves() const { return wave_gates_.size(); }
    /// That of tasks wave() * n and following.
    void open_wave_gate(std::uint64_t n) { wave_gates_[n].count_down(); }
    void open_gate() { gate_.count_down(); }

    /// After the last task's end.
    [[nodiscard]] verdict check() const
    {
        verdict v;
        for (std::uint64_t i = 0; i < started_; ++i) {
            const record& r = records_[i];
            const std::uint64_t expected = value_of(i ^ 1);
            v.sum += r.received;
            v.expected += expected;
            v.lost += r.runs == 0;
            v.doubled += r.runs > 1;
            v.wrong += r.runs != 0 && r.received != expected;
            v.early += r.early;
        }
        return v;
    }

    /// After the last task's end.
    [[nodiscard]] lateness late() const
    {
        std::vector<std::uint32_t> all;
        all.reserve(started_);
        for (std::uint64_t i = 0; i < started_; ++i)
            all.push_back(records_[i].late_us);
        const auto quantile = [&](double q)
        {
            if (all.empty())
                return 0.0;
            const auto at = all.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(all.size() - 1));
            std::nth_element(all.begin(), at, all.end());
            return *at * 1e-6;
        };
        return {quantile(0.5), quantile(0.99), quantile(1)};
    }

    milestone<Kit> arrived;
    milestone<Kit> woken;
    milestone<Kit> exchanged;
    milestone<Kit> awake;

private:
    struct pair {
        typename Kit::mutex guard;
        typename Kit::latch both_gave{2};
        std::uint64_t value[2]{};  ///< by the task's lowest bit; guarded by `guard`
    };
    struct record {  ///< written by its task alone, read after the task's end
        std::uint64_t received = 0;
        std::uint32_t late_us = 0;
        std::uint16_t runs = 0;
        std::uint16_t early = 0;
    };

    std::uint64_t swap_with_partner(std::uint64_t i)
    {
        pair& p = pairs_[i / 2];
        {
            const std::lock_guard hold(p.guard);
            p.value[i % 2] = value_of(i);
        }
        p.both_gave.count_down();
        p.both_gave.wait();
        const std::lock_guard hold(p.guard);
        return p.value[1 - i % 2];
    }

    void note(std::uint64_t i, std::uint64_t received, std::chrono::nanoseconds late)
    {
        constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
        record& r = records_[i];
        r.received = received;
        r.late_us = static_cast<std::uint32_t>(std::clamp<std::int64_t>(late.count() / 1000, 0, most));
        r.early = late.count() < 0 ? 1 : 0;
        ++r.runs;
    }

    typename Kit::latch gate_{1};
    const std::uint64_t tasks_;
    const std::uint64_t wave_;
    std::deque<typename Kit::latch> wave_gates_;
    std::uint64_t started_ = 0;
    std::unique_ptr<pair[]> pairs_;
    std::vector<record> records_;
};

}  // namespace million
