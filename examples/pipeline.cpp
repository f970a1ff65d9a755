// A pipeline: stages joined by channels, a goroutine each. The first stage would go on for ever and the last one wants
// five values only, so there must be a way to call it off: closing `stop`. Each stage selects between its channel and
// `stop`, and none is left behind.
//
// It looks for numbers n whose Collatz sequence (n/2 if n is even, else 3n+1) takes more than a hundred steps to 1.
#include <cstdint>
#include <cstdio>
#include <optional>

#include "weft/weft.hpp"

namespace {

struct length {
    std::uint64_t number;
    int steps;
};

/// Nothing is ever sent by it; it is closed when all shall stop.
using stop_signal = weft::receiver<bool>;

/// Whether `value` was sent; false: stopped.
template <class T>
bool send_or_stop(const weft::sender<T>& out, T value, const stop_signal& stop)
{
    return weft::select(weft::on_send(out, value), weft::on_recv(stop)) == 0;
}

void count(const weft::sender<std::uint64_t>& out, const stop_signal& stop)
{
    for (std::uint64_t n = 1; send_or_stop(out, n, stop); ++n)
        continue;
    out.close();
}

void measure(const weft::receiver<std::uint64_t>& in, const weft::sender<length>& out, const stop_signal& stop)
{
    for (const std::uint64_t number : in) {
        int steps = 0;
        for (std::uint64_t n = number; n != 1; n = n % 2 == 0 ? n / 2 : 3 * n + 1)
            ++steps;
        if (!send_or_stop(out, {number, steps}, stop))
            break;
    }
    out.close();
}

void choose(const weft::receiver<length>& in, const weft::sender<length>& out, int at_least, const stop_signal& stop)
{
    for (const length l : in)
        if (l.steps >= at_least && !send_or_stop(out, l, stop))
            break;
    out.close();
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            const weft::chan<bool> stop;
            const weft::chan<std::uint64_t> numbers;
            const weft::chan<length> lengths;
            const weft::chan<length> chosen;

            weft::wait_group stages;
            stages.go([=] { count(numbers, stop); });
            stages.go([=] { measure(numbers, lengths, stop); });
            stages.go([=] { choose(lengths, chosen, 100, stop); });

            for (int i = 0; i < 5; ++i) {
                const length l = chosen.recv().value();
                std::printf("%llu takes %d steps\n", static_cast<unsigned long long>(l.number), l.steps);
            }
            stop.close();
            stages.wait();
            std::printf("enough: all stages have stopped\n");
        });
}
