// Wants a frame that is larger than the stack. Compiled with the flags that weft hands out, stack probes among them.
#include <cstddef>

#include "../support/scenarios.hpp"
#include "weft/weft.hpp"

namespace {

using weft::test::say;

constexpr std::size_t frame_bytes = weft::default_stack_size / 4 * 5;

[[gnu::noinline]] void touch_the_far_end(volatile char* frame)
{
    frame[0] = 1;
    say("jumped over the guard");
}

[[gnu::noinline]] void fixed_frame()
{
    volatile char frame[frame_bytes];
    touch_the_far_end(frame);
}

[[gnu::noinline]] void variable_frame(std::size_t bytes)
{
    touch_the_far_end(static_cast<char*>(__builtin_alloca(bytes)));
}

[[noreturn]] void wait_for_the_end()
{
    for (;;)
        weft::sleep_for(std::chrono::hours(1));
}

int among_others(void (*f)())
{
    return weft::run(
        [f]
        {
            for (int i = 0; i < 100; ++i)
                weft::go([] { wait_for_the_end(); });
            weft::yield();
            weft::go(weft::attr{.name = "large"},
                     [f]
                     {
                         say("id=%llu", static_cast<unsigned long long>(weft::goroutine_id()));
                         f();
                     });
            wait_for_the_end();
        });
}

int fixed()
{
    return among_others(&fixed_frame);
}

int variable()
{
    static volatile std::size_t bytes = frame_bytes;
    return among_others([] { variable_frame(bytes); });
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::test::run_scenario(argc, argv, {{"fixed", fixed}, {"variable", variable}});
}
