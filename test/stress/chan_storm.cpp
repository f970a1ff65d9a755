// Channels and select between goroutines and plain threads, with timeouts and closes, on Ps that come and go: what is
// sent arrives once, whole, and in its sender's order.
//
// With --operations N the rounds go on until so many channel operations have been done.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../support/storm.hpp"

namespace {

using std::chrono::microseconds;
using weft::chan;
using weft::chan_status;
using weft::on_recv;
using weft::on_send;
using weft::on_timeout;
using weft::otherwise;
using weft::select;
using weft::test::ledger;
using weft::test::rng;

/// What is sent: who has sent it, as their how-manieth, and a number that proves it was not torn.
struct parcel {
    std::uint64_t from = 0;
    std::uint64_t serial = 0;
    std::uint64_t seal = 0;

    [[nodiscard]] static std::uint64_t seal_of(std::uint64_t from, std::uint64_t serial)
    {
        return rng(from * 0x1'0000'0001U + serial).next();
    }
    [[nodiscard]] static parcel make(std::uint64_t from, std::uint64_t serial)
    {
        return {from, serial, seal_of(from, serial)};
    }
    [[nodiscard]] const parcel& look() const { return *this; }
};

/// The same as an element that owns memory.
struct heap_parcel {
    std::unique_ptr<parcel> p;
    [[nodiscard]] static heap_parcel make(std::uint64_t from, std::uint64_t serial)
    {
        return {std::make_unique<parcel>(parcel::make(from, serial))};
    }
    [[nodiscard]] const parcel& look() const { return *p; }
};

/// The same with a move that could throw, so that it travels in a box.
struct boxed_parcel {
    parcel p;
    boxed_parcel() = default;
    explicit boxed_parcel(parcel v) : p(v) {}
    boxed_parcel(const boxed_parcel&) = default;
    boxed_parcel(boxed_parcel&& o) noexcept(false) : p(std::exchange(o.p, parcel())) {}  // NOLINT
    boxed_parcel& operator=(const boxed_parcel&) = default;
    boxed_parcel& operator=(boxed_parcel&& o) noexcept(false)  // NOLINT
    {
        p = std::exchange(o.p, parcel());
        return *this;
    }
    ~boxed_parcel() = default;
    [[nodiscard]] static boxed_parcel make(std::uint64_t from, std::uint64_t serial)
    {
        return boxed_parcel(parcel::make(from, serial));
    }
    [[nodiscard]] const parcel& look() const { return p; }
};

class storm_state {
public:
    explicit storm_state(weft::test::storm& s) : storm(s) {}

    weft::test::storm& storm;
    std::atomic<std::uint64_t> operations{0};
};

/// The channels of a round, and who has sent what on them.
template <class T>
class exchange {
public:
    static constexpr std::size_t channels = 5;

    exchange(storm_state& s, rng& r) : state_(s)
    {
        for (std::size_t i = 0; i < channels; ++i)
            c_[i] = chan<T>(i == 0 ? 0 : r.one_in(3) ? 0 : 1 + r.below(20));
    }

    /// Sends until the steps are done or everything is closed. A sender uses one channel at a time in order, so that
    /// its values stay in order there; selects mix them.
    void send(rng r, std::uint64_t me, std::size_t steps)
    {
        std::uint64_t done = 0;
        try {
            for (std::size_t i = 0; i < steps; ++i) {
                T v = T::make(me, i);
                const std::uint64_t token = v.look().seal;
                ledger_.announce(token);
                if (!sent(r, v)) {
                    ledger_.redeem(token);
                    check(v.look().seal == token, "a value that was not sent has changed");
                    continue;
                }
                ++done;
                rest(r);
            }
        } catch (const refused& e) {
            ledger_.redeem(e.token);
        }
        state_.operations += done;
        state_.storm.progress();
    }

