// A wait group by itself. With goroutines in it: spawn.cpp.
#include <cstdint>

#include "harness.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

namespace {

/// One operation: add(), done(), and a wait() that finds zero.
bench::result uncontended(const bench::settings& set)
{
    weft::wait_group group;
    const auto count = [&group](std::uint64_t n)
    {
        for (std::uint64_t i = 0; i < n; ++i) {
            group.add();
            group.done();
            group.wait();
        }
    };
    return bench::scaled(set, count);
}

constexpr bench::named_case cases[] = {{"wait_group/uncontended", uncontended}};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
