// A select of four receives: one that waits, one that finds all of them ready, one that finds none.
#include <array>
#include <cstdint>
#include <optional>

#include "harness.hpp"
#include "weft/chan.hpp"
#include "weft/go.hpp"
#include "weft/runtime.hpp"
#include "weft/select.hpp"

namespace {

using value = std::optional<std::uint64_t>;

/// Another goroutine sends to four unbuffered channels in turn; one operation is one value.
bench::result unbuffered(const bench::settings& set)
{
    const auto receive = [](std::uint64_t n)
    {
        const std::array<weft::chan<std::uint64_t>, 4> c;
        weft::go(
            [c, n]
            {
                for (std::uint64_t i = 0; i < n; ++i)
                    c[i % 4].send(i);
            });
        std::uint64_t sum = 0;
        const auto add = [&sum](const value& v) { sum += *v; };
        for (std::uint64_t i = 0; i < n; ++i)
            weft::select(weft::on_recv(c[0], add), weft::on_recv(c[1], add), weft::on_recv(c[2], add),
                         weft::on_recv(c[3], add));
        bench::require(sum == (n % 2 == 0 ? n / 2 * (n - 1) : (n - 1) / 2 * n), "select/unbuffered");
    };
    return bench::scaled(set, receive);
}

/// Four channels with a value each. One operation is a select, and a send that puts the value back where it was.
bench::result ready(const bench::settings& set)
{
    const std::array<weft::chan<std::uint64_t>, 4> c{weft::chan<std::uint64_t>(1), weft::chan<std::uint64_t>(1),
                                                     weft::chan<std::uint64_t>(1), weft::chan<std::uint64_t>(1)};
    for (const auto& one : c)
        one.send(1);
    const auto receive = [&c](std::uint64_t n)
    {
        std::uint64_t sum = 0;
        const auto add = [&sum](const value& v) { sum += *v; };
        for (std::uint64_t i = 0; i < n; ++i) {
            const std::size_t from = weft::select(weft::on_recv(c[0], add), weft::on_recv(c[1], add),
                                                  weft::on_recv(c[2], add), weft::on_recv(c[3], add));
            c[from].send(1);
        }
        bench::require(sum == n, "select/ready");
    };
    return bench::scaled(set, receive);
}

/// Four empty channels; one operation is a select that goes its default way.
bench::result none_ready(const bench::settings& set)
{
    const std::array<weft::chan<std::uint64_t>, 4> c;
    const auto look = [&c](std::uint64_t n)
    {
        std::uint64_t missed = 0;
        const auto unexpected = [](const value&) { bench::require(false, "select/default"); };
        for (std::uint64_t i = 0; i < n; ++i)
            weft::select(weft::on_recv(c[0], unexpected), weft::on_recv(c[1], unexpected),
                         weft::on_recv(c[2], unexpected), weft::on_recv(c[3], unexpected),
                         weft::otherwise([&missed] { ++missed; }));
        bench::require(missed == n, "select/default");
    };
    return bench::scaled(set, look);
}

constexpr bench::named_case cases[] = {
    {"select/unbuffered", unbuffered},
    {"select/ready", ready},
    {"select/default", none_ready},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
