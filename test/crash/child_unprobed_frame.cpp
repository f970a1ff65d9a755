// Calls a function with a large frame near the end of a stack. Compiled without stack probes, as Debian's libraries
// are.
#include <cstddef>

#include "../support/scenarios.hpp"
#include "weft/weft.hpp"

namespace {

using weft::test::say;

[[gnu::noinline]] void touch_the_far_end(volatile char* frame)
{
    frame[0] = 1;
    say("jumped over the guard");
}

/// The largest frame that was found in such a library.
[[gnu::noinline]] void large_frame()
{
    volatile char frame[33 * 1'024];
    touch_the_far_end(frame);
}

[[gnu::noinline]] int descend(int level)
{
    volatile char frame[512];
    frame[0] = static_cast<char>(level);
    if (weft::stack_remaining() < 4'096)
        large_frame();
    else
        static_cast<void>(descend(level + 1));
    return frame[0];
}

template <std::size_t Size>
int with_stack()
{
    return weft::run(
        []
        {
            // Its neighbours' stacks lie below its own, in use.
            const weft::attr sized{.name = "large", .stack_size = Size};
            for (int i = 0; i < 100; ++i)
                weft::go(sized, [] { weft::sleep_for(std::chrono::hours(1)); });
            weft::yield();
            weft::async(sized,
                        []
                        {
                            say("id=%llu", static_cast<unsigned long long>(weft::goroutine_id()));
                            static_cast<void>(descend(0));
                        })
                .get();
        });
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::test::run_scenario(argc, argv,
                                    {{"smallest", with_stack<std::size_t{16} << 10>},
                                     {"default", with_stack<weft::default_stack_size>},
                                     {"large", with_stack<std::size_t{1} << 20>}});
}
