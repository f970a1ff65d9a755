// Waiting for descriptors: a byte to another goroutine and back through two pipes, beside few and many goroutines that
// wait for descriptors of their own, on which nothing happens.
#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "harness.hpp"
#include "weft/io.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace {

/// `n` goroutines, each waiting for a descriptor.
class waiting {
public:
    explicit waiting(std::size_t n) : events_(n)
    {
        for (weft::io::event& e : events_) {
            e = weft::io::event(0);
            all_.go(
                [&e]
                {
                    std::error_code ec;
                    (void)e.wait(ec);
                });
        }
        while (weft::stats().goroutines_waiting < n)
            weft::sleep_for(std::chrono::milliseconds(1));
    }
    waiting(const waiting&) = delete;
    waiting& operator=(const waiting&) = delete;
    ~waiting()
    {
        for (weft::io::event& e : events_)
            e.close();
        all_.wait();
    }

private:
    std::vector<weft::io::event> events_;
    weft::wait_group all_{};
};

bench::result round_trips(const bench::settings& set)
{
    weft::io::pipe_ends there = weft::io::pipe();
    weft::io::pipe_ends back = weft::io::pipe();
    weft::wait_group other;
    other.go(
        [&]
        {
            std::byte b{};
            while (there.reader.read({&b, 1}) == 1)
                back.writer.write({&b, 1});
        });
    bench::result r = bench::scaled(set,
                                    [&](std::uint64_t n)
                                    {
                                        std::byte b{};
                                        for (std::uint64_t i = 0; i < n; ++i) {
                                            there.writer.write({&b, 1});
                                            bench::require(back.reader.read({&b, 1}) == 1, "no byte has come back");
                                        }
                                    });
    there.writer.close();
    other.wait();
    return r;
}

template <std::size_t Waiting>
bench::result beside(const bench::settings& set)
{
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    constexpr std::size_t others = 100;  // descriptors of the process
    const std::size_t n = std::min<std::size_t>(Waiting, limit.rlim_max - others);
    const waiting these(n);
    bench::result r = round_trips(set);
    if (n < Waiting)
        r.note = "the limit of descriptors allows " + std::to_string(n) + " waiting ones";
    return r;
}

constexpr bench::named_case cases[] = {
    {"netpoll/beside_100", beside<100>},
    {"netpoll/beside_many", beside<100'000>},
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases,
                       [](int procs, const auto& body) { weft::run(weft::options{.procs = procs}, body); });
}
