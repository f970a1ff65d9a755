// What README.md shows beside hello.cpp.
#include <chrono>
#include <cstdio>
#include <optional>

#include "weft/weft.hpp"

using namespace std::chrono_literals;

namespace {

void talk()
{
    // [talk]
    const weft::chan<int> results(3);  // with room for all: nobody waits if we give up
    for (int i = 1; i <= 3; ++i)
        weft::go([results, i] { results.send(i * i); });

    int sum = 0;
    const auto deadline = weft::clock::now() + 1min;
    for (int missing = 3; missing > 0; --missing)
        weft::select(weft::on_recv(results, [&](std::optional<int> r) { sum += r.value(); }),
                     weft::on_deadline(deadline, [&] { missing = 0; }));
    // [/talk]
    std::printf("%d\n", sum);
}

}  // namespace

int main()
{
    return weft::run(talk);
}

// Output:
// 14
