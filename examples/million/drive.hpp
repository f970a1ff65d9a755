// Takes a workload through its phases and measures each; the same for goroutines and for threads. What differs is in a
// Side, which has:
//   start(i)         starts task i
//   all_waiting(n)   returns when n tasks wait at a gate (they have come close to it already)
//   all_gone()       returns when all tasks are gone
//   hibernates()     whether tasks that wait can be hibernated; if so:
//   hibernate_all()  does that now
//   hibernated()     how many are
//
// More tasks than fit into memory unless hibernated are created in waves: each waits at its gate before the next one is
// begun, and that waits until the runtime, which sees the shortage too, has made room. They are woken in waves as well:
// the next one when memory is back from those that have finished.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <new>
#include <string>
#include <system_error>

#include "child.hpp"
#include "meminfo.hpp"
#include "monitor.hpp"
#include "result.hpp"
#include "thread_limits.hpp"
#include "units.hpp"
#include "workload.hpp"

namespace million {

/// Wall and CPU time from mark to mark.
class phase_clock {
public:
    explicit phase_clock(run_result& into) : into_(into) { restart(); }

    /// What passed since the last mark counts for no phase.
    void restart()
    {
        wall_ = std::chrono::steady_clock::now();
        cpu_ = cpu_seconds();
    }
    /// A phase ends here and the next one begins.
    void mark(const char* name)
    {
        const auto wall = std::chrono::steady_clock::now();
        const double cpu = cpu_seconds();
        into_.phases.push_back({name, std::chrono::duration<double>(wall - wall_).count(), cpu - cpu_});
        wall_ = wall;
        cpu_ = cpu;
    }

private:
    static double cpu_seconds()
    {
        rusage used{};
        getrusage(RUSAGE_SELF, &used);
        const auto seconds = [](const timeval& t)
        { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); };
        return seconds(used.ru_utime) + seconds(used.ru_stime);
    }

    run_result& into_;
    std::chrono::steady_clock::time_point wall_;
    double cpu_ = 0;
};

/// Starts tasks `i` to `end`-1 as far as memory and the system's limits allow; `created` follows it. Returns how many
/// there are then; r.reduced says what stopped it.
template <class Side>
std::uint64_t create_tasks(run_result& r, monitor& watch, std::uint64_t i, std::uint64_t end,
                           std::atomic<std::uint64_t>& created, Side& side)
{
    try {
        for (; i < end; ++i) {
            if (watch.low_memory()) {
                r.reduced = "memory came down to the reserve of " + bytes_text(memory_reserve());
                break;
            }
            side.start(i);
            created.store(i + 1, std::memory_order_relaxed);
        }
    } catch (const std::bad_alloc&) {
        r.reduced = "out of memory (std::bad_alloc)";
    } catch (const std::system_error& e) {
        r.reduced = std::string(e.what()) + ": " + exhausted_limit(r.stack);
    }
    return i;
}

/// Where memory is short, waits until a wave fits. False: it does not get better, `progress()` has come to a stop.
template <class Kit, class Progress>
bool await_memory(Progress&& progress)
{
    constexpr std::chrono::seconds patience{20};
    const std::uint64_t enough = memory_for_waves();
    auto changed = std::chrono::steady_clock::now();
    std::uint64_t before = progress();
    while (memory_left() < enough) {
        Kit::sleep_for(std::chrono::milliseconds(20));  // long enough for the runtime to see that nothing runs
        const auto now = std::chrono::steady_clock::now();
        if (const std::uint64_t seen = progress(); seen != before) {
            before = seen;
            changed = now;
        } else if (now - changed > patience) {
            return false;
        }
    }
    return true;
}

template <class Kit, class Side>
std::uint64_t create_waves(run_result& r, monitor& watch, const workload<Kit>& work, std::uint64_t count,
                           std::atomic<std::uint64_t>& created, Side& side)
{
    std::uint64_t n = 0;
    while (n < count && r.reduced.empty()) {
        if (!await_memory<Kit>([&] { return side.hibernated(); })) {
            r.reduced = "memory came down to " + bytes_text(memory_left()) + " with " + grouped(side.hibernated()) +
                        " of them hibernated already";
            break;
        }
        n = create_tasks(r, watch, n, std::min(n + work.wave(), count), created, side);
        while (work.arrived.passed() < n)
            Kit::sleep_for(std::chrono::milliseconds(1));
    }
    return n;
}