    /// Receives until the channels are closed and drained. One at least has to look at all of them all the time
    /// (`all`): the others may all wait for one channel while all senders wait at another.
    void receive(rng r, bool all)
    {
        std::uint64_t done = 0;
        std::array<bool, channels> drained{};
        std::size_t open = channels;
        const auto end_of = [&](std::size_t k)
        {
            if (!std::exchange(drained[k], true))
                --open;
        };
        const auto take = [&](std::size_t k, std::optional<T> v)
        {
            if (!v)
                return end_of(k);
            accept(*v);
            if (++done % 64 == 0)
                state_.storm.progress();
        };
        while (open > 0) {
            const std::size_t k = r.below(channels);
            const std::size_t l = (k + 1 + r.below(channels - 1)) % channels;
            const weft::receiver<T> second = drained[l] ? weft::receiver<T>() : weft::receiver<T>(c_[l]);
            const auto from_k = [&](std::optional<T> v) { take(k, std::move(v)); };
            const auto from_l = [&](std::optional<T> v) { take(l, std::move(v)); };
            switch (all ? 4 : r.below(6)) {
                case 0: {
                    T v{};
                    const chan_status s = c_[k].try_recv(v);
                    if (s == chan_status::success)
                        take(k, std::move(v));
                    else if (s == chan_status::closed)
                        end_of(k);
                    else
                        weft::yield();
                    break;
                }
                case 1: {
                    T v{};
                    const chan_status s = c_[k].recv_for(v, microseconds(r.below(60)));
                    if (s == chan_status::success)
                        take(k, std::move(v));
                    else if (s == chan_status::closed)
                        end_of(k);
                    break;
                }
                case 2:
                    select(on_recv(c_[k], from_k), on_recv(second, from_l), on_timeout(microseconds(r.below(60))));
                    break;
                case 3:
                    if (select(on_recv(second, from_l), on_recv(c_[k], from_k), otherwise()) == 2)
                        weft::yield();
                    break;
                case 4:
                    select(on_recv(c_[0], [&](std::optional<T> v) { take(0, std::move(v)); }),
                           on_recv(c_[1], [&](std::optional<T> v) { take(1, std::move(v)); }),
                           on_recv(c_[2], [&](std::optional<T> v) { take(2, std::move(v)); }),
                           on_recv(c_[3], [&](std::optional<T> v) { take(3, std::move(v)); }),
                           on_recv(c_[4], [&](std::optional<T> v) { take(4, std::move(v)); }), on_recv(c_[k], from_k));
                    break;
                default:
                    for (std::size_t burst = r.below(32); burst > 0 && !drained[k]; --burst)
                        take(k, c_[k].recv());
            }
        }
        state_.operations += done;
    }

    void close(std::size_t k) { c_[k].close(); }
    [[nodiscard]] bool balanced() const { return ledger_.balanced(); }

private:
    struct refused {
        std::uint64_t token;
    };

    void check(bool holds, const char* what) const { state_.storm.check(holds, what); }

