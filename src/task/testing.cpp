// weft/testing.hpp: seeds and exceptions; what a bubble is stands in rt/services/bubble/bubble.hpp.
#include "weft/testing.hpp"

#include <cerrno>
#include <cstdlib>

#include "base/check.hpp"
#include "base/rand.hpp"
#include "rt/rt.hpp"
#include "sys/clock.hpp"

namespace weft::testing {

namespace {

using ull = unsigned long long;

seed base_seed()
{
    const char* const text = std::getenv("WEFT_SEED");
    if (text == nullptr || *text == '\0') {
        // Two calls in the same nanosecond, by two processes, may be alike.
        base::rand mixed(static_cast<std::uint64_t>(sys::monotonic_now()));
        return seed{mixed.next()};
    }
    char* end = nullptr;
    errno = 0;
    const ull value = std::strtoull(text, &end, 0);
    if (*end != '\0' || errno != 0)
        throw std::invalid_argument("weft: the environment's WEFT_SEED is '" + std::string(text) +
                                    "'; it must be a number from 0 to 18446744073709551615, or hexadecimal with 0x");
    return seed{value};
}

}  // namespace

deadlock::~deadlock() = default;
exploration_failed::~exploration_failed() = default;

void settle()
{
    rt::settle();
}

namespace detail {

void run_bubble(void (*body)(void*), void* argument, const seed* at)
{
    rt::bubble_end end = rt::run_bubble(body, argument, at != nullptr ? &at->value : nullptr);
    // Whoever has failed may be what the others have waited for in vain.
    if (end.failure)
        std::rethrow_exception(std::move(end.failure));
    if (!end.deadlock.empty())
        throw deadlock("all goroutines of the bubble are blocked, and no deadline is left:" + end.deadlock);
}

void explore_many(int runs, void (*body)(void*), void* argument)
{
    if (runs < 1)
        throw std::invalid_argument("weft::testing::explore: " + std::to_string(runs) +
                                    " runs; it must be 1 or more, or a weft::testing::seed");
    const seed base = base_seed();
    base::report("weft::testing::explore: %d runs, WEFT_SEED=0x%llx\n", runs, static_cast<ull>(base.value));
    base::rand seeds(base.value);
    for (int run = 1; run <= runs; ++run) {
        const seed at{seeds.next()};
        try {
            run_bubble(body, argument, &at);
        } catch (...) {
            std::string why = "an exception";
            try {
                throw;
            } catch (const std::exception& e) {
                why = e.what();
            } catch (...) {
            }
            base::report(
                "weft::testing::explore: run %d of %d failed; explore(weft::testing::seed{0x%llx}, f) "
                "repeats it: %.2000s\n",
                run, runs, static_cast<ull>(at.value), why.c_str());
            throw exploration_failed(
                "run " + std::to_string(run) + " with seed " + std::to_string(at.value) + " failed: " + why, at);
        }
    }
}

}  // namespace detail

std::size_t hibernate_parked()
{
    return rt::hibernate_all();
}

}  // namespace weft::testing
