// Futures: trees of them, awaited, polled, timed out, moved, dropped before, while and after they complete.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../support/storm.hpp"

namespace {

using weft::test::counted;
using weft::test::rng;

struct world {
    weft::test::storm& storm;
    std::atomic<std::int64_t> budget;
    weft::wait_group threads{};
};

bool may_start(world& w)
{
    return w.budget.fetch_sub(1, std::memory_order_relaxed) > 0;
}

struct failure : counted {
    std::uint64_t token;
    explicit failure(std::uint64_t t) : token(t) {}
};

// A result too large for a control block, that tells when it is torn.
struct large : counted {
    std::array<std::uint64_t, 24> words{};
    explicit large(std::uint64_t token) { words.fill(token); }
    [[nodiscard]] bool is(std::uint64_t token) const
    {
        for (const std::uint64_t w : words)
            if (w != token)
                return false;
        return true;
    }
};

void rest(rng& r)
{
    switch (r.below(8)) {
        case 0:
        case 1:
            weft::yield();
            break;
        case 2:
            if (r.one_in(4))
                weft::sleep_for(std::chrono::microseconds(r.below(60)));
            break;
        default:
            break;
    }
}

template <class T>
void linger(const weft::future<T>& f, rng& r)
{
    switch (r.below(6)) {
        case 0:
            (void)f.ready();
            break;
        case 1:
            (void)f.wait_for(std::chrono::microseconds(r.below(60)));
            break;
        case 2:
            for (int i = 0; i < 5; ++i)
                (void)f.wait_for(std::chrono::nanoseconds(r.below(3'000)));
            break;
        case 3:
            f.wait();
            break;
        default:
            break;
    }
}

std::uint64_t sum_of_tree(world& w, rng r, unsigned depth);

// A subtree's sum is 1 for each of its leaves.
std::uint64_t subtree(world& w, rng& r, unsigned depth)
{
    if (!may_start(w))
        return sum_of_tree(w, r.split(), depth);
    auto f = weft::async([&w, seed = r.split(), depth] { return sum_of_tree(w, seed, depth); });
    linger(f, r);
    if (r.one_in(4)) {
        auto moved = std::move(f);
        rest(r);
        return moved.get();
    }
    return f.get();
}

std::uint64_t sum_of_tree(world& w, rng r, unsigned depth)
{
    w.storm.progress();
    rest(r);
    if (depth == 0)
        return 1;
    if (!may_start(w))
        return subtree(w, r, depth - 1) + subtree(w, r, depth - 1);
    auto left = weft::async([&w, seed = r.split(), depth] { return sum_of_tree(w, seed, depth - 1); });
    const std::uint64_t right = subtree(w, r, depth - 1);
    linger(left, r);
    return left.get() + right;
}

void large_result(world& w, rng& r)
{
    const std::uint64_t token = r.next();
    auto f = weft::async(
        [token, seed = r.split(), c = counted()]() mutable
        {
            rest(seed);
            return large(token);
        });
    linger(f, r);
    if (!r.one_in(3))
        w.storm.check(f.get().is(token), "a torn result");
}

void owned_result(world& w, rng& r)
{
    const std::uint64_t token = r.next();
    auto f = weft::async([p = std::make_unique<std::uint64_t>(token)]() mutable { return std::move(p); });
    linger(f, r);
    if (!r.one_in(3))
        w.storm.check(*f.get() == token, "a wrong result");
}

void failed_result(world& w, rng& r)
{
    const std::uint64_t token = r.next();
    auto f = weft::async(
        [token, seed = r.split()]() mutable -> std::uint64_t
        {
            rest(seed);
            throw failure(token);
        });
    linger(f, r);
    if (r.one_in(3))
        return;
    try {
        (void)f.get();
        w.storm.check(false, "an exception was lost");
    } catch (const failure& e) {
        rest(r);
        w.storm.check(e.token == token, "another goroutine's exception");
    }
}

void broken_promise(world& w, rng& r)
{
    auto f = weft::async(
        [c = counted(), seed = r.split()]() mutable -> int
        {
            rest(seed);
            weft::exit_goroutine();
        });
    linger(f, r);
    if (r.one_in(3))
        return;
    try {
        (void)f.get();
        w.storm.check(false, "a broken promise was kept");
    } catch (const std::future_error& e) {
        w.storm.check(e.code() == std::future_errc::broken_promise, "another error than broken_promise");
    }
}

// Of two waiters one is refused, or comes when the other has done with it.
void two_waiters(world& w, rng& r)
{
    weft::wait_group gate;
    gate.add();
    auto f = weft::async([&] { gate.wait(); });
    std::atomic<int> refused{0};
    weft::wait_group both;
    for (int i = 0; i < 2; ++i) {
        both.go(
            [&, i]
            {
                try {
                    if (i == 0)
                        f.wait();
                    else
                        (void)f.wait_for(std::chrono::hours(1));
                } catch (const std::logic_error&) {
                    ++refused;
                    gate.done();
                }
            });
    }
    rest(r);
    both.wait();
    w.storm.check(refused == 1, "not one of two waiters was refused");
    f.get();
}

void many_at_once(world& w, rng& r)
{
    std::vector<weft::future<std::uint64_t>> all;
    const std::uint64_t count = r.below(20);
    for (std::uint64_t i = 0; i < count; ++i)
        all.push_back(weft::async([i] { return i; }));
    while (!all.empty()) {
        const std::size_t at = r.below(all.size());
        if (r.one_in(4))
            all[at] = weft::future<std::uint64_t>();
        else
            w.storm.check(all[at].get() < count, "a wrong result");
        all[at] = std::move(all.back());
        all.pop_back();
    }
}

void awaited_by_a_thread(world& w, rng& r)
{
    w.threads.add();
    std::thread(
        [&w, seed = r.split(), f = weft::async([t = r.next()] { return large(t); })]() mutable
        {
            linger(f, seed);
            if (!seed.one_in(3))
                (void)f.get();
            f = {};
            w.threads.done();
        })
        .detach();
}

void act(world& w, rng r, std::size_t steps)
{
    for (std::size_t i = 0; i < steps; ++i) {
        w.storm.progress();
        switch (r.below(12)) {
            case 0: {
                const auto depth = static_cast<unsigned>(r.below(6));
                w.storm.check(subtree(w, r, depth) == std::uint64_t{1} << depth, "a leaf was lost or counted twice");
                break;
            }
            case 1:
            case 2:
                large_result(w, r);
                break;
            case 3:
            case 4:
                owned_result(w, r);
                break;
            case 5:
            case 6:
                failed_result(w, r);
                break;
            case 7:
                broken_promise(w, r);
                break;
            case 8:
                two_waiters(w, r);
                break;
            case 9:
            case 10:
                many_at_once(w, r);
                break;
            default:
                if (r.one_in(16))
                    awaited_by_a_thread(w, r);
                else if (r.one_in(16))
                    weft::max_procs(1 + static_cast<int>(r.below(8)));
        }
    }
}

void one_round(weft::test::storm& storm, rng r)
{
    world w{storm, static_cast<std::int64_t>(weft::test::scaled_live(20'000))};
    weft::max_procs(1 + static_cast<int>(r.below(8)));
    const std::uint64_t roots = 1 + r.below(weft::test::scaled(100));
    weft::wait_group all;
    for (std::uint64_t i = 0; i < roots; ++i)
        all.go([&w, seed = r.split()] { act(w, seed, 60); });
    all.wait();
    w.threads.wait();
}

}  // namespace

int main(int argc, char** argv)
{
    weft::test::storm storm("future_storm", argc, argv);
    return storm.run(
        [&](rng r, std::uint64_t)
        {
            one_round(storm, r);
            storm.check(weft::test::eventually([] { return counted::alive == 0; }), "a result was not destroyed");
        });
}
