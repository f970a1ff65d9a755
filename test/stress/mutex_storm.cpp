// Mutexes and wait groups under contention, between goroutines and plain threads, some of them destroyed by their last
// user.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "../support/storm.hpp"

namespace {

using weft::test::rng;

struct account {
    weft::mutex m;
    std::int64_t balance = 1'000;
    std::uint64_t uses = 0;
};

struct bank {
    weft::test::storm& storm;
    std::array<account, 5> accounts;
    std::array<std::atomic<std::uint64_t>, 5> uses{};
};

void rest(rng& r)
{
    if (r.one_in(8))
        weft::yield();
    if (r.one_in(100))
        weft::sleep_for(std::chrono::microseconds(r.below(60)));
}

void transfer(bank& b, rng& r)
{
    const std::size_t from = r.below(b.accounts.size());
    const std::size_t to = (from + 1 + r.below(b.accounts.size() - 1)) % b.accounts.size();
    const auto amount = static_cast<std::int64_t>(r.below(100));
    const std::scoped_lock both(b.accounts[from].m, b.accounts[to].m);
    b.accounts[from].balance -= amount;
    rest(r);
    b.accounts[to].balance += amount;
}

void use(bank& b, rng& r)
{
    const std::size_t i = r.below(b.accounts.size());
    const std::lock_guard guard(b.accounts[i].m);
    const std::uint64_t read = b.accounts[i].uses;
    rest(r);
    b.accounts[i].uses = read + 1;
    ++b.uses[i];
}

void try_use(bank& b, rng& r)
{
    const std::size_t i = r.below(b.accounts.size());
    const std::unique_lock attempt(b.accounts[i].m, std::try_to_lock);
    if (attempt.owns_lock()) {
        ++b.accounts[i].uses;
        ++b.uses[i];
        rest(r);
    }
}

void fail_inside(bank& b, rng& r)
{
    const std::size_t i = r.below(b.accounts.size());
    try {
        const std::lock_guard guard(b.accounts[i].m);
        rest(r);
        throw std::runtime_error("inside");
    } catch (const std::runtime_error&) {
        rest(r);
    }
}

void misuse(bank& b)
{
    weft::mutex own;
    try {
        own.unlock();
        b.storm.check(false, "the unlock of an unlocked mutex went through");
    } catch (const std::logic_error&) {
    }
    weft::wait_group group;
    try {
        group.done();
        b.storm.check(false, "a negative wait group went through");
    } catch (const std::logic_error&) {
    }
}

// The last one to let go frees it. By a count outside of the mutex, which must outlive every unlock().
struct shared_object {
    weft::mutex m;
    std::uint64_t uses = 0;
    std::atomic<std::uint64_t> users;
    explicit shared_object(std::uint64_t n) : users(n) {}
    void release()
    {
        {
            const std::lock_guard guard(m);
            ++uses;
        }
        if (--users == 0)
            delete this;
    }
};

void share_and_release(rng& r)
{
    const std::uint64_t users = 2 + r.below(6);
    auto* const object = new shared_object(users);
    weft::wait_group all;
    for (std::uint64_t i = 1; i < users; ++i)
        all.go([object] { object->release(); });
    object->release();
    all.wait();
}

// A group on the heap, gone as soon as it has been waited for.
void short_lived_group(rng& r)
{
    const auto group = std::make_unique<weft::wait_group>();
    const std::uint64_t members = 1 + r.below(5);
    for (std::uint64_t i = 0; i < members; ++i) {
        group->go(
            [seed = r.split()]() mutable
            {
                if (seed.one_in(2))
                    weft::yield();
            });
    }
    group->wait();
}

// A gate that several wait at, opened by one of them.
void common_gate(bank& b, rng& r)
{
    weft::wait_group gate;
    weft::wait_group all;
    std::atomic<bool> open{false};
    gate.add();
    const std::uint64_t waiters = 1 + r.below(8);
    for (std::uint64_t i = 0; i < waiters; ++i) {
        all.go(
            [&]
            {
                gate.wait();
                b.storm.check(open, "a waiter came through a closed gate");
            });
    }
    rest(r);
    open = true;
    gate.done();
    all.wait();
}

void act(bank& b, rng r, std::size_t steps)
{
    for (std::size_t i = 0; i < steps; ++i) {
        switch (r.below(16)) {
            case 0:
            case 1:
            case 2:
                transfer(b, r);
                break;
            case 3:
                try_use(b, r);
                break;
            case 4:
                fail_inside(b, r);
                break;
            case 5:
                share_and_release(r);
                break;
            case 6:
                short_lived_group(r);
                break;
            case 7:
                if (r.one_in(8))
                    common_gate(b, r);
                break;
            case 8:
                if (r.one_in(64))
                    misuse(b);
                break;
            case 9:
                if (r.one_in(64))
                    weft::max_procs(1 + static_cast<int>(r.below(8)));
                break;
            default:
                use(b, r);
        }
        b.storm.progress();
    }
}

void one_round(weft::test::storm& storm, rng r)
{
    bank b{storm, {}};
    weft::max_procs(1 + static_cast<int>(r.below(8)));
    const std::size_t steps = weft::test::scaled(400);
    std::vector<std::thread> threads;
    weft::wait_group all;
    const std::uint64_t thread_count = r.below(5);
    const std::uint64_t goroutines = 1 + r.below(weft::test::scaled(300));
    for (std::uint64_t i = 0; i < thread_count; ++i) {
        all.add();
        threads.emplace_back(
            [&, seed = r.split()]
            {
                act(b, seed, steps);
                all.done();
            });
    }
    for (std::uint64_t i = 0; i < goroutines; ++i)
        all.go([&, seed = r.split()] { act(b, seed, steps); });
    all.wait();
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < b.accounts.size(); ++i) {
        const std::lock_guard guard(b.accounts[i].m);
        sum += b.accounts[i].balance;
        storm.check(b.accounts[i].uses == b.uses[i], "an increment under a mutex was lost");
    }
    storm.check(sum == 5 * 1'000, "a transfer was torn");
    for (std::thread& t : threads)
        t.join();
}

}  // namespace

int main(int argc, char** argv)
{
    weft::test::storm storm("mutex_storm", argc, argv);
    return storm.run([&](rng r, std::uint64_t) { one_round(storm, r); });
}
