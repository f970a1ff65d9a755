// The switch from one goroutine to another, by yield().
#include <cstdint>

#include "harness.hpp"
#include "weft/go.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

namespace {

/// `Count` goroutines yield; one operation is one yield, which on one P is one switch.
template <std::uint64_t Count>
bench::result yield_among(const bench::settings& set)
{
    const auto yields = [](std::uint64_t n)
    {
        weft::wait_group all;
        for (std::uint64_t i = 0; i < Count; ++i)
            all.go(
                [each = n / Count]
                {
                    for (std::uint64_t k = 0; k < each; ++k)
                        weft::yield();
                });
        all.wait();
    };
    return bench::scaled(set, yields);
}

constexpr bench::named_case cases[] = {
    {"yield/two", yield_among<2>},
    {"yield/thousand", yield_among<1000>},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
