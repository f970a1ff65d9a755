// The prime sieve: a chain of a thousand goroutines, one for each prime, each of which passes on to the next what its
// prime does not divide. Nearly every operation hands a value over between two goroutines.
#include <cstdint>

#include "harness.hpp"
#include "weft/chan.hpp"
#include "weft/go.hpp"
#include "weft/runtime.hpp"

namespace {

constexpr int primes = 1000;
constexpr int last_prime = 7919;

void generate(const weft::sender<int>& out)
{
    for (int n = 2; n <= last_prime; ++n)
        out.send(n);
    out.close();
}

void filter(const weft::receiver<int>& in, const weft::sender<int>& out, int prime)
{
    for (const int n : in)
        if (n % prime != 0)
            out.send(n);
    out.close();
}

bench::result thousand(const bench::settings&)
{
    int prime = 0;
    int found = 0;
    const auto sieve = [&]
    {
        const weft::chan<int> numbers;
        weft::go(generate, numbers);
        weft::receiver<int> last = numbers;
        while (const auto next = last.recv()) {
            prime = *next;
            ++found;
            const weft::chan<int> rest;
            weft::go(filter, last, rest, prime);
            last = rest;
        }
    };
    bench::result r = bench::fixed(primes, sieve);
    bench::require(found == primes && prime == last_prime, "sieve/thousand");
    return r;
}

constexpr bench::named_case cases[] = {{"sieve/thousand", thousand}};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
