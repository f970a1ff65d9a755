// Sleeps and timeouts on all Ps while Ps come and go: none early, none lost, no timer left armed.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <thread>
#include <vector>

#include "../support/storm.hpp"

namespace {

using weft::test::rng;

void sleep_checked(weft::test::storm& storm, rng& r)
{
    const auto d = std::chrono::nanoseconds(r.one_in(4) ? r.below(2'000) : r.below(300'000));
    const auto deadline = weft::clock::now() + d;
    if (r.one_in(2))
        weft::sleep_for(d);
    else
        weft::sleep_until(deadline);
    storm.check(weft::clock::now() >= deadline || d.count() == 0, "a sleep ended early");
}

// A timeout that comes first, last, or at the same time.
void race_a_timeout(weft::test::storm& storm, rng& r)
{
    const auto work = std::chrono::microseconds(r.below(80));
    const auto patience = std::chrono::microseconds(r.below(80));
    auto f = weft::async(
        [work]
        {
            weft::sleep_for(work);
            return 1;
        });
    const auto before = weft::clock::now();
    if (f.wait_for(patience) == std::future_status::timeout)
        storm.check(weft::clock::now() - before >= patience, "a timeout came early");
    if (!r.one_in(3))
        storm.check(f.get() == 1, "a wrong result");
}

// A timer that is always disarmed before its time.
void long_timeout(rng& r)
{
    auto f = weft::async(
        [seed = r.split()]() mutable
        {
            if (seed.one_in(2))
                weft::yield();
        });
    (void)f.wait_for(std::chrono::hours(1 + r.below(100)));
    f.get();
}

void act(weft::test::storm& storm, rng r, std::size_t steps)
{
    for (std::size_t i = 0; i < steps; ++i) {
        storm.progress();
        switch (r.below(8)) {
            case 0:
            case 1:
            case 2:
                sleep_checked(storm, r);
                break;
            case 3:
            case 4:
                race_a_timeout(storm, r);
                break;
            case 5:
            case 6:
                long_timeout(r);
                break;
            default:
                if (r.one_in(8))
                    weft::max_procs(1 + static_cast<int>(r.below(8)));
                else
                    weft::yield();
        }
    }
}

}  // namespace

int main(int argc, char** argv)
{
    weft::test::storm storm("timer_storm", argc, argv);
    return storm.run(
        [&](rng r, std::uint64_t)
        {
            weft::max_procs(1 + static_cast<int>(r.below(8)));
            std::vector<std::thread> threads;
            weft::wait_group all;
            const std::uint64_t thread_count = r.below(4);
            const std::uint64_t goroutines = 1 + r.below(weft::test::scaled_live(2'000));
            for (std::uint64_t i = 0; i < thread_count; ++i) {
                all.add();
                threads.emplace_back(
                    [&, seed = r.split()]
                    {
                        act(storm, seed, 30);
                        all.done();
                    });
            }
            for (std::uint64_t i = 0; i < goroutines; ++i)
                all.go([&, seed = r.split()] { act(storm, seed, 30); });
            all.wait();
            storm.check(weft::test::eventually([] { return weft::stats().timers == 0; }), "a timer was left armed");
            for (std::thread& t : threads)
                t.join();
        });
}
