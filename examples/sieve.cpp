// The prime sieve: the most famous program of channels. A goroutine sends 2, 3, 4 ...; each prime that arrives gets a
// filter of its own, a goroutine that lets through what the prime does not divide, and the next number to come out of
// the last filter is the next prime. The chain of filters is the program's only data.
//
//   sieve [LIMIT]      prints the primes below LIMIT, from 2 to 100000, 100 when left out
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>

#include "weft/weft.hpp"

namespace {

/// Sends the numbers from 2 to limit-1, then closes: that is how the chain learns that no more will come.
void generate(const weft::sender<int>& out, int limit)
{
    for (int n = 2; n < limit; ++n)
        out.send(n);
    out.close();
}

/// Passes on what `prime` does not divide, until `in` is closed.
void filter(const weft::receiver<int>& in, const weft::sender<int>& out, int prime)
{
    for (const int n : in)
        if (n % prime != 0)
            out.send(n);
    out.close();
}

/// -1 for anything but a number from 2 to 100000.
int parse(const char* text)
{
    int n = -1;
    const char* const end = text + std::strlen(text);
    const auto [stop, error] = std::from_chars(text, end, n);
    return error == std::errc() && stop == end && n >= 2 && n <= 100'000 ? n : -1;
}

}  // namespace

int main(int argc, char** argv)
{
    const int limit = argc < 2 ? 100 : parse(argv[1]);
    if (argc > 2 || limit < 0) {
        std::fprintf(stderr, "usage: sieve [LIMIT], LIMIT from 2 to 100000\n");
        return 2;
    }
    return weft::run(
        [limit]
        {
            const weft::chan<int> numbers;
            weft::go(generate, numbers, limit);
            weft::receiver<int> last = numbers;  // the end of the chain
            while (const std::optional<int> prime = last.recv()) {
                std::printf("%d\n", *prime);
                const weft::chan<int> rest;
                weft::go(filter, last, rest, *prime);
                last = rest;
            }
        });
}
