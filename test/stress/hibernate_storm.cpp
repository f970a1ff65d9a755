// Hibernated stacks that everybody touches. Owners park with a table of checksummed cells on their stacks, some deep,
// some shallow, in stacks of several sizes; goroutines, plain threads and weft's own reads and writes, by pipes and
// sockets, change and copy cells at random, under a lock for each; owners are woken and check what is theirs, and end
// and are replaced. Meanwhile several threads hibernate whatever is parked, and max_procs goes up and down. No cell is
// ever found other than its last writer has left it.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "../support/scale.hpp"
#include "../support/storm.hpp"
#include "weft/testing.hpp"

namespace {

using weft::test::rng;
using namespace std::chrono_literals;

/// Some words that fit together.
struct cell {
    std::uint64_t serial = 0;
    std::array<std::uint64_t, 6> words{};
    std::uint64_t sum = 0;

    void write(std::uint64_t n, rng& r)
    {
        serial = n;
        for (std::uint64_t& w : words)
            w = r.next() >> r.below(64);
        sum = checksum();
    }
    [[nodiscard]] bool intact() const { return sum == checksum(); }
    [[nodiscard]] std::uint64_t checksum() const
    {
        std::uint64_t all = serial ^ 0x9e3779b97f4a7c15U;
        for (const std::uint64_t w : words)
            all = (all ^ w) * 0xbf58476d1ce4e5b9U;
        return all;
    }
};

/// What others know of a cell: not on its stack. The lock is a spinning one, since threads take it as well; sections
/// end soon, and none parks but for I/O that finds its data there.
struct cell_place {
    std::atomic_flag busy = ATOMIC_FLAG_INIT;
    cell* at = nullptr;        // guarded by busy; null: its owner has gone
    std::uint64_t serial = 0;  // guarded by busy: the last writer's

    bool try_take() { return !busy.test_and_set(std::memory_order_acquire); }
    void take()
    {
        while (!try_take())
            weft::yield();
    }
    void leave() { busy.clear(std::memory_order_release); }
};

constexpr std::size_t cells_of_one = 4;

struct owner_place {
    std::array<cell_place, cells_of_one> cells{};
    weft::chan<int> wake = weft::chan<int>(0);
};

struct world {
    weft::test::storm& storm;
    std::vector<owner_place> owners;
    std::atomic<std::uint64_t> serials{1};
    std::atomic<std::uint64_t> reads{0};
    std::atomic<std::uint64_t> writes{0};
    std::atomic<std::uint64_t> transfers{0};
    std::atomic<std::uint64_t> checks{0};
    std::atomic<bool> stop{false};

    world(weft::test::storm& s, std::size_t n) : storm(s), owners(n) {}
    cell_place& any_cell(rng& r) { return owners[r.below(owners.size())].cells[r.below(cells_of_one)]; }
    void expect(const cell_place& p)
    {
        storm.check(p.at->intact(), "a cell is broken");
        storm.check(p.at->serial == p.serial, "a write was lost");
    }
};

// --- owners

/// Publishes its cells, waits for somebody to wake it up, some times, and takes them back.
void own(world& w, owner_place& mine, rng& r)
{
    std::array<cell, cells_of_one> cells;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const std::uint64_t serial = ++w.serials;
        cells[i].write(serial, r);
        mine.cells[i].take();
        mine.cells[i].at = &cells[i];
        mine.cells[i].serial = serial;
        mine.cells[i].leave();
    }
    for (std::uint64_t left = 1 + r.below(4); left != 0 && mine.wake.recv(); --left) {
        for (cell_place& p : mine.cells) {
            p.take();
            w.expect(p);
            p.leave();
            ++w.checks;
        }
    }
    for (cell_place& p : mine.cells) {
        p.take();
        w.expect(p);
        p.at = nullptr;
        p.leave();
    }
}

/// With frames around it that hold something too.
[[gnu::noinline]] void own_deep(world& w, owner_place& mine, rng& r, std::uint64_t depth)
{
    cell here;
    here.write(depth, r);
    if (depth == 0)
        own(w, mine, r);
    else
        own_deep(w, mine, r, depth - 1);
    w.storm.check(here.intact() && here.serial == depth, "a frame is broken");
}

void start_owner(world& w, owner_place& mine, rng r, weft::wait_group& all)
{
    // The frames of own_deep() are several times larger under sanitizers.
    constexpr std::size_t smallest = std::size_t{weft::test::under_sanitizer ? 256U : 64U} << 10U;
    constexpr std::size_t usual = std::max(weft::default_stack_size, smallest);
    constexpr std::array<std::size_t, 5> sizes{usual, usual, usual, smallest, std::size_t{1} << 20U};
    all.add();
    const std::size_t size = sizes[r.below(sizes.size())];
    weft::go(weft::attr{.stack_size = size},
             [&w, &mine, r, &all]() mutable
             {
                 while (!w.stop) {
                     own_deep(w, mine, r, r.one_in(8) ? 40 + r.below(80) : r.below(10));
                     w.storm.progress();
                 }
                 all.done();
             });
}

// --- those who touch

/// By whoever: reads a cell, writes one, or copies one over another.
void touch(world& w, rng& r)
{
    cell_place& p = w.any_cell(r);
    p.take();
    if (p.at != nullptr) {
        if (r.one_in(2)) {
            w.expect(p);
            ++w.reads;
        } else {
            const std::uint64_t serial = ++w.serials;
            p.at->write(serial, r);
            p.serial = serial;
            ++w.writes;
        }
    }
    p.leave();
}

