// For WEFT_DEBUG=stacks: goroutines that go deep, and others that do not.
#include <cstddef>
#include <cstdint>

#include "../support/scenarios.hpp"
#include "weft/debug.hpp"
#include "weft/weft.hpp"

namespace {

using weft::test::say;

/// Uses its stack until `left` bytes are left.
[[gnu::noinline]] std::size_t dive(std::size_t left)
{
    volatile char frame[256];
    frame[0] = 1;
    const std::size_t now = weft::stack_remaining();
    const std::size_t end = now <= left ? now : dive(left);
    return frame[0] == 1 ? end : 0;
}

// Not inlined: one place in the program where all of them start, also where a compiler unrolls loops.
[[gnu::noinline]] void start_diver(weft::wait_group& all)
{
    all.go([] { say("left=%zu", dive(20'000)); });
}

void start_divers(weft::wait_group& all)
{
    for (int i = 0; i < 7; ++i)
        start_diver(all);
}

// Each on the stacks that the others have used before.
int ended()
{
    return weft::run(
        []
        {
            for (int round = 0; round < 3; ++round) {
                weft::wait_group all;
                for (int i = 0; i < 50; ++i)
                    all.go([] { weft::yield(); });
                all.wait();
                start_divers(all);
                all.wait();
            }
            weft::async(weft::attr{.name = "leaver", .stack_size = std::size_t{1} << 20},
                        []
                        {
                            (void)dive(std::size_t{600} << 10);
                            weft::exit_goroutine();
                        })
                .wait();
        });
}

[[gnu::noinline]] void start_waiting_diver(const weft::chan<int>& never)
{
    weft::go(
        [never]
        {
            (void)dive(20'000);
            (void)never.recv();
        });
}

int alive()
{
    return weft::run(
        []
        {
            const weft::chan<int> never;
            for (int i = 0; i < 5; ++i)
                start_waiting_diver(never);
            weft::sleep_for(std::chrono::milliseconds(50));
            weft::debug::dump();
            say("dumped");
        });
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::test::run_scenario(argc, argv, {{"ended", ended}, {"alive", alive}});
}
