// Goroutines that do everything that there is, at random, while the number of Ps changes under them.
//
// Every goroutine is announced in a ledger by its starter and redeemed by its own end, whichever way it ends; every
// result is a function of its goroutine's token; every counter under a mutex is plain memory and known in advance.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <future>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "../support/storm.hpp"

namespace {

using weft::test::counted;
using weft::test::rng;
using weft::test::thread_id;

struct guarded_counter {
    weft::mutex m;
    std::uint64_t value = 0;
    std::atomic<std::uint64_t> expected{0};
};

struct world {
    weft::test::storm& storm;
    weft::test::ledger ledger;
    weft::wait_group alive;
    std::atomic<std::int64_t> budget;  // goroutines that may still be started
    std::array<guarded_counter, 6> counters;

    world(weft::test::storm& s, std::int64_t goroutines) : storm(s), budget(goroutines) {}
};

std::uint64_t result_of(std::uint64_t token)
{
    return token * 0x9e3779b97f4a7c15U + 1;
}

// One goroutine's existence: made by its starter, moved into it, redeemed when it ends.
class life {
public:
    life(world& w, std::uint64_t token) : world_(&w), token_(token)
    {
        w.alive.add();
        w.ledger.announce(token);
    }
    life(life&& other) noexcept : world_(std::exchange(other.world_, nullptr)), token_(other.token_) {}
    life(const life&) = delete;
    life& operator=(const life&) = delete;
    ~life()
    {
        if (world_ != nullptr) {
            world_->storm.progress();
            world_->ledger.redeem(token_);
            world_->alive.done();
        }
    }
    [[nodiscard]] std::uint64_t token() const { return token_; }

private:
    world* world_;
    std::uint64_t token_;
};

struct thrown : counted {
    std::uint64_t token;
    explicit thrown(std::uint64_t t) : token(t) {}
};

std::uint64_t act(world& w, rng r, unsigned fuel);

// What a new goroutine runs: owns its life until the end.
auto body(world& w, rng& r, unsigned fuel)
{
    return [&w, l = life(w, r.next()), seed = r.split(), fuel]
    {
        act(w, seed, fuel);
        return result_of(l.token());
    };
}

bool may_start(world& w)
{
    return w.budget.fetch_sub(1, std::memory_order_relaxed) > 0;
}

[[gnu::noinline]] std::uint64_t recurse(unsigned depth, rng& r)
{
    volatile std::uint64_t frame[32];
    for (std::uint64_t i = 0; i < 32; ++i)
        frame[i] = depth + i;
    if (depth % 16 == 0 && r.one_in(3))
        weft::yield();
    const std::uint64_t below = depth == 0 ? 0 : recurse(depth - 1, r);
    std::uint64_t bad = below;
    for (std::uint64_t i = 0; i < 32; ++i)
        bad += frame[i] == depth + i ? 0U : 1U;
    return bad;
}

void count_under_mutex(world& w, rng& r)
{
    guarded_counter& c = w.counters[r.below(w.counters.size())];
    c.expected.fetch_add(1, std::memory_order_relaxed);
    const std::lock_guard guard(c.m);
    const std::uint64_t read = c.value;
    if (r.one_in(4))
        weft::yield();
    if (r.one_in(40))
        weft::sleep_for(std::chrono::microseconds(r.below(50)));
    c.value = read + 1;
}

void try_to_count(world& w, rng& r)
{
    guarded_counter& c = w.counters[r.below(w.counters.size())];
    if (!c.m.try_lock())
        return;
    c.expected.fetch_add(1, std::memory_order_relaxed);
    ++c.value;
    c.m.unlock();
}

void throw_and_catch(world& w, rng& r)
{
    const std::uint64_t token = r.next();
    try {
        try {
            if (r.one_in(2))
                weft::yield();
            throw thrown(token);
        } catch (const thrown& t) {
            if (r.one_in(2))
                weft::yield();
            w.storm.check(t.token == token, "a handler sees another exception");
            throw;
        }
    } catch (const thrown& t) {
        weft::yield();
        w.storm.check(t.token == token, "a rethrown exception has changed");
    }
    w.storm.check(std::uncaught_exceptions() == 0, "an exception in flight from nowhere");
}

void keep_the_thread(world& w, rng& r)
{
    const weft::pin p;
    const long own = thread_id();
    const std::uint64_t parks = r.below(5);
    for (std::uint64_t i = 0; i < parks; ++i) {
        if (r.one_in(3))
            weft::sleep_for(std::chrono::microseconds(r.below(30)));
        else
            weft::yield();
        w.storm.check(thread_id() == own, "a locked goroutine has moved");
    }
}

void keep_errno(world& w, rng& r)
{
    const int mine = static_cast<int>(r.below(1U << 30));
    weft::test::set_errno(mine);
    if (r.one_in(3))
        weft::sleep_for(std::chrono::microseconds(r.below(20)));
    else
        weft::yield();
    w.storm.check(weft::test::get_errno() == mine, "errno has changed over a park");
}

void await_child(world& w, rng& r, unsigned fuel)
{
    // The token is drawn first inside body().
    rng peek = r;
    const std::uint64_t expected = result_of(peek.next());
    auto f = weft::async(body(w, r, fuel));
    switch (r.below(4)) {
        case 0:
            while (f.wait_for(std::chrono::microseconds(r.below(100))) == std::future_status::timeout) {
            }
            break;
        case 1:
            f.wait();
            break;
        case 2:
            while (!f.ready())
                weft::yield();
            break;
        default:
            break;
    }
    w.storm.check(f.get() == expected, "a wrong result");
}

void start_with_attributes(world& w, rng& r, unsigned fuel)
{
    const unsigned extra = static_cast<unsigned>(r.below(5));
    const weft::attr a{.name = "storm", .stack_size = (std::size_t{64} << 10) << extra, .pinned = r.one_in(24)};
    weft::go(a,
             [&w, b = body(w, r, fuel), seed = r.split(), depth = 40U << extra]() mutable
             {
                 w.storm.check(recurse(depth, seed) == 0, "a stack's contents have changed");
                 b();
             });
}

void exit_child(world& w, rng& r, unsigned fuel)
{
    auto f = weft::async(
        [b = body(w, r, fuel), c = counted()]() -> int
        {
            b();
            weft::yield();
            weft::exit_goroutine();
        });
    if (r.one_in(2))
        return;
    try {
        (void)f.get();
        w.storm.check(false, "an exit has a result");
    } catch (const std::future_error& e) {
        w.storm.check(e.code() == std::future_errc::broken_promise, "an exit has another error");
    }
}

void failing_child(world& w, rng& r, unsigned fuel)
{
    const std::uint64_t token = r.next();
    auto f = weft::async(
        [b = body(w, r, fuel), token]
        {
            b();
            throw thrown(token);
        });
    if (r.one_in(2))
        return;
    try {
        f.get();
        w.storm.check(false, "an exception was lost");
    } catch (const thrown& t) {
        w.storm.check(t.token == token, "a future has another goroutine's exception");
    }
}

void hand_a_mutex_to_a_child(world& w, rng& r, unsigned fuel)
{
    weft::mutex m;
    m.lock();
    auto f = weft::async(
        [&m, b = body(w, r, fuel)]
        {
            b();
            m.unlock();
        });
    m.lock();
    m.unlock();
    f.get();
}

void group_of_children(world& w, rng& r, unsigned fuel)
{
    weft::wait_group g;
    const std::uint64_t members = 1 + r.below(4);
    for (std::uint64_t i = 0; i < members && may_start(w); ++i)
        g.go(body(w, r, fuel));
    g.wait();
}

void plain_thread(world& w, rng& r, unsigned fuel)
{
    std::thread(
        [&w, seed = r.split(), fuel, l = life(w, r.next())]() mutable
        {
            weft::async(body(w, seed, fuel)).wait();
            count_under_mutex(w, seed);
            throw_and_catch(w, seed);
        })
        .detach();
}

void start_something(world& w, rng& r, unsigned fuel)
{
    switch (r.below(32)) {
        case 0:
        case 1:
        case 2:
        case 3:
        case 4:
        case 5:
        case 6:
        case 7:
            weft::go(body(w, r, fuel));
            break;
        case 8:
        case 9:
        case 10:
        case 11:
        case 12:
        case 13:
            await_child(w, r, fuel);
            break;
        case 14:
        case 15:
        case 16:
            (void)weft::async(body(w, r, fuel));
            break;
        case 17:
        case 18: {
            weft::jthread t(body(w, r, fuel));
            if (r.one_in(2))
                t.detach();
            break;
        }
        case 19:
        case 20:
        case 21:
            start_with_attributes(w, r, fuel);
            break;
        case 22:
        case 23:
            exit_child(w, r, fuel);
            break;
        case 24:
        case 25:
            failing_child(w, r, fuel);
            break;
        case 26:
        case 27:
            hand_a_mutex_to_a_child(w, r, fuel);
            break;
        case 28:
        case 29:
        case 30:
            group_of_children(w, r, fuel);
            break;
        default:
            if (r.one_in(8))
                plain_thread(w, r, fuel);
            else
                weft::go([l = life(w, r.next()), big = std::array<std::uint64_t, 40>{}] { (void)big; });
    }
}

std::uint64_t act(world& w, rng r, unsigned fuel)
{
    for (; fuel > 0; --fuel) {
        switch (r.below(24)) {
            case 0:
            case 1:
            case 2:
            case 3:
                weft::yield();
                break;
            case 4:
                weft::sleep_for(std::chrono::microseconds(r.below(80)));
                break;
            case 5:
            case 6:
            case 7:
            case 8:
            case 9:
            case 10:
                if (may_start(w))
                    start_something(w, r, fuel / 2);
                break;
            case 11:
            case 12:
                count_under_mutex(w, r);
                break;
            case 13:
                try_to_count(w, r);
                break;
            case 14:
            case 15:
                throw_and_catch(w, r);
                break;
            case 16:
                if (r.one_in(4))
                    keep_the_thread(w, r);
                break;
            case 17:
            case 18:
                keep_errno(w, r);
                break;
            case 19:
                if (r.one_in(16))
                    weft::max_procs(1 + static_cast<int>(r.below(12)));
                break;
            case 20:
                w.storm.check(recurse(static_cast<unsigned>(r.below(60)), r) == 0, "a stack's contents have changed");
                break;
            case 21:
                w.storm.check(weft::num_goroutines() >= 1 && weft::stats().procs >= 1, "impossible counters");
                break;
            default:
                w.storm.progress();
        }
    }
    return 0;
}

void one_round(weft::test::storm& storm, rng r)
{
    world w(storm, static_cast<std::int64_t>(weft::test::scaled_live(20'000)));
    weft::max_procs(1 + static_cast<int>(r.below(8)));
    const std::uint64_t roots = 1 + r.below(20);
    for (std::uint64_t i = 0; i < roots; ++i)
        weft::go(body(w, r, 400));
    w.alive.wait();
    storm.check(w.ledger.balanced(), "a goroutine was lost or ran twice");
    for (guarded_counter& c : w.counters) {
        const std::lock_guard guard(c.m);
        storm.check(c.value == c.expected, "an increment under a mutex was lost");
    }
}

}  // namespace

int main(int argc, char** argv)
{
    weft::test::storm storm("storm", argc, argv);
    return storm.run(
        [&](rng r, std::uint64_t)
        {
            one_round(storm, r);
            storm.check(weft::test::eventually([] { return counted::alive == 0; }), "an object was not destroyed");
        });
}
