// Programs made of goroutines and channels, as in Go's test/chan: see docs/conformance/channels.md.
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

#include "../unit/fixture.hpp"
#include "weft/weft.hpp"

namespace {

using chan_program_test = weft::test::fixture;
using weft::chan;
using weft::on_recv;
using weft::on_send;
using weft::receiver;
using weft::select;
using weft::sender;

/// Goroutines that go round for ever, to be ended together: each of their waits is a select with `stop`.
class endless {
public:
    endless() = default;
    endless(const endless&) = delete;
    endless& operator=(const endless&) = delete;
    ~endless()
    {
        stop_.close();
        all_.wait();
    }
    /// Left by exception out of send() and recv() at the end.
    template <class F>
    void go(F f)
    {
        all_.go(
            [f = std::move(f)]() mutable
            {
                try {
                    f();
                } catch (const stopped&) {
                }
            });
    }
    template <class T>
    void send(const sender<T>& c, T v) const
    {
        if (select(on_send(c, std::move(v)), on_recv(stop_)) == 1)
            throw stopped();
    }
    template <class T>
    T recv(const receiver<T>& c) const
    {
        std::optional<T> got;
        select(on_recv(c, [&](std::optional<T> v) { got = std::move(v); }), on_recv(stop_));
        if (!got)
            throw stopped();
        return *std::move(got);
    }
    [[nodiscard]] const chan<bool>& stop() const noexcept { return stop_; }
    struct stopped {};

private:
    chan<bool> stop_;
    weft::wait_group all_;
};

constexpr std::array primes{2,  3,  5,  7,  11, 13, 17, 19, 23, 29, 31, 37, 41,
                            43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97};

// ---- sieve1.go: a filter for each prime, in a row

WEFT_TEST(chan_program_test, sieve_of_filters)
{
    endless e;
    const chan<int> out;
    e.go(
        [&e, out]
        {
            chan<int> numbers;
            e.go(
                [&e, numbers]
                {
                    for (int i = 2;; ++i)
                        e.send<int>(numbers, i);
                });
            for (;;) {
                const int prime = e.recv<int>(numbers);
                e.send<int>(out, prime);
                const chan<int> filtered;
                e.go(
                    [&e, numbers, filtered, prime]
                    {
                        for (;;)
                            if (const int i = e.recv<int>(numbers); i % prime != 0)
                                e.send<int>(filtered, i);
                    });
                numbers = filtered;
            }
        });
    for (const int prime : primes)
        EXPECT_EQ(out.recv(), prime);
}

// ---- sieve2.go: merged multiples, fed back through a goroutine that buffers without bound

receiver<int> arithmetic(endless& e, int from, int step, int buffer)
{
    const chan<int> c(buffer);
    e.go(
        [&e, c, from, step]
        {
            for (int i = from;; i += step)
                e.send<int>(c, i);
        });
    return c;
}

sender<int> unbounded(endless& e, const sender<int>& out)
{
    const chan<int> in(10);
    e.go(
        [&e, in, out]
        {
            std::deque<int> queued;
            for (;;) {
                const sender<int> ready = queued.empty() ? nullptr : out;
                const int next = queued.empty() ? 0 : queued.front();
                const std::size_t at = select(on_recv(in, [&](std::optional<int> v) { queued.push_back(*v); }),
                                              on_send(ready, next), on_recv(e.stop()));
                if (at == 1)
                    queued.pop_front();
                else if (at == 2)
                    return;
            }
        });
    return in;
}

/// The multiples of each prime that comes, from its square on, merged in order.
void merge_multiples(endless& e, const receiver<int>& from, const sender<int>& composites)
{
    struct source {
        int head;
        receiver<int> rest;
        bool operator<(const source& o) const { return head > o.head; }
    };
    std::priority_queue<source> sources;
    const auto advance = [&]
    {
        source s = sources.top();
        sources.pop();
        s.head = e.recv(s.rest);
        sources.push(std::move(s));
    };
    for (;;) {
        const int prime = e.recv(from);
        const receiver<int> multiples = arithmetic(e, prime * prime, 2 * prime, 10);
        const int head = e.recv(multiples);
        while (!sources.empty() && sources.top().head <= head) {
            if (sources.top().head < head)
                e.send(composites, sources.top().head);
            const int done = sources.top().head;
            while (sources.top().head == done)
                advance();
        }
        e.send(composites, head);
        sources.push({e.recv(multiples), multiples});
    }
}

WEFT_TEST(chan_program_test, sieve_of_merged_multiples)
{
    endless e;
    const chan<int> out(10);
    const chan<int> composites(50);
    const chan<int> feedback(10);
    out.send(2);
    out.send(3);
    feedback.send(3);
    e.go([&e, feedback, composites] { merge_multiples(e, feedback, composites); });
    e.go(
        [&e, out, composites, feedback]
        {
            const sender<int> back = unbounded(e, feedback);
            const receiver<int> candidates = arithmetic(e, 5, 2, 50);
            int candidate = e.recv(candidates);
            for (;;) {
                const int composite = e.recv<int>(composites);
                while (candidate < composite) {
                    e.send(back, candidate);
                    e.send<int>(out, candidate);
                    candidate = e.recv(candidates);
                }
                if (candidate == composite)
                    candidate = e.recv(candidates);
            }
        });
    for (const int prime : primes)
        EXPECT_EQ(out.recv(), prime);
}

// ---- powser1.go: power series as channels on demand (McIlroy, "Squinting at Power Series", 1990)

struct rational {
    std::int64_t num = 0;
    std::int64_t den = 1;

