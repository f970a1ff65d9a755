// What a run yields; goes from the child process that measured it to its parent, and into the JSON file.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "machine.hpp"
#include "thread_limits.hpp"

namespace million {

struct phase {
    std::string name;
    double seconds = 0;
    double cpu_seconds = 0;  ///< of all threads, the kernel's time for them included
};

/// What all tasks together cost while all of them wait, in bytes.
struct memory_cost {
    std::int64_t available = 0;    ///< fall of free_memory()
    std::int64_t pages = 0;        ///< of it, this process' resident pages
    std::int64_t page_tables = 0;  ///< of it, this process' page tables
    std::int64_t kernel = 0;       ///< of it, stacks and slabs of the kernel
    std::uint64_t mappings = 0;    ///< lines in /proc/self/maps (a count)

    /// Whether this was weighed.
    [[nodiscard]] bool weighed() const { return mappings != 0; }
    /// What can be told apart: about `available`, unless other programs took or gave back memory meanwhile.
    [[nodiscard]] std::int64_t known() const { return pages + page_tables + kernel; }
    [[nodiscard]] bool disturbed() const
    {
        constexpr std::int64_t noise = std::int64_t{4} << 20;
        return std::abs(available - known()) > known() / 8 + noise;
    }
};

/// What all tasks together cost once the runtime has packed the stacks of those that wait.
struct hibernation_cost {
    std::uint64_t tasks = 0;  ///< whose stacks were away; 0: there is nothing of this
    std::string off;          ///< why, where a runtime that could do it did not
    memory_cost memory;
};

/// How late the sleepers woke, in seconds.
struct lateness {
    double p50 = 0;
    double p99 = 0;
    double max = 0;
};

/// Whether every task received its partner's value, once.
struct verdict {
    std::uint64_t sum = 0;       ///< of all values received, modulo 2^64
    std::uint64_t expected = 0;  ///< of all values given
    std::uint64_t lost = 0;      ///< tasks that never finished
    std::uint64_t doubled = 0;   ///< tasks that ran more than once
    std::uint64_t wrong = 0;     ///< tasks that received something else than their partner's value
    std::uint64_t early = 0;     ///< sleepers that woke before their time
    [[nodiscard]] bool good() const { return sum == expected && lost == 0 && doubled == 0 && wrong == 0 && early == 0; }
};

/// The small costs, in seconds.
struct unit_costs {
    double yield = 0;        ///< one switch between two tasks that yield in turn on one CPU
    double handover = 0;     ///< one switch between two tasks that wake each other and block in turn on one CPU
    double spawn_one = 0;    ///< start one task and wait for its end
    double spawn_batch = 0;  ///< a task's share of starting 1,000 and waiting for all
};

struct run_result {
    std::string kind;     ///< of tasks
    std::string note;     ///< how they were set up
    std::string error;    ///< why there is no result; all that follows is then empty
    std::string reduced;  ///< why fewer than `asked` were created, empty otherwise
    std::uint64_t asked = 0;
    std::uint64_t created = 0;
    std::uint64_t stack = 0;  ///< address space of a task's stack, bytes
    /// Tasks that were created, and let go again, at a time, as not all of them fit into memory unless hibernated; 0:
    /// all at once.
    std::uint64_t wave = 0;
    std::vector<phase> phases;
    memory_cost memory;  ///< none (no mappings) where `wave` says that they never all were in memory
    hibernation_cost hibernated;
    lateness late;
    verdict check;
    unit_costs costs;
    std::map<std::string, std::uint64_t> stats;  ///< weft::stats() with all tasks waiting

    [[nodiscard]] bool has_result() const { return error.empty(); }
    [[nodiscard]] bool good() const { return error.empty() && check.good(); }
    /// Of the named phase, 0 when there is none.
    [[nodiscard]] double seconds(const std::string& name) const;
    [[nodiscard]] double total_seconds() const;
    [[nodiscard]] double total_cpu_seconds() const;
    [[nodiscard]] double per_task(double whole) const
    {
        return created == 0 ? 0 : whole / static_cast<double>(created);
    }
};

struct report {
    machine where;
    std::string command;
    run_result goroutines;
    run_result threads;        ///< default stack size; kind empty when threads were not asked for
    run_result small_threads;  ///< small stacks
    std::vector<thread_limit> limits;
};

/// Names of the phases, in order. Threads don't hibernate.
namespace phase_name {
inline constexpr const char* create = "create";
inline constexpr const char* gather = "gather at the gate";
inline constexpr const char* hibernate = "hibernate";
inline constexpr const char* wake = "wake";
inline constexpr const char* exchange = "exchange";
inline constexpr const char* sleep = "sleep";
inline constexpr const char* finish = "finish";
}  // namespace phase_name

void to_json(nlohmann::json& j, const run_result& r);
void from_json(const nlohmann::json& j, run_result& r);
void to_json(nlohmann::json& j, const report& r);

}  // namespace million
