// The run with goroutines.
#include <fmt/format.h>

#include <algorithm>

#include "drive.hpp"
#include "runs.hpp"
#include "units.hpp"
#include "weft/weft.hpp"

namespace million {

namespace {

struct weft_kit {
    using clock = weft::clock;
    using mutex = weft::mutex;

    class latch {
    public:
        explicit latch(int count) { open_.add(count); }
        void count_down() { open_.done(); }
        void wait() { open_.wait(); }

    private:
        weft::wait_group open_;
    };

    static void sleep_until(clock::time_point t) { weft::sleep_until(t); }
    static void sleep_for(std::chrono::milliseconds d) { weft::sleep_for(d); }
};

/// What a waiting goroutine takes: a page of stack, its control block, its part of the page tables, and this program's
/// own notes about it.
constexpr std::uint64_t goroutine_memory = 4608 + 64;

/// Its stack's address space, and a little for the control block.
constexpr std::uint64_t goroutine_addresses = weft::default_stack_size + 1024;

/// How many of the goroutines asked for fit; says so in r.reduced when that is not all.
std::uint64_t affordable(run_result& r)
{
    const room memory = memory_room();
    const room addresses = address_room();
    const std::uint64_t by_memory = memory.bytes / goroutine_memory;
    const std::uint64_t by_addresses = addresses.bytes / goroutine_addresses;
    const std::uint64_t most = std::min(by_memory, by_addresses);
    if (r.asked <= most)
        return r.asked;
    r.reduced = by_memory <= by_addresses
                    ? fmt::format("{}, and a goroutine takes about {}", memory.why, bytes_text(goroutine_memory))
                    : fmt::format("{}, and a goroutine's stack takes {} of addresses", addresses.why,
                                  bytes_text(goroutine_addresses));
    fmt::print(stderr, "million: {} goroutines instead of {}: {}\n", grouped(most), grouped(r.asked), r.reduced);
    return most;
}

std::map<std::string, std::uint64_t> stats_by_name()
{
    const weft::runtime_stats s = weft::stats();
    return {{"goroutines", s.goroutines},
            {"goroutines_started", s.goroutines_started},
            {"goroutines_waiting", s.goroutines_waiting},
            {"procs", s.procs},
            {"threads", s.threads},
            {"switches", s.switches},
            {"parks", s.parks},
            {"steals", s.steals},
            {"stolen", s.stolen},
            {"wakeups", s.wakeups},
            {"stacks_in_use", s.stacks_in_use},
            {"stack_reserved", s.stack_reserved},
            {"stack_committed", s.stack_committed},
            {"control_blocks", s.control_blocks}};
}

template <class Condition>
void poll_until(Condition&& condition)
{
    while (!condition())
        weft::sleep_for(std::chrono::microseconds(200));
}

void as_main(run_result& r, bool progress, std::uint64_t count)
{
    using namespace std::chrono_literals;
    r.note = fmt::format("{} P{}", weft::max_procs(), weft::max_procs() == 1 ? "" : "s");
    workload<weft_kit> work(count);
    monitor watch(r.kind, progress);
    const std::size_t others = weft::num_goroutines();
    drive(
        r, watch, work, count, [&work](std::uint64_t i) { weft::go([&work, i] { work.run_task(i); }); },
        [&r](std::uint64_t n)
        {
            poll_until([n] { return weft::stats().goroutines_waiting >= n; });
            r.stats = stats_by_name();
        },
        [others] { poll_until([others] { return weft::num_goroutines() <= others; }); });
}

}  // namespace

run_result run_goroutines(const run_request& request)
{
    run_result r;
    r.kind = "goroutines";
    r.asked = request.asked;
    r.stack = weft::default_stack_size;
    const std::uint64_t count = affordable(r);
    if (count == 0)
        throw std::runtime_error("there is not enough memory for a single goroutine: " + r.reduced);
    weft::run(weft::options{.procs = request.procs}, [&] { as_main(r, request.progress, count); });
    return r;
}

}  // namespace million
