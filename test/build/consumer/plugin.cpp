// A user's shared library with weft inside.
#include "plugin.hpp"

#include <weft/weft.hpp>

int sum_by_goroutines(int last)
{
    int sum = 0;
    weft::mutex guard;
    weft::wait_group all;
    for (int i = 1; i <= last; ++i)
        all.go(
            [&, i]
            {
                weft::yield();
                const std::lock_guard hold(guard);
                sum += i;
            });
    all.wait();
    return sum;
}
