// Ps taken away: goroutines that compute, block their threads with and without a word, keep their threads, end at once
// when they are back; beside them others that pass values on, and max_procs going up and down. Nothing is lost, nobody
// waits for ever, and the threads that were needed end again.
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>

#include "../support/storm.hpp"

namespace {

using weft::test::rng;
using namespace std::chrono_literals;

struct world {
    weft::test::storm& storm;
    std::mutex of_system{};
    std::uint64_t guarded = 0;  ///< by of_system
    std::atomic<std::uint64_t> locked{0};
    std::atomic<std::uint64_t> sent{0};
    std::atomic<std::uint64_t> received{0};
};

/// Longer than a slice, or much shorter; in milliseconds of the clock, since the CPU may not be ours.
void compute(rng& r)
{
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(r.one_in(4) ? 3'000 : r.below(500));
    while (std::chrono::steady_clock::now() < end) {
    }
}

void block(rng& r)
{
    (void)::poll(nullptr, 0, static_cast<int>(r.below(4)));
}

void one_step(world& w, rng& r, weft::chan<std::uint64_t>& c)
{
    w.storm.progress();
    switch (r.below(11)) {
        case 0:
            compute(r);
            break;
        case 1:
            block(r);
            break;
        case 2:
            weft::blocking([&] { block(r); });
            break;
        case 3:
            for (int i = 0; i < 20; ++i)
                weft::blocking([] {});
            break;
        case 4: {
            const std::lock_guard hold(w.of_system);
            ++w.guarded;
            if (r.one_in(8))
                block(r);
            ++w.locked;
            break;
        }
        case 5: {
            const weft::pin keep;
            const long own = weft::test::thread_id();
            r.one_in(2) ? compute(r) : block(r);
            weft::yield();
            w.storm.check(weft::test::thread_id() == own, "a pinned goroutine has moved");
            break;
        }
        case 6:
            weft::async([seed = r.split()]() mutable { compute(seed); }).get();
            break;
        case 7: {
            const std::uint64_t v = r.below(1'000);
            w.sent += v;
            c.send(v);
            break;
        }
        case 8:
            weft::sleep_for(std::chrono::microseconds(r.below(300)));
            break;
        case 9:
            weft::go([seed = r.split()]() mutable { block(seed); });  // ends on a thread without a P
            break;
        default:
            weft::yield();
    }
}

}  // namespace

int main(int argc, char** argv)
{
    weft::test::storm storm("retake_storm", argc, argv);
    // The runtime starts with the first call: a short life for idle threads, and short slices.
    weft::run(weft::options{.slice = 1ms, .keep_threads = 100ms}, [] {});
    const int result = storm.run(
        [&](rng r, std::uint64_t round)
        {
            constexpr int all_procs[] = {1, 2, 4, 16};
            weft::max_procs(all_procs[round % 4]);
            world w{.storm = storm};
            weft::chan<std::uint64_t> c(4);
            weft::wait_group workers;
            weft::wait_group receivers;
            receivers.go(
                [&]
                {
                    for (const std::uint64_t v : c)
                        w.received += v;
                });
            const std::size_t n = weft::test::scaled(60);
            for (std::size_t i = 0; i < n; ++i) {
                workers.go(
                    [&, seed = r.split()]() mutable
                    {
                        for (std::size_t s = 0; s < weft::test::scaled(40); ++s)
                            one_step(w, seed, c);
                    });
            }
            workers.go(
                [&, seed = r.split()]() mutable
                {
                    for (int i = 0; i < 10; ++i) {
                        weft::sleep_for(std::chrono::microseconds(seed.below(3'000)));
                        weft::max_procs(static_cast<int>(1 + seed.below(16)));
                    }
                });
            workers.wait();
            c.close();
            receivers.wait();
            storm.check(w.sent == w.received, "values were lost");
            storm.check(w.guarded == w.locked, "a std::mutex did not exclude");
        });
    weft::max_procs(2);
    const bool ended = weft::test::eventually([] { return weft::stats().threads <= 4; });
    storm.check(ended, "threads that are not needed did not end");
    return result;
}