template <class Kit>
void wake_waves(workload<Kit>& work)
{
    for (std::uint64_t wave = 0; wave < work.waves(); ++wave) {
        if (!await_memory<Kit>([&] { return work.awake.passed(); }))
            abandon_child("stopped while they were woken: only " + bytes_text(memory_left()) +
                          " of memory were left after " + grouped(work.awake.passed()) +
                          " had finished, and no more came back from those");
        work.open_wave_gate(wave);
    }
}

inline memory_cost fall(const memory_sample& before, const memory_sample& after)
{
    const auto less = [](std::uint64_t a, std::uint64_t b)
    { return static_cast<std::int64_t>(a) - static_cast<std::int64_t>(b); };
    return {less(before.available, after.available), less(after.pages, before.pages),
            less(after.page_tables, before.page_tables), less(after.kernel, before.kernel), after.mappings};
}

template <class Kit, class Side>
void pass_phases(run_result& r, monitor& watch, workload<Kit>& work, std::uint64_t count, Side& side)
{
    std::atomic<std::uint64_t> created{0};
    const auto follow = [&](const char* name, const milestone<Kit>& m)
    { watch.phase(name, r.created, [&m, others = count - r.created] { return m.passed() - others; }); };
    const auto weigh = [&](std::uint64_t tasks)
    {
        watch.phase("weigh the memory", tasks, [tasks] { return tasks; });
        return settled_memory(&Kit::sleep_for);
    };
    const bool in_waves = r.wave != 0;
    if (!side.hibernates())
        work.open_wave_gate(0);
    const memory_sample before = weigh(0);

    watch.phase(phase_name::create, count, [&] { return created.load(std::memory_order_relaxed); });
    phase_clock clock(r);
    r.created =
        in_waves ? create_waves(r, watch, work, count, created, side) : create_tasks(r, watch, 0, count, created, side);
    clock.mark(phase_name::create);

    work.started(r.created);
    follow(phase_name::gather, work.arrived);
    work.arrived.wait();
    side.all_waiting(r.created);
    clock.mark(phase_name::gather);
    if (!in_waves)
        r.memory = fall(before, weigh(r.created));

    if (side.hibernates()) {
        watch.phase(phase_name::hibernate, r.created, [&] { return side.hibernated(); });
        clock.restart();
        side.hibernate_all();
        clock.mark(phase_name::hibernate);
        r.hibernated.tasks = side.hibernated();
        r.hibernated.memory = fall(before, weigh(r.created));

        if (in_waves)
            work.open_gate();
        clock.restart();
        follow(phase_name::wake, work.woken);
        if (in_waves)
            wake_waves(work);
        else
            work.open_wave_gate(0);
        work.woken.wait();
        if (!in_waves)
            side.all_waiting(r.created);
        clock.mark(phase_name::wake);
    }

    clock.restart();
    follow(phase_name::exchange, work.exchanged);
    if (!in_waves)
        work.open_gate();
    work.exchanged.wait();
    clock.mark(phase_name::exchange);

    follow(phase_name::sleep, work.awake);
    work.awake.wait();
    clock.mark(phase_name::sleep);

    watch.phase(phase_name::finish, r.created, [&] { return r.created; });
    side.all_gone();
    clock.mark(phase_name::finish);
    watch.phase("check", r.created, [&] { return r.created; });
    r.check = work.check();
    r.late = work.late();
}

/// An exception ends the process: the tasks that wait would go on using `work`.
template <class Kit, class Side>
void drive(run_result& r, monitor& watch, workload<Kit>& work, std::uint64_t count, Side& side)
{
    try {
        pass_phases(r, watch, work, count, side);
    } catch (const std::exception& e) {
        abandon_child(text_of(e));
    }
}

}  // namespace million
