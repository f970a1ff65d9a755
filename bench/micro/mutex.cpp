// Locking and unlocking a mutex, alone and against a thousand.
#include <cstdint>
#include <mutex>

#include "harness.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

namespace {

constexpr std::uint64_t goroutines = 1000;
constexpr std::uint64_t each = 10'000;

bench::result contended(const bench::settings&)
{
    weft::mutex mutex;
    std::uint64_t counter = 0;
    const auto count = [&mutex, &counter]
    {
        for (std::uint64_t k = 0; k < each; ++k) {
            const std::lock_guard hold(mutex);
            ++counter;
        }
    };
    const auto count_by_all = [&count]
    {
        weft::wait_group all;
        for (std::uint64_t i = 0; i < goroutines; ++i)
            all.go(count);
        all.wait();
    };
    bench::result r = bench::fixed(goroutines * each, count_by_all);
    bench::require(counter == goroutines * each, "mutex/contended");
    return r;
}

bench::result uncontended(const bench::settings& set)
{
    weft::mutex mutex;
    const auto lock_and_unlock = [&mutex](std::uint64_t n)
    {
        for (std::uint64_t i = 0; i < n; ++i) {
            mutex.lock();
            mutex.unlock();
        }
    };
    return bench::scaled(set, lock_and_unlock);
}

constexpr bench::named_case cases[] = {
    {"mutex/contended", contended},
    {"mutex/uncontended", uncontended},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
