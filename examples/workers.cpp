// A pool of workers: they count the primes of a range together. Each takes the next piece of the work from a list that
// a mutex guards; a wait_group tells when all have finished.
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <optional>

#include "weft/weft.hpp"

namespace {

constexpr std::uint32_t limit = 2'000'000;
constexpr std::uint32_t piece = 10'000;
constexpr std::size_t known_primes = 148'933;  ///< below two million
constexpr int workers = 100;

struct range {
    std::uint32_t begin;
    std::uint32_t end;
};

/// The work that is left; any number of goroutines may call take().
class work_list {
public:
    std::optional<range> take()
    {
        const std::lock_guard hold(guard_);
        if (next_ == limit)
            return std::nullopt;
        const range r{next_, next_ + piece};
        next_ = r.end;
        return r;
    }

private:
    weft::mutex guard_;
    std::uint32_t next_ = 0;
    static_assert(limit % piece == 0);
};

bool is_prime(std::uint32_t n)
{
    if (n < 4)
        return n > 1;
    if (n % 2 == 0)
        return false;
    for (std::uint32_t d = 3; d * d <= n; d += 2)
        if (n % d == 0)
            return false;
    return true;
}

std::size_t count_primes(range r)
{
    std::size_t count = 0;
    for (std::uint32_t n = r.begin; n < r.end; ++n)
        count += is_prime(n);
    return count;
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            work_list work;
            weft::mutex sum_guard;
            std::size_t sum = 0;

            weft::wait_group all;
            for (int w = 0; w < workers; ++w)
                all.go(
                    [&]
                    {
                        while (const std::optional<range> r = work.take()) {
                            const std::size_t found = count_primes(*r);
                            const std::lock_guard hold(sum_guard);
                            sum += found;
                        }
                    });
            all.wait();

            std::printf("%zu primes below %u, counted by %d workers\n", sum, limit, workers);
            return sum == known_primes ? 0 : 1;
        });
}