/// The cell's bytes through `s`, and back into another one.
void transfer(world& w, rng& r, weft::io::stream& out, weft::io::stream& in)
{
    cell_place& from = w.any_cell(r);
    cell_place& to = w.any_cell(r);
    if (&from == &to)
        return;
    from.take();
    if (from.at == nullptr || !to.try_take()) {
        from.leave();
        return;
    }
    if (to.at != nullptr) {
        w.expect(from);
        w.expect(to);
        out.write(std::as_bytes(std::span(from.at, 1)));
        const std::span<std::byte> into = std::as_writable_bytes(std::span(to.at, 1));
        for (std::size_t done = 0; done < sizeof(cell);)
            done += in.read(into.subspan(done));
        to.serial = from.serial;
        w.expect(to);
        ++w.transfers;
    }
    to.leave();
    from.leave();
}

void transfer_by_socket(world& w, rng& r)
{
    std::array<int, 2> ends{};
    w.storm.check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0, "no socket pair");
    weft::io::stream a = weft::io::adopt(ends[0]);
    weft::io::stream b = weft::io::adopt(ends[1]);
    for (int i = 0; i < 20; ++i)
        transfer(w, r, a, b);
    for (int i = 0; i < 20; ++i)
        transfer(w, r, b, a);
}

void transfer_by_pipe(world& w, rng& r)
{
    weft::io::pipe_ends p = weft::io::pipe();
    for (int i = 0; i < 40; ++i)
        transfer(w, r, p.writer, p.reader);
}

void one_step(world& w, rng& r)
{
    w.storm.progress();
    switch (r.below(8)) {
        case 0:
            transfer_by_socket(w, r);
            break;
        case 1:
            transfer_by_pipe(w, r);
            break;
        case 2:
        case 3:
        case 4:
            (void)w.owners[r.below(w.owners.size())].wake.try_send(1);
            break;
        case 5:
            weft::sleep_for(std::chrono::microseconds(r.below(500)));
            break;
        default:
            for (int i = 0; i < 10; ++i)
                touch(w, r);
    }
}

/// Threads that run for as long as the scope.
class helpers {
public:
    template <class F>
    helpers(int n, rng& r, F step)
    {
        for (int i = 0; i < n; ++i)
            threads_.emplace_back(
                [this, step, own = r.split()]() mutable
                {
                    while (!stop_)
                        step(own);
                });
    }
    ~helpers()
    {
        stop_ = true;
        for (std::thread& t : threads_)
            t.join();
    }
    helpers(const helpers&) = delete;
    helpers& operator=(const helpers&) = delete;

private:
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
};

void one_round(world& w, rng& r)
{
    weft::wait_group owners;
    for (owner_place& o : w.owners)
        start_owner(w, o, r.split(), owners);
    {
        const helpers hibernators(2, r, [](rng&) { (void)weft::testing::hibernate_parked(); });
        const helpers strangers(2, r,
                                [&w](rng& own)
                                {
                                    touch(w, own);
                                    std::this_thread::sleep_for(std::chrono::microseconds(own.below(200)));
                                });
        weft::wait_group touchers;
        for (std::size_t i = 0; i < 8; ++i)
            touchers.go(
                [&w, own = r.split()]() mutable
                {
                    for (std::size_t s = 0; s < weft::test::scaled(300); ++s)
                        one_step(w, own);
                });
        touchers.go(
            [own = r.split()]() mutable
            {
                for (int i = 0; i < 10; ++i) {
                    weft::sleep_for(std::chrono::microseconds(own.below(5'000)));
                    weft::max_procs(static_cast<int>(1 + own.below(8)));
                }
            });
        touchers.wait();
    }
    w.stop = true;
    for (owner_place& o : w.owners)
        o.wake.close();
    owners.wait();
}

}  // namespace

int main(int argc, char** argv)
{
    weft::test::storm storm("hibernate_storm", argc, argv);
    std::uint64_t reads = 0;
    std::uint64_t writes = 0;
    std::uint64_t transfers = 0;
    std::uint64_t checks = 0;
    const int result = storm.run(
        [&](rng r, std::uint64_t round)
        {
            constexpr int all_procs[] = {1, 2, 4, 16};
            weft::max_procs(all_procs[round % 4]);
            // Enough for ranges of 2 MiB that are away as a whole, and for some that are not.
            world w(storm, weft::test::scaled_live(50 + r.below(400)));
            one_round(w, r);
            reads += w.reads;
            writes += w.writes;
            transfers += w.transfers;
            checks += w.checks;
        });
    const weft::runtime_stats s = weft::stats();
    const auto n = [](std::uint64_t v) { return static_cast<unsigned long long>(v); };
    std::printf("hibernate_storm: %llu reads, %llu writes, %llu transfers, %llu checks by owners\n", n(reads),
                n(writes), n(transfers), n(checks));
    if (s.hibernation_off != nullptr) {
        std::printf("hibernate_storm: nothing was hibernated: %s\n", s.hibernation_off);
        return result;
    }
    std::printf("hibernate_storm: %llu hibernations, %llu restores, of those %llu by access\n", n(s.hibernations),
                n(s.restores), n(s.restores_by_access));
    storm.check(s.hibernations != 0 && s.restores_by_access != 0, "nothing was hibernated");
    storm.check(s.hibernations == s.restores, "stacks are away, and nobody is there");
    return result;
}
