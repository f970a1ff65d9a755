// The run with goroutines.
#include <fmt/format.h>

#include <algorithm>

#include "drive.hpp"
#include "runs.hpp"
#include "units.hpp"
#include "weft/testing.hpp"
#include "weft/weft.hpp"

namespace million {

namespace {

struct weft_kit {
    using clock = weft::clock;
    using mutex = weft::mutex;

    using latch = weft::latch;

    static void sleep_until(clock::time_point t) { weft::sleep_until(t); }
    static void sleep_for(std::chrono::milliseconds d) { weft::sleep_for(d); }
};

/// What a waiting goroutine takes: a page of stack, its control block, its part of the page tables, and this program's
/// own notes about it.
constexpr std::uint64_t goroutine_memory = 4864 + 64;

/// The same when it is hibernated: its stack is packed, and where it was there is neither a page nor a page table.
constexpr std::uint64_t hibernated_memory = 512 + 64;

/// Its stack's address space, and a little for the control block.
constexpr std::uint64_t goroutine_addresses = weft::default_stack_size + (64 + 1) * 1024;  // with its guard

/// How many fit into memory when none is hibernated.
std::uint64_t fit_at_once()
{
    return std::min(memory_room().bytes / goroutine_memory, address_room().bytes / goroutine_addresses);
}

/// How many of the goroutines asked for fit; says so in r.reduced when that is not all, and in r.wave when they don't
/// fit all at once.
std::uint64_t affordable(run_result& r)
{
    const room memory = memory_room();
    const room addresses = address_room();
    const char* const off = weft::stats().hibernation_off;
    // A quarter of what waves may use is for those that are not hibernated: just created, or woken and not finished
    // yet.
    const std::uint64_t left = memory_left();
    const std::uint64_t for_waves = left - std::min(left, memory_for_waves());
    const std::uint64_t at_once = memory.bytes / goroutine_memory;
    const std::uint64_t hibernated = off == nullptr ? for_waves / 4 * 3 / hibernated_memory : 0;
    const std::uint64_t by_memory = std::max(at_once, hibernated);
    const std::uint64_t by_addresses = addresses.bytes / goroutine_addresses;
    const std::uint64_t count = std::min({r.asked, by_memory, by_addresses});
    if (off != nullptr)
        r.hibernated.off = off;
    if (count > at_once)
        r.wave = std::max<std::uint64_t>(memory_of_wave() / goroutine_memory / 2 * 2, 2);
    if (count == r.asked)
        return count;
    if (by_memory > by_addresses)
        r.reduced = fmt::format("{}, and a goroutine's stack takes {} of addresses", addresses.why,
                                bytes_text(goroutine_addresses));
    else if (hibernated > at_once)
        r.reduced =
            fmt::format("{}, and a hibernated goroutine takes about {}", memory.why, bytes_text(hibernated_memory));
    else
        r.reduced = fmt::format("{}, and a goroutine takes about {}{}", memory.why, bytes_text(goroutine_memory),
                                off == nullptr ? "" : fmt::format(" (none is hibernated: {})", off));
    fmt::print(stderr, "million: {} goroutines instead of {}: {}\n", grouped(count), grouped(r.asked), r.reduced);
    return count;
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
            {"stack_hibernated", s.stack_hibernated},
            {"control_blocks", s.control_blocks}};
}

template <class Condition>
void poll_until(Condition&& condition)
{
    while (!condition())
        weft::sleep_for(std::chrono::microseconds(200));
}

class goroutine_side {
public:
    goroutine_side(run_result& r, workload<weft_kit>& work) : r_(r), work_(work) {}

    void start(std::uint64_t i)
    {
        weft::go([this, i] { work_.run_task(i); });
    }
    void all_waiting(std::uint64_t n)
    {
        poll_until([n] { return weft::stats().goroutines_waiting >= n; });
        if (r_.stats.empty())
            r_.stats = stats_by_name();
    }
    void all_gone() const
    {
        poll_until([this] { return weft::num_goroutines() <= others_; });
    }
    [[nodiscard]] bool hibernates() const { return r_.hibernated.off.empty(); }
    /// All that the runtime does not take for long enough parked yet.
    void hibernate_all()
    {
        weft::testing::hibernate_parked();
        r_.stats["stack_hibernated"] = weft::stats().stack_hibernated;
    }
    [[nodiscard]] static std::uint64_t hibernated() { return weft::stats().goroutines_hibernated; }

private:
    template <class Condition>
    static void poll_until(Condition&& condition)
    {
        while (!condition())
            weft::sleep_for(std::chrono::microseconds(200));
    }

    run_result& r_;
    workload<weft_kit>& work_;
    const std::size_t others_ = weft::num_goroutines();
};

void as_main(run_result& r, bool progress)
{
    const std::uint64_t count = affordable(r);
    if (count == 0)
        throw std::runtime_error("there is not enough memory for a single goroutine: " + r.reduced);
    r.note = fmt::format("{} P{}", weft::max_procs(), weft::max_procs() == 1 ? "" : "s");
    workload<weft_kit> work(count, r.wave != 0 ? r.wave : one_wave(count));
    goroutine_side side(r, work);
    monitor watch(r.kind, progress);
    drive(r, watch, work, count, side);
}

}  // namespace

run_result run_goroutines(const run_request& request)
{
    run_result r;
    r.kind = "goroutines";
    r.asked = request.asked;
    r.stack = weft::default_stack_size;
    weft::options setup{.procs = request.procs};
    // They are to be weighed as they are first, and all hibernated at once then.
    if (r.asked <= fit_at_once())
        setup.hibernate_after = std::chrono::hours(24);
    weft::run(setup, [&] { as_main(r, request.progress); });
    return r;
}

}  // namespace million