    rational() = default;
    rational(std::int64_t n, std::int64_t d = 1)  // NOLINT(google-explicit-constructor)
    {
        const std::int64_t g = std::gcd(n, d) * (d < 0 ? -1 : 1);
        num = n / g;
        den = d / g;
    }
    friend bool operator==(const rational&, const rational&) = default;
    friend rational operator+(rational a, rational b)
    {
        const std::int64_t g = std::gcd(a.den, b.den);
        return {a.num * (b.den / g) + b.num * (a.den / g), a.den / g * b.den};
    }
    friend rational operator*(rational a, rational b)
    {
        const std::int64_t g = std::gcd(a.num, b.den);
        const std::int64_t h = std::gcd(b.num, a.den);
        return {(a.num / (g == 0 ? 1 : g)) * (b.num / (h == 0 ? 1 : h)),
                (a.den / (h == 0 ? 1 : h)) * (b.den / (g == 0 ? 1 : g))};
    }
    friend std::ostream& operator<<(std::ostream& os, const rational& r) { return os << r.num << "/" << r.den; }
};

/// An infinite series: a coefficient comes for each request.
struct series {
    chan<int> request;
    chan<rational> answer;
};

class power_series {
public:
    rational next(const series& s)
    {
        e_.send<int>(s.request, 1);
        return e_.recv<rational>(s.answer);
    }
    /// The next of both, asked for and received in whatever order they are ready.
    std::array<rational, 2> next_of_both(const series& a, const series& b)
    {
        std::array<chan<int>, 2> request{a.request, b.request};
        std::array<chan<rational>, 2> answer{nullptr, nullptr};
        std::array<rational, 2> got;
        for (int steps = 4; steps > 0; --steps) {
            const std::size_t at =
                select(on_send(request[0], 1), on_send(request[1], 1),
                       on_recv(answer[0], [&](std::optional<rational> v) { got[0] = *v; }),
                       on_recv(answer[1], [&](std::optional<rational> v) { got[1] = *v; }), on_recv(e_.stop()));
            if (at == 4)
                throw endless::stopped();
            if (at < 2) {
                request[at] = nullptr;
                answer[at] = (at == 0 ? a : b).answer;
            } else {
                answer[at - 2] = nullptr;
            }
        }
        return got;
    }

