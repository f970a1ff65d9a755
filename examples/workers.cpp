// A pool of workers: they count the primes of a range together. The pieces of the work come by one channel and the
// counts go back by another, so the goroutines share nothing and need no lock. A fast worker takes more pieces.
#include <cstdint>
#include <cstdio>

#include "weft/weft.hpp"

namespace {

constexpr std::uint32_t limit = 2'000'000;
constexpr std::uint32_t piece = 10'000;
constexpr std::size_t known_primes = 148'933;  ///< below two million
constexpr int workers = 100;
static_assert(limit % piece == 0);

struct range {
    std::uint32_t begin;
    std::uint32_t end;
};

bool is_prime(std::uint32_t n)
{
    if (n < 4)
        return n > 1;
    if (n % 2 == 0)
        return false;
    for (std::uint32_t d = 3; d * d <= n; d += 2)
        if (n % d == 0)
            return false;
    return true;
}

std::size_t count_primes(range r)
{
    std::size_t count = 0;
    for (std::uint32_t n = r.begin; n < r.end; ++n)
        count += is_prime(n);
    return count;
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            const weft::chan<range> work(workers);  // the buffer keeps the workers busy between two sends
            const weft::chan<std::size_t> counts(workers);

            weft::go(
                [work]
                {
                    for (std::uint32_t begin = 0; begin < limit; begin += piece)
                        work.send({begin, begin + piece});
                    work.close();  // ends the loops of the workers
                });

            weft::wait_group all;
            for (int w = 0; w < workers; ++w)
                all.go(
                    [work, counts]
                    {
                        for (const range r : work)
                            counts.send(count_primes(r));
                    });
            weft::go(
                [&all, counts]
                {
                    all.wait();
                    counts.close();  // all senders are done: ends the loop below
                });

            std::size_t sum = 0;
            for (const std::size_t count : counts)
                sum += count;
            std::printf("%zu primes below %u, counted by %d workers\n", sum, limit, workers);
            return sum == known_primes ? 0 : 1;
        });
}
