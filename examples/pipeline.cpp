// A pipeline: stages joined by channels, a goroutine each. The first stage would go on for ever and the last one wants
// five values only, so there must be a way to call it off: a context. Each stage selects between its channel and the
// end of the context, and none is left behind.
//
// It looks for numbers n whose Collatz sequence (n/2 if n is even, else 3n+1) takes at least a hundred steps to 1.
#include <cstdint>
#include <cstdio>

#include "weft/weft.hpp"

namespace {

struct length {
    std::uint64_t number;
    int steps;
};

/// Whether `value` was sent; false: called off.
template <class T>
bool send_unless_done(const weft::sender<T>& out, T value, const weft::context& ctx)
{
    return weft::select(weft::on_send(out, value), weft::on_done(ctx)) == 0;
}

void count(const weft::sender<std::uint64_t>& out, const weft::context& ctx)
{
    for (std::uint64_t n = 1; send_unless_done(out, n, ctx); ++n)
        continue;
    out.close();
}

void measure(const weft::receiver<std::uint64_t>& in, const weft::sender<length>& out, const weft::context& ctx)
{
    for (const std::uint64_t number : in) {
        int steps = 0;
        for (std::uint64_t n = number; n != 1; n = n % 2 == 0 ? n / 2 : 3 * n + 1)
            ++steps;
        if (!send_unless_done(out, {number, steps}, ctx))
            break;
    }
    out.close();
}

void choose(const weft::receiver<length>& in, const weft::sender<length>& out, int at_least, const weft::context& ctx)
{
    for (const length l : in)
        if (l.steps >= at_least && !send_unless_done(out, l, ctx))
            break;
    out.close();
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            const weft::chan<std::uint64_t> numbers;
            const weft::chan<length> lengths;
            const weft::chan<length> chosen;

            weft::cancel_context search = weft::with_cancel(weft::background());
            weft::group stages(search);  // joins them; if one throws, the others are called off and wait() rethrows
            const weft::context ctx = stages.context();
            stages.go([=] { count(numbers, ctx); });
            stages.go([=] { measure(numbers, lengths, ctx); });
            stages.go([=] { choose(lengths, chosen, 100, ctx); });

            for (int i = 0; i < 5; ++i) {
                const length l = chosen.recv().value();
                std::printf("%llu takes %d steps\n", static_cast<unsigned long long>(l.number), l.steps);
            }
            search.cancel();
            stages.wait();
            std::printf("enough: all stages have stopped\n");
        });
}
