// Takes a workload through its phases and measures each; the same for goroutines and for threads.
#pragma once

#include <sys/resource.h>

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

/// Calls start(i) for i = 0, 1, ... `count`-1 as far as memory and the system's limits allow; `created` follows it.
/// Returns how many were started; r.reduced says what stopped it.
template <class Start>
std::uint64_t create_tasks(run_result& r, monitor& watch, std::uint64_t count, std::atomic<std::uint64_t>& created,
                           Start&& start)
{
    std::uint64_t i = 0;
    try {
        for (; i < count; ++i) {
            if (watch.low_memory()) {
                r.reduced = "memory came down to the reserve of " + bytes_text(memory_reserve());
                break;
            }
            start(i);
            created.store(i + 1, std::memory_order_relaxed);
        }
    } catch (const std::bad_alloc&) {
        r.reduced = "out of memory (std::bad_alloc)";
    } catch (const std::system_error& e) {
        r.reduced = std::string(e.what()) + ": " + exhausted_limit(r.stack);
    }
    return i;
}

template <class Kit, class Start, class AllWaiting, class Join>
void pass_phases(run_result& r, monitor& watch, workload<Kit>& work, std::uint64_t count, Start&& start,
                 AllWaiting&& all_waiting, Join&& join)
{
    std::atomic<std::uint64_t> created{0};
    const auto follow = [&](const char* name, const milestone<Kit>& m)
    { watch.phase(name, r.created, [&m, others = count - r.created] { return m.passed() - others; }); };

    watch.phase("weigh the memory", count, [] { return 0; });
    const memory_sample before = settled_memory(&Kit::sleep_for);

    watch.phase(phase_name::create, count, [&] { return created.load(std::memory_order_relaxed); });
    phase_clock clock(r);
    r.created = create_tasks(r, watch, count, created, start);
    clock.mark(phase_name::create);

    work.started(r.created);
    follow(phase_name::gather, work.arrived);
    work.arrived.wait();
    all_waiting(r.created);
    clock.mark(phase_name::gather);

    watch.phase("weigh the memory", r.created, [&] { return r.created; });
    const memory_sample after = settled_memory(&Kit::sleep_for);
    const auto fall = [](std::uint64_t a, std::uint64_t b)
    { return static_cast<std::int64_t>(a) - static_cast<std::int64_t>(b); };
    r.memory = {fall(before.available, after.available), fall(after.pages, before.pages),
                fall(after.page_tables, before.page_tables), fall(after.kernel, before.kernel), after.mappings};

    clock.restart();
    follow(phase_name::exchange, work.exchanged);
    work.open_gate();
    work.exchanged.wait();
    clock.mark(phase_name::exchange);

    follow(phase_name::sleep, work.awake);
    work.awake.wait();
    clock.mark(phase_name::sleep);

    watch.phase(phase_name::finish, r.created, [&] { return r.created; });
    join();
    clock.mark(phase_name::finish);
    watch.phase("check", r.created, [&] { return r.created; });
    r.check = work.check();
    r.late = work.late();
}

/// `start(i)` starts task i, `all_waiting(n)` returns when n tasks wait at the gate (they have come close to it
/// already), `join()` when all tasks are gone. An exception ends the process: the tasks that wait would go on using
/// `work`.
template <class Kit, class Start, class AllWaiting, class Join>
void drive(run_result& r, monitor& watch, workload<Kit>& work, std::uint64_t count, Start&& start,
           AllWaiting&& all_waiting, Join&& join)
{
    try {
        pass_phases(r, watch, work, count, start, all_waiting, join);
    } catch (const std::exception& e) {
        abandon_child(text_of(e));
    }
}

}  // namespace million
