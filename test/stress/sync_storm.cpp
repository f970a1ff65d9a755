// All of sync.hpp at once, with deadlines and cancellations that meet what they race with, between goroutines and plain
// threads.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "../support/storm.hpp"
#include "weft/context.hpp"
#include "weft/sync.hpp"

namespace {

using weft::test::rng;

constexpr std::ptrdiff_t permits = 5;

struct world {
    weft::test::storm& storm;

    weft::mutex m;
    std::uint64_t under_m = 0;  // guarded by m
    std::atomic<std::uint64_t> under_m_count{0};

    weft::shared_mutex rw;
    std::uint64_t left = 0;  // guarded by rw: equal to `right` for whoever is inside
    std::uint64_t right = 0;
    std::atomic<std::uint64_t> writes{0};

    weft::counting_semaphore<permits> sem{permits};
    std::atomic<std::ptrdiff_t> inside{0};

    weft::mutex box;
    weft::condition_variable filled;
    std::uint64_t tokens = 0;  // guarded by box
    std::atomic<std::uint64_t> made{0};
    std::atomic<std::uint64_t> taken{0};

    weft::pool<std::atomic<bool>> objects{[] { return std::make_unique<std::atomic<bool>>(false); }};
};

std::chrono::microseconds patience(rng& r)
{
    return std::chrono::microseconds(r.below(80));
}

void rest(rng& r)
{
    if (r.one_in(6))
        weft::yield();
    if (r.one_in(60))
        weft::sleep_for(std::chrono::microseconds(r.below(60)));
}

void use_mutex(world& w, rng& r)
{
    switch (r.below(4)) {
        case 0:
            if (!w.m.try_lock_for(patience(r)))
                return;
            break;
        case 1:
            if (w.m.lock(weft::with_timeout(weft::background(), patience(r))))
                return;
            break;
        default:
            w.m.lock();
    }
    const std::uint64_t read = w.under_m;
    rest(r);
    w.under_m = read + 1;
    ++w.under_m_count;
    w.m.unlock();
}

void write(world& w, rng& r)
{
    if (r.one_in(3)) {
        w.rw.lock();
    } else if (!w.rw.try_lock_for(patience(r))) {
        return;
    }
    ++w.left;
    rest(r);
    ++w.right;
    ++w.writes;
    w.rw.unlock();
}

void read(world& w, rng& r)
{
    if (r.one_in(3)) {
        w.rw.lock_shared();
    } else if (!w.rw.try_lock_shared_for(patience(r))) {
        return;
    }
    const std::uint64_t seen = w.left;
    rest(r);
    w.storm.check(seen == w.right && seen == w.left, "a reader beside a writer");
    w.rw.unlock_shared();
}

void use_permits(world& w, rng& r)
{
    const auto n = static_cast<std::ptrdiff_t>(1 + r.below(3));
    if (r.one_in(2)) {
        w.sem.acquire(n);
    } else if (!w.sem.try_acquire_for(patience(r), n)) {
        return;
    }
    w.storm.check((w.inside += n) <= permits, "more inside than permits");
    rest(r);
    w.inside -= n;
    w.sem.release(n);
}

void fill(world& w, rng& r)
{
    const std::uint64_t n = 1 + r.below(3);
    std::unique_lock lock(w.box);
    w.tokens += n;
    w.made += n;
    if (r.one_in(2))
        lock.unlock();
    if (n == 1)
        w.filled.notify_one();
    else
        w.filled.notify_all();
}

// Never without an end: there may be nobody left who fills.
void take(world& w, rng& r)
{
    const auto there = [&w] { return w.tokens > 0; };
    std::unique_lock lock(w.box);
    bool got = false;
    if (r.one_in(2)) {
        got = w.filled.wait_for(lock, patience(r), there);
    } else if (r.one_in(2)) {
        got = !w.filled.wait(lock, there, weft::with_timeout(weft::background(), patience(r)));
    } else {
        std::stop_source stop;
        weft::wait_group stopper;
        stopper.go([&] { stop.request_stop(); });
        got = w.filled.wait(lock, stop.get_token(), there);
        if (got)
            --w.tokens;
        lock.unlock();
        stopper.wait();
        w.taken += got ? 1 : 0;
        return;
    }
    if (got) {
        --w.tokens;
        ++w.taken;
    }
}

void open_latch(world& w, rng& r)
{
    const std::uint64_t count = 1 + r.below(5);
    auto gate = std::make_unique<weft::latch>(static_cast<std::ptrdiff_t>(count));
    std::atomic<std::uint64_t> arrived{0};
    weft::wait_group all;
    for (std::uint64_t i = 0; i < count; ++i) {
        all.go(
            [&]
            {
                ++arrived;
                gate->count_down();
            });
    }
    if (gate->try_wait_for(patience(r)))
        w.storm.check(arrived == count, "a latch has opened too early");
    gate->wait();
    w.storm.check(arrived == count, "a latch has opened too early");
    all.wait();
}

void go_through_barrier(world& w, rng& r)
{
    const std::uint64_t count = 2 + r.below(4);
    const std::uint64_t rounds = 1 + r.below(4);
    std::uint64_t completed = 0;
    const auto complete = [&completed]() noexcept { ++completed; };
    weft::barrier phases(static_cast<std::ptrdiff_t>(count), complete);
    weft::wait_group all;
    for (std::uint64_t i = 0; i < count; ++i) {
        all.go(
            [&, seed = r.split()]() mutable
            {
                for (std::uint64_t round = 1; round <= rounds; ++round) {
                    auto token = phases.arrive();
                    if (!phases.try_wait_for(token, patience(seed)))
                        phases.wait(std::move(token));
                    w.storm.check(completed >= round, "a barrier has opened too early");
                    phases.arrive_and_wait();
                }
            });
    }
    all.wait();
    w.storm.check(completed == 2 * rounds, "a phase of a barrier was lost");
}

void call_once(world& w, rng& r)
{
    weft::once once;
    std::uint64_t calls = 0;
    const std::uint64_t failures = r.below(3);
    weft::wait_group all;
    for (std::uint64_t i = 0; i < 3 + failures; ++i) {
        all.go(
            [&]
            {
                try {
                    once.call(
                        [&]
                        {
                            weft::yield();
                            if (++calls <= failures)
                                throw std::uint64_t{calls};
                        });
                } catch (const std::uint64_t&) {
                    return;
                }
                w.storm.check(calls == failures + 1, "once: not once");
            });
    }
    all.wait();
}

void use_object(world& w, rng& r)
{
    auto object = w.objects.get();
    w.storm.check(!object->exchange(true), "an object of the pool has two users");
    rest(r);
    object->store(false);
    w.objects.put(std::move(object));
    if (r.one_in(512))
        w.objects.clear();
}

// The last done() meets the deadline of the only waiter, who destroys the group when he may.
void short_lived_group(world& w, rng& r)
{
    auto group = std::make_unique<weft::wait_group>();
    group->add();
    auto last = weft::async([raw = group.get()] { raw->done(); });
    if (!group->wait_for(patience(r))) {
        last.wait();
        w.storm.check(group->wait_for(std::chrono::seconds(0)), "a done() was lost");
    }
}

void act(world& w, rng r, std::size_t steps)
{
    for (std::size_t i = 0; i < steps; ++i) {
        switch (r.below(20)) {
            case 0:
            case 1:
            case 2:
                use_mutex(w, r);
                break;
            case 3:
                write(w, r);
                break;
            case 4:
            case 5:
            case 6:
            case 7:
                read(w, r);
                break;
            case 8:
            case 9:
                use_permits(w, r);
                break;
            case 10:
            case 11:
                fill(w, r);
                break;
            case 12:
            case 13:
            case 14:
                take(w, r);
                break;
            case 15:
                if (r.one_in(4))
                    open_latch(w, r);
                break;
            case 16:
                if (r.one_in(8))
                    go_through_barrier(w, r);
                break;
            case 17:
                if (r.one_in(4))
                    call_once(w, r);
                break;
            case 18:
                short_lived_group(w, r);
                break;
            default:
                use_object(w, r);
        }
        w.storm.progress();
    }
}

void one_round(weft::test::storm& storm, rng r)
{
    auto w = std::make_unique<world>(storm);
    weft::max_procs(1 + static_cast<int>(r.below(8)));
    const std::size_t steps = weft::test::scaled(200);
    std::vector<std::thread> threads;
    weft::wait_group all;
    const std::uint64_t thread_count = r.below(4);
    const std::uint64_t goroutines = 1 + r.below(weft::test::scaled(100));
    for (std::uint64_t i = 0; i < thread_count; ++i) {
        all.add();
        threads.emplace_back(
            [&, seed = r.split()]
            {
                act(*w, seed, steps);
                all.done();
            });
    }
    for (std::uint64_t i = 0; i < goroutines; ++i)
        all.go([&, seed = r.split()] { act(*w, seed, steps); });
    all.wait();
    for (std::thread& t : threads)
        t.join();
    storm.check(w->m.try_lock() && w->under_m == w->under_m_count, "an increment under the mutex was lost");
    storm.check(w->rw.try_lock() && w->left == w->writes && w->right == w->writes, "a write was lost");
    storm.check(w->sem.try_acquire(permits), "a permit was lost");
    storm.check(w->box.try_lock() && w->made == w->taken + w->tokens, "a token was lost or doubled");
    w->m.unlock();
    w->rw.unlock();
    w->box.unlock();
}

}  // namespace

int main(int argc, char** argv)
{
    weft::test::storm storm("sync_storm", argc, argv);
    return storm.run([&](rng r, std::uint64_t) { one_round(storm, r); });
}
