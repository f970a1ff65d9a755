// What every storm shares: its options, its seed, rounds until the time is up, and a watchdog.
//
//     NAME [--seconds N | --operations N] [--seed S]
//
// --operations, of those storms that count theirs, goes on until so many have been done, however long that takes.
// The seed decides what each goroutine does; when it does so is the scheduler's and the machine's business. A storm
// prints its seed first. Without progress for a minute the watchdog prints the runtime's counters and aborts; so does a
// check that fails.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string_view>
#include <thread>
#include <utility>

#include "observe.hpp"
#include "rng.hpp"
#include "scale.hpp"
#include "weft/weft.hpp"

namespace weft::test {

class storm {
public:
    storm(const char* name, int argc, char** argv) : name_(name)
    {
        std::uint64_t seconds = 10;
        std::random_device device;
        seed_ = (std::uint64_t{device()} << 32) | device();
        for (int i = 1; i < argc; i += 2) {
            const std::string_view option = argv[i];
            char* end = nullptr;
            const std::uint64_t value = i + 1 < argc ? std::strtoull(argv[i + 1], &end, 0) : 0;
            const bool number = end != nullptr && end != argv[i + 1] && *end == '\0';
            if (number && option == "--seconds") {
                seconds = value;
            } else if (number && option == "--seed") {
                seed_ = value;
            } else if (number && option == "--operations") {
                wanted_ = value;
            } else {
                std::fprintf(stderr, "usage: %s [--seconds N | --operations N] [--seed S]\n", argv[0]);
                std::exit(64);
            }
        }
        std::printf("%s: seed %llu\n", name_, static_cast<unsigned long long>(seed_));
        std::fflush(stdout);
        end_ = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
        watchdog_ = std::thread([this] { watch(); });
    }
    storm(const storm&) = delete;
    storm& operator=(const storm&) = delete;

    /// Runs `round(rng, number)` as the main goroutine, again and again until the time is up; each leaves no goroutine
    /// behind. Returns main()'s result.
    template <class Round>
    int run(Round&& round)
    {
        if (wanted_ != 0) {
            std::fprintf(stderr, "%s does not count operations: --operations means nothing to it\n", name_);
            std::_Exit(64);
        }
        return run(round, [] { return std::uint64_t{0}; });
    }
    /// `operations()`: how many have been done since the beginning.
    template <class Round, class Operations>
    int run(Round&& round, Operations&& operations)
    {
        const int before = weft::max_procs();
        std::uint64_t rounds = 0;
        rng r(seed_);
        do {
            weft::run(settings, [&] { round(r.split(), rounds); });
            check(eventually([] { return weft::num_goroutines() == 0; }), "goroutines were left over");
            ++rounds;
            progress();
        } while (wanted_ != 0 ? operations() < wanted_ : std::chrono::steady_clock::now() < end_);
        weft::max_procs(before);
        {
            const std::lock_guard guard(lock_);
            stop_ = true;
        }
        stopped_.notify_all();
        watchdog_.join();
        const runtime_stats s = weft::stats();
        if (const std::uint64_t done = operations(); done != 0)
            std::printf("%s: %llu operations\n", name_, static_cast<unsigned long long>(done));
        std::printf("%s: %llu rounds, %llu goroutines, %llu switches, %llu parks, %llu steals, %llu handoffs: ok\n",
                    name_, static_cast<unsigned long long>(rounds),
                    static_cast<unsigned long long>(s.goroutines_started), static_cast<unsigned long long>(s.switches),
                    static_cast<unsigned long long>(s.parks), static_cast<unsigned long long>(s.steals),
                    static_cast<unsigned long long>(s.handoffs));
        return 0;
    }

    /// Of the runtime; to be set before run().
    options settings;

    /// Something went on.
    void progress() noexcept { steps_.fetch_add(1, std::memory_order_relaxed); }

    void check(bool holds, const char* what) const
    {
        if (!holds)
            give_up(what);
    }

private:
    [[noreturn]] void give_up(const char* what) const
    {
        const runtime_stats s = weft::stats();
        const auto n = [](std::uint64_t v) { return static_cast<unsigned long long>(v); };
        std::fprintf(stderr,
                     "%s: %s (seed %llu)\n"
                     "  goroutines %llu (runnable %llu, running %llu, waiting %llu), started %llu, timers %llu\n"
                     "  procs %llu (idle %llu), threads %llu (idle %llu, spinning %llu), thread failures %llu\n"
                     "  switches %llu, parks %llu, steals %llu, stolen %llu, handoffs %llu, wakeups %llu\n"
                     "  stacks in use %llu, free %llu\n",
                     name_, what, n(seed_), n(s.goroutines), n(s.goroutines_runnable), n(s.goroutines_running),
                     n(s.goroutines_waiting), n(s.goroutines_started), n(s.timers), n(s.procs), n(s.procs_idle),
                     n(s.threads), n(s.threads_idle), n(s.threads_spinning), n(s.thread_failures), n(s.switches),
                     n(s.parks), n(s.steals), n(s.stolen), n(s.handoffs), n(s.wakeups), n(s.stacks_in_use),
                     n(s.stacks_free));
        std::abort();
    }

    void watch()
    {
        constexpr int patience = 60;  // seconds
        std::uint64_t seen = steps_;
        int idle_for = 0;
        std::unique_lock guard(lock_);
        while (!stopped_.wait_for(guard, std::chrono::seconds(1), [this] { return stop_; })) {
            const std::uint64_t now = steps_;
            idle_for = now == seen ? idle_for + 1 : 0;
            seen = now;
            if (idle_for >= patience)
                give_up("no progress for 60 s");
        }
    }

    const char* name_;
    std::uint64_t seed_ = 0;
    std::uint64_t wanted_ = 0;  ///< operations; 0: as many as come in the time
    std::chrono::steady_clock::time_point end_;
    std::atomic<std::uint64_t> steps_{0};
    std::mutex lock_;
    std::condition_variable stopped_;
    bool stop_ = false;  // guarded by lock_
    std::thread watchdog_;
};

/// Proves that each of a set of things happened exactly once: what is announced with one call comes back by another.
class ledger {
public:
    void announce(std::uint64_t token) noexcept
    {
        count_.fetch_add(1, std::memory_order_relaxed);
        sum_.fetch_add(token, std::memory_order_relaxed);
        squares_.fetch_add(token * token, std::memory_order_relaxed);
    }
    void redeem(std::uint64_t token) noexcept
    {
        count_.fetch_sub(1, std::memory_order_relaxed);
        sum_.fetch_sub(token, std::memory_order_relaxed);
        squares_.fetch_sub(token * token, std::memory_order_relaxed);
    }
    [[nodiscard]] bool balanced() const noexcept { return count_ == 0 && sum_ == 0 && squares_ == 0; }

private:
    std::atomic<std::uint64_t> count_{0};
    std::atomic<std::uint64_t> sum_{0};
    std::atomic<std::uint64_t> squares_{0};
};

}  // namespace weft::test
