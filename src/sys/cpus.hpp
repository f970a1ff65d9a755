// How many CPUs this process may use: the affinity mask and the CPU bandwidth of its control groups, whichever is less.
// And how many threads, and how much memory is left.
#pragma once

#include <cstdint>

namespace weft::sys {

struct cpu_limits {
    int affinity;  ///< CPUs in the affinity mask of the calling thread, at least 1
    double quota;  ///< CPUs' worth of time per period, the least over all enclosing control groups; +inf when unlimited
    int cpus;      ///< what to use: max(1, min(affinity, ceil(quota)))
};

/// CPUs in the calling thread's affinity mask, which the threads it creates inherit. Where the kernel refuses to say:
/// all there are.
[[nodiscard]] int cpus_in_mask();

/// Reads the limits as they are now. `root` is put in front of every path that is opened, so that a test can give a
/// tree of its own; the affinity is always the real one. What is missing, unreadable or malformed counts as no limit.
[[nodiscard]] cpu_limits read_cpu_limits(const char* root = "");

/// read_cpu_limits().cpus
[[nodiscard]] int usable_cpus();

/// How many threads this process may have: the least of ulimit -u (which does not bind root), its control groups'
/// pids.max and kernel.threads-max. What other processes use of it is not deducted. INT_MAX: nothing limits it. `root`:
/// as above.
[[nodiscard]] int thread_limit(const char* root = "");

/// Memory that can be had, in bytes: of the machine (MemAvailable) and of all enclosing control groups (memory.max,
/// memory.high, less what is used and not cache of files), whichever is less.
struct memory_room {
    std::uint64_t available;
    std::uint64_t total;  ///< of what `available` is a part: the machine's memory or a group's limit
    bool stalls;          ///< somebody has waited for memory for a tenth of the last ten seconds (PSI)
};
/// Reads it as it is now, some 100 us. Where nothing says how much there is: plenty. `root`: as above.
[[nodiscard]] memory_room read_memory_room(const char* root = "");

/// How many mappings a process may have (vm.max_map_count).
[[nodiscard]] std::uint64_t most_mappings();

}  // namespace weft::sys
