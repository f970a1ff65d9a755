// Memory: what the machine has left, what this process uses, and how much may be taken.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace million {

/// What the tasks are weighed by. All in bytes.
struct memory_sample {
    std::uint64_t available = 0;    ///< free_memory(): falls by all that tasks cost, the kernel's part included
    std::uint64_t pages = 0;        ///< this process' resident pages
    std::uint64_t page_tables = 0;  ///< this process' page tables
    std::uint64_t kernel = 0;       ///< the kernel's stacks and slabs, for all processes
    std::uint64_t mappings = 0;     ///< lines in /proc/self/maps (a count)
};

[[nodiscard]] memory_sample sample_memory();

/// What MemAvailable says, and the free pages that the kernel keeps in a list of each CPU, which MemAvailable takes for
/// used: after a large program's end that can be more than a GiB.
[[nodiscard]] std::uint64_t free_memory();

/// The sum of those lists in pages, from the text of /proc/zoneinfo.
[[nodiscard]] std::uint64_t pages_of_cpu_lists(std::string_view zoneinfo);

/// As sample_memory(), once free_memory() has come to rest: what is given back is counted late. `sleep` is how the
/// caller waits meanwhile.
[[nodiscard]] memory_sample settled_memory(void (*sleep)(std::chrono::milliseconds));

[[nodiscard]] std::uint64_t total_memory();

/// From now on this process, and those that it forks, count `bytes` as all the memory that each of them has.
void limit_memory(std::uint64_t bytes);

/// What stays untouched, whatever is asked for: a tenth of the memory, between 64 MiB and 1 GiB.
[[nodiscard]] std::uint64_t memory_reserve();

/// What a wave of tasks takes at the most, so that the reserve is not reached before its cost is seen.
[[nodiscard]] std::uint64_t memory_of_wave();

/// What must be left before a wave is begun. The runtime calls memory short already when it is a little above that.
[[nodiscard]] std::uint64_t memory_for_waves();

/// Bytes that may be taken, and which limit says so.
struct room {
    std::uint64_t bytes = 0;
    std::string limit;        ///< its name
    std::uint64_t value = 0;  ///< the limit, bytes
    std::string why;          ///< in a clause

    [[nodiscard]] bool is_limited() const { return !limit.empty(); }
};

/// Memory that is left, the reserve included: the least of free_memory() and the control groups' limits.
[[nodiscard]] std::uint64_t memory_left();

/// Memory that can be used, the reserve taken off: the least of free_memory() and the control groups' limits.
[[nodiscard]] room memory_room();

/// Address space that can be used (ulimit -v and strict overcommit), a quarter of it left for all that is not a stack.
[[nodiscard]] room address_room();

}  // namespace million
