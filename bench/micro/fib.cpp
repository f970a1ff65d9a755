// The Fibonacci number of 32 with a goroutine for every call: 7,049,155 of them.
#include <cstdint>

#include "harness.hpp"
#include "weft/future.hpp"
#include "weft/runtime.hpp"

namespace {

constexpr int argument = 32;
constexpr std::uint64_t expected = 2'178'309;
constexpr std::uint64_t calls = 7'049'155;

std::uint64_t fib(int n)
{
    if (n < 2)
        return static_cast<std::uint64_t>(n);
    auto one = weft::async([n] { return fib(n - 1); });
    auto two = weft::async([n] { return fib(n - 2); });
    return one.get() + two.get();
}

bench::result fib_32(const bench::settings&)
{
    std::uint64_t value = 0;
    bench::result r = bench::fixed(calls, [&value] { value = weft::async([] { return fib(argument); }).get(); });
    bench::require(value == expected, "fib/32");
    return r;
}

constexpr bench::named_case cases[] = {{"fib/32", fib_32}};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