    void accept(const T& v)
    {
        const parcel& p = v.look();
        check(p.seal == parcel::seal_of(p.from, p.serial), "a torn value");
        ledger_.redeem(p.seal);
    }
    /// False: given up. Throws refused: closed.
    bool sent(rng& r, T& v)
    {
        const std::uint64_t token = v.look().seal;
        const std::size_t k = r.below(channels);
        const std::size_t l = r.below(channels);
        const auto outcome = [&](chan_status s)
        {
            if (s == chan_status::closed)
                throw refused{token};
            return s == chan_status::success;
        };
        try {
            switch (r.below(6)) {
                case 0:
                    return outcome(c_[k].try_send(v));
                case 1:
                    return outcome(c_[k].send_for(v, microseconds(r.below(60))));
                case 2:
                    return select(on_send(c_[k], std::move(v)), on_timeout(microseconds(r.below(60)))) == 0;
                case 3:
                    return select(otherwise(), on_send(c_[k], std::move(v))) == 1;
                case 4: {
                    // Sends one value of two and receives one in between if it comes first.
                    const std::size_t won =
                        select(on_send(c_[k], std::move(v)), on_recv(c_[l], [&](std::optional<T> o) { pass_on(o); }),
                               on_timeout(microseconds(r.below(200))));
                    return won == 0;
                }
                default:
                    c_[k].send(std::move(v));
                    return true;
            }
        } catch (const weft::closed_channel&) {
            throw refused{token};
        }
    }
    void pass_on(std::optional<T>& v)
    {
        if (v)
            accept(*v);
    }
    void rest(rng& r)
    {
        if (r.one_in(64))
            weft::yield();
        if (r.one_in(2'000))
            weft::sleep_for(microseconds(r.below(100)));
    }

    storm_state& state_;
    std::array<chan<T>, channels> c_;
    ledger ledger_;
};

/// Senders, receivers, and a close for each channel: after all senders, or in the midst of them.
template <class T>
void exchange_round(storm_state& state, rng& r)
{
    exchange<T> x(state, r);
    const std::size_t steps = weft::test::scaled(2'000);
    const bool early = r.one_in(4);
    weft::wait_group senders;
    weft::wait_group receivers;
    std::vector<std::thread> threads;
    const std::uint64_t sender_count = 1 + r.below(12);
    const std::uint64_t receiver_count = 1 + r.below(8);
    for (std::uint64_t i = 0; i < receiver_count; ++i) {
        const auto work = [&, i, seed = r.split()] { x.receive(seed, i == 0); };
        if (r.one_in(6))
            threads.emplace_back(work);
        else
            receivers.go(work);
    }
    for (std::uint64_t i = 0; i < sender_count; ++i) {
        const auto work = [&, i, seed = r.split()] { x.send(seed, i, steps); };
        if (r.one_in(6)) {
            senders.add();
            threads.emplace_back(
                [&, work]
                {
                    work();
                    senders.done();
                });
        } else {
            senders.go(work);
        }
    }
    if (early)
        weft::sleep_for(microseconds(r.below(2'000)));
    else
        senders.wait();
    for (std::size_t k = 0; k < x.channels; ++k)
        x.close(k);
    senders.wait();
    receivers.wait();
    for (std::thread& t : threads)
        t.join();
    state.storm.check(x.balanced(), "a value was lost or doubled");
}

/// Values go round a ring of channels and come back in their order.
void ring_round(storm_state& state, rng& r)
{
    const std::uint64_t hops = 1 + r.below(20);
    const std::uint64_t values = weft::test::scaled(1 + r.below(2'000));
    std::vector<chan<std::uint64_t>> c;
    for (std::uint64_t i = 0; i <= hops; ++i)
        c.emplace_back(r.one_in(2) ? 0 : r.below(10));
    weft::wait_group all;
    for (std::uint64_t i = 0; i < hops; ++i)
        all.go(
            [in = c[i], out = c[i + 1], selects = r.one_in(3)]
            {
                for (const std::uint64_t v : in) {
                    if (selects)
                        select(on_send(out, v), on_recv(chan<std::uint64_t>(nullptr)));
                    else
                        out.send(v);
                }
                out.close();
            });
    all.go(
        [&]
        {
            for (std::uint64_t v = 0; v < values; ++v)
                c.front().send(v);
            c.front().close();
        });
    std::uint64_t expected = 0;
    for (const std::uint64_t v : c.back())
        state.storm.check(v == expected++, "out of order");
    state.storm.check(expected == values, "lost on the way");
    all.wait();
    state.operations += 2 * values * (hops + 1);
    state.storm.progress();
}

/// As many senders as receivers on one channel, as fast as they can: sums.
void torrent_round(storm_state& state, rng& r)
{
    const chan<std::uint64_t> c(r.one_in(2) ? 0 : r.below(200));
    const std::uint64_t pairs = 1 + r.below(4);
    const std::uint64_t each = weft::test::scaled(100'000);
    std::atomic<std::uint64_t> sum{0};
    weft::wait_group all;
    for (std::uint64_t p = 0; p < pairs; ++p) {
        all.go(
            [&, p]
            {
                for (std::uint64_t i = 0; i < each; ++i)
                    c.send(p * each + i);
                state.storm.progress();
            });
        all.go(
            [&]
            {
                std::uint64_t own = 0;
                for (std::uint64_t i = 0; i < each; ++i)
                    own += *c.recv();
                sum += own;
                state.storm.progress();
            });
    }
    all.wait();
    const std::uint64_t n = pairs * each;
    state.storm.check(sum == n * (n - 1) / 2, "a sum is wrong");
    state.operations += 2 * n;
}

void one_round(storm_state& state, rng r)
{
    weft::max_procs(1 + static_cast<int>(r.below(16)));
    std::atomic<bool> done{false};
    weft::wait_group changes;
    if (r.one_in(4))
        changes.go(
            [&, seed = r.split()]() mutable
            {
                while (!done) {
                    weft::max_procs(1 + static_cast<int>(seed.below(16)));
                    weft::sleep_for(microseconds(500));
                }
            });
    switch (r.below(6)) {
        case 0:
            exchange_round<heap_parcel>(state, r);
            break;
        case 1:
            exchange_round<boxed_parcel>(state, r);
            break;
        case 2:
            ring_round(state, r);
            break;
        case 3:
            torrent_round(state, r);
            break;
        default:
            exchange_round<parcel>(state, r);
    }
    done = true;
    changes.wait();
}

}  // namespace

int main(int argc, char** argv)
{
    weft::test::storm storm("chan_storm", argc, argv);
    storm_state state(storm);
    return storm.run([&](rng r, std::uint64_t) { one_round(state, r); }, [&] { return state.operations.load(); });
}
