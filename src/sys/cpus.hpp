// How many CPUs this process may use: the affinity mask and the CPU bandwidth of its control groups, whichever is less.
// And how many threads.
#pragma once

namespace weft::sys {

struct cpu_limits {
    int affinity;  ///< CPUs in the affinity mask of the calling thread, at least 1
    double quota;  ///< CPUs' worth of time per period, the least over all enclosing control groups; +inf when unlimited
    int cpus;      ///< what to use: max(1, min(affinity, ceil(quota)))
};

/// Reads the limits as they are now. `root` is put in front of every path that is opened, so that a test can give a
/// tree of its own; the affinity is always the real one. What is missing, unreadable or malformed counts as no limit.
[[nodiscard]] cpu_limits read_cpu_limits(const char* root = "");

/// read_cpu_limits().cpus
[[nodiscard]] int usable_cpus();

/// How many threads this process may have: the least of ulimit -u (which does not bind root), its control groups'
/// pids.max and kernel.threads-max. What other processes use of it is not deducted. INT_MAX: nothing limits it. `root`:
/// as above.
[[nodiscard]] int thread_limit(const char* root = "");

}  // namespace weft::sys
