// Fibonacci numbers with a goroutine for each call: far too many of them for threads, and each does next to nothing, so
// the time is what starting a goroutine and waiting for its result cost.
//
//   fib [N]      N from 0 to 40, 27 when left out
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "weft/weft.hpp"

namespace {

constexpr int most = 40;

std::uint64_t fib(int n)
{
    if (n < 2)
        return static_cast<std::uint64_t>(n);
    auto left = weft::async([n] { return fib(n - 1); });
    const std::uint64_t right = fib(n - 2);
    return left.get() + right;
}

/// -1 for anything but a number from 0 to `most`.
int parse(const char* text)
{
    int n = -1;
    const char* const end = text + std::strlen(text);
    const auto [stop, error] = std::from_chars(text, end, n);
    return error == std::errc() && stop == end && n <= most ? n : -1;
}

}  // namespace

int main(int argc, char** argv)
{
    const int n = argc < 2 ? 27 : parse(argv[1]);
    if (argc > 2 || n < 0) {
        std::fprintf(stderr, "usage: fib [N], N from 0 to %d\n", most);
        return 2;
    }
    return weft::run(
        [n]
        {
            const auto began = weft::clock::now();
            const std::uint64_t value = fib(n);
            const double seconds = std::chrono::duration<double>(weft::clock::now() - began).count();
            const std::uint64_t started = weft::stats().goroutines_started;
            std::printf("fib(%d) = %llu: %llu goroutines in %.3f s, %.0f ns each\n", n,
                        static_cast<unsigned long long>(value), static_cast<unsigned long long>(started), seconds,
                        seconds * 1e9 / static_cast<double>(started));
        });
}
