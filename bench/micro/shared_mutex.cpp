// Locking a shared_mutex for reading and for writing, alone and among a thousand.
#include <cstdint>
#include <mutex>
#include <shared_mutex>

#include "harness.hpp"
#include "weft/runtime.hpp"
#include "weft/shared_mutex.hpp"
#include "weft/wait_group.hpp"

namespace {

constexpr std::uint64_t goroutines = 1000;
constexpr std::uint64_t each = 10'000;
constexpr std::uint64_t reads_per_write = 100;

/// A thousand goroutines; one lock in a hundred is for writing, the others are for reading.
bench::result mostly_read(const bench::settings&)
{
    weft::shared_mutex mutex;
    std::uint64_t value = 0;
    const auto read_and_write = [&mutex, &value]
    {
        std::uint64_t last = 0;
        for (std::uint64_t k = 0; k < each; ++k) {
            if (k % reads_per_write == 0) {
                const std::lock_guard hold(mutex);
                ++value;
            } else {
                const std::shared_lock hold(mutex);
                bench::require(value >= last, "shared_mutex/mostly_read: went back");
                last = value;
            }
        }
    };
    const auto by_all = [&read_and_write]
    {
        weft::wait_group all;
        for (std::uint64_t i = 0; i < goroutines; ++i)
            all.go(read_and_write);
        all.wait();
    };
    bench::result r = bench::fixed(goroutines * each, by_all);
    bench::require(value == goroutines * (each / reads_per_write), "shared_mutex/mostly_read");
    return r;
}

bench::result read_uncontended(const bench::settings& set)
{
    weft::shared_mutex mutex;
    const auto lock_and_unlock = [&mutex](std::uint64_t n)
    {
        for (std::uint64_t i = 0; i < n; ++i) {
            mutex.lock_shared();
            mutex.unlock_shared();
        }
    };
    return bench::scaled(set, lock_and_unlock);
}

bench::result write_uncontended(const bench::settings& set)
{
    weft::shared_mutex mutex;
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
    {"shared_mutex/mostly_read", mostly_read},
    {"shared_mutex/read_uncontended", read_uncontended},
    {"shared_mutex/write_uncontended", write_uncontended},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