    series constant(rational c)
    {
        return make(
            [this, c](const series& z)
            {
                for (;;)
                    put(z, c);
            });
    }
    series add(const series& a, const series& b)
    {
        return make(
            [this, a, b](const series& z)
            {
                for (;;) {
                    wait(z);
                    const auto [u, v] = next_of_both(a, b);
                    e_.send<rational>(z.answer, u + v);
                }
            });
    }
    series scaled_by(rational c, const series& a)
    {
        return make([this, c, a](const series& z) { each(z, a, [c](rational u, int) { return c * u; }); });
    }
    series subtract(const series& a, const series& b) { return add(a, scaled_by(-1, b)); }
    series differentiate(const series& a)
    {
        return make(
            [this, a](const series& z)
            {
                wait(z);
                (void)next(a);
                for (int i = 1;; ++i) {
                    e_.send<rational>(z.answer, rational(i) * next(a));
                    wait(z);
                }
            });
    }
    series integrate(rational c, const series& a)
    {
        return make(
            [this, c, a](const series& z)
            {
                put(z, c);
                each(z, a, [](rational u, int i) { return u * rational(1, i + 1); });
            });
    }
    /// a(c x^n)
    series substitute_monomial(const series& a, rational c, int n)
    {
        return make(
            [this, a, c, n](const series& z)
            {
                for (rational power = 1;; power = power * c) {
                    wait(z);
                    e_.send<rational>(z.answer, power * next(a));
                    for (int i = 1; i < n; ++i)
                        put(z, 0);
                }
            });
    }
    /// (u + xU)(v + xV) = uv + x(uV + vU) + x^2 UV
    series multiply(const series& a, const series& b)
    {
        return make(
            [this, a, b](const series& z)
            {
                wait(z);
                const auto [u, v] = next_of_both(a, b);
                e_.send<rational>(z.answer, u * v);
                const std::array<series, 2> as = split(a);
                const std::array<series, 2> bs = split(b);
                const series w = add(scaled_by(u, bs[0]), scaled_by(v, as[0]));
                wait(z);
                e_.send<rational>(z.answer, next(w));
                copy(z, add(w, multiply(as[1], bs[1])));
            });
    }
    /// For a constant term of 0: z = exp(a) solves z' = z a', z(0) = 1.
    series exp(const series& a)
    {
        const std::array<series, 2> both;
        split_into(integrate(1, multiply(both[0], differentiate(a))), both);
        return both[1];
    }
    /// Two series with the coefficients of one, which may be asked for at different rates.
    std::array<series, 2> split(const series& a)
    {
        const std::array<series, 2> both;
        split_into(a, both);
        return both;
    }

private:
    template <class F>
    series make(F f)
    {
        const series z;
        e_.go([f = std::move(f), z] { f(z); });
        return z;
    }
    void wait(const series& z) { (void)e_.recv<int>(z.request); }
    void put(const series& z, rational v)
    {
        wait(z);
        e_.send<rational>(z.answer, v);
    }
    void copy(const series& z, const series& from)
    {
        each(z, from, [](rational u, int) { return u; });
    }
    template <class F>
    void each(const series& z, const series& from, F f)
    {
        for (int i = 0;; ++i) {
            wait(z);
            e_.send<rational>(z.answer, f(next(from), i));
        }
    }
    /// What the one has had and the other not yet is kept. Who asks first makes it ask the source.
    void split_into(const series& from, const std::array<series, 2>& to)
    {
        e_.go(
            [this, from, to]
            {
                std::array<std::deque<rational>, 2> kept;
                std::array<bool, 2> asked{};
                bool waiting = false;
                chan<int> ask = nullptr;
                for (;;) {
                    const auto out = [&](std::size_t i)
                    { return asked[i] && !kept[i].empty() ? to[i].answer : chan<rational>(nullptr); };
                    const auto first = [&](std::size_t i) { return kept[i].empty() ? rational() : kept[i].front(); };
                    const bool wanted = (asked[0] && kept[0].empty()) || (asked[1] && kept[1].empty());
                    ask = wanted && !waiting ? from.request : chan<int>(nullptr);
                    const chan<rational> answer = waiting ? from.answer : chan<rational>(nullptr);
                    const std::size_t at = select(on_recv(to[0].request), on_recv(to[1].request),
                                                  on_send(out(0), first(0)), on_send(out(1), first(1)), on_send(ask, 1),
                                                  on_recv(answer,
                                                          [&](std::optional<rational> v)
                                                          {
                                                              kept[0].push_back(*v);
                                                              kept[1].push_back(*v);
                                                          }),
                                                  on_recv(e_.stop()));
                    if (at < 2) {
                        asked[at] = true;
                    } else if (at < 4) {
                        asked[at - 2] = false;
                        kept[at - 2].pop_front();
                    } else if (at == 6) {
                        return;
                    } else {
                        waiting = at == 4;
                    }
                }
            });
    }

    endless e_;
};

void expect_coefficients(power_series& p, const series& s, const std::vector<rational>& expected)
{
    for (const rational& r : expected)
        EXPECT_EQ(p.next(s), r);
}

WEFT_TEST(chan_program_test, power_series)
{
    power_series p;
    const series ones = p.constant(1);
    expect_coefficients(p, ones, {1, 1, 1, 1, 1});
    expect_coefficients(p, p.add(ones, p.constant(2)), {3, 3, 3, 3, 3});
    expect_coefficients(p, p.subtract(ones, p.constant(2)), {-1, -1, -1, -1, -1});
    expect_coefficients(p, p.scaled_by(-1, p.constant(2)), {-2, -2, -2, -2, -2});
    expect_coefficients(p, p.differentiate(ones), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    expect_coefficients(p, p.integrate(0, ones), {0, 1, {1, 2}, {1, 3}, {1, 4}, {1, 5}, {1, 6}});
    expect_coefficients(p, p.multiply(p.constant(1), p.constant(1)), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    // arctan' = 1 / (1 + x^2)
    expect_coefficients(p, p.integrate(0, p.substitute_monomial(p.constant(1), -1, 2)),
                        {0, 1, 0, {-1, 3}, 0, {1, 5}, 0, {-1, 7}, 0, {1, 9}});
}

WEFT_TEST(chan_program_test, power_series_of_an_exponential)
{
    power_series p;
    // exp(x / (1 - x) + ...): every coefficient but the constant one is 1.
    expect_coefficients(p, p.exp(p.constant(1)),
                        {1, 1, {3, 2}, {13, 6}, {73, 24}, {167, 40}, {4'051, 720}, {37'633, 5'040}});
}

}  // namespace
