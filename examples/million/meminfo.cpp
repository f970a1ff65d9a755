#include "meminfo.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "cgroup.hpp"
#include "files.hpp"
#include "units.hpp"

namespace million {

namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;
constexpr std::uint64_t gib = 1024 * mib;
constexpr std::uint64_t endless = std::numeric_limits<std::uint64_t>::max();

std::uint64_t own_limit = 0;  // bytes; 0: none

/// The limits of the control groups, and limit_memory().
std::vector<group_limit> all_limits()
{
    std::vector<group_limit> limits = memory_limits();
    if (own_limit != 0) {
        const std::string status = read_file("/proc/self/status");
        const auto used = [&](std::string_view key) { return number_after(status, key).value_or(0) * kib; };
        limits.push_back({"--memory", own_limit, used("VmRSS:") + used("VmPTE:")});
    }
    return limits;
}

/// `a - b`, or 0.
std::uint64_t less(std::uint64_t a, std::uint64_t b)
{
    return a - std::min(a, b);
}

std::uint64_t meminfo(std::string_view key)
{
    return number_after(read_file("/proc/meminfo"), key).value_or(0) * kib;
}

}  // namespace

std::uint64_t pages_of_cpu_lists(std::string_view zoneinfo)
{
    // Each CPU of each zone has a line `count: N` among its pagesets.
    constexpr std::string_view key = " count:";
    std::uint64_t sum = 0;
    for (std::size_t at = zoneinfo.find(key); at != std::string_view::npos; at = zoneinfo.find(key, at + 1))
        sum += number_after(zoneinfo.substr(at), key).value_or(0);
    return sum;
}

std::uint64_t free_memory()
{
    const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    return meminfo("MemAvailable:") + pages_of_cpu_lists(read_file("/proc/zoneinfo")) * page;
}

memory_sample sample_memory()
{
    memory_sample s;
    const std::string machine = read_file("/proc/meminfo");
    s.available = free_memory();
    s.kernel = (number_after(machine, "KernelStack:").value_or(0) + number_after(machine, "Slab:").value_or(0)) * kib;
    const std::string status = read_file("/proc/self/status");
    s.pages = number_after(status, "VmRSS:").value_or(0) * kib;
    s.page_tables = number_after(status, "VmPTE:").value_or(0) * kib;
    s.mappings = count_lines("/proc/self/maps");
    return s;
}

memory_sample settled_memory(void (*sleep)(std::chrono::milliseconds))
{
    constexpr std::uint64_t still = mib / 2;
    constexpr int tries = 20;
    std::uint64_t before = free_memory();
    for (int i = 0; i < tries; ++i) {
        sleep(std::chrono::milliseconds(50));
        const std::uint64_t now = free_memory();
        if (std::max(now, before) - std::min(now, before) < still)
            break;
        before = now;
    }
    return sample_memory();
}

std::uint64_t total_memory()
{
    return meminfo("MemTotal:");
}

void limit_memory(std::uint64_t bytes)
{
    own_limit = bytes;
}

std::uint64_t memory_reserve()
{
    std::uint64_t total = total_memory();
    for (const group_limit& g : all_limits())
        total = std::min(total, g.value);
    return std::clamp(total / 10, 64 * mib, gib);
}

std::uint64_t memory_of_wave()
{
    return memory_reserve() / 8;
}

std::uint64_t memory_for_waves()
{
    return memory_reserve() / 8 * 9 + memory_of_wave();
}

std::uint64_t memory_left()
{
    std::uint64_t least = free_memory();
    for (const group_limit& g : all_limits())
        least = std::min(least, less(g.value, g.used));
    return least;
}

room memory_room()
{
    const std::uint64_t reserve = memory_reserve();
    std::uint64_t least = free_memory();
    std::string limit = "free memory is ";
    for (const group_limit& g : all_limits()) {
        if (less(g.value, g.used) >= least)
            continue;
        least = less(g.value, g.used);
        limit = g.file + " leaves ";
    }
    return {less(least, reserve), "memory", least,
            limit + bytes_text(least) + ", " + bytes_text(reserve) + " of it kept in reserve"};
}

room address_room()
{
    room least{endless, "", endless, ""};
    const auto take = [&](std::uint64_t limit, std::uint64_t used, const std::string& name, const std::string& what)
    {
        const std::uint64_t left = less(limit, used) / 4 * 3;
        if (left < least.bytes)
            least = {left, name, limit, what + " is " + bytes_text(limit)};
    };
    rlimit address{};
    if (getrlimit(RLIMIT_AS, &address) == 0 && address.rlim_cur != RLIM_INFINITY)
        take(address.rlim_cur, number_after(read_file("/proc/self/status"), "VmSize:").value_or(0) * kib, "ulimit -v",
             "the limit of the address space (ulimit -v)");
    constexpr std::uint64_t strict = 2;
    if (read_number("/proc/sys/vm/overcommit_memory") == strict)
        take(meminfo("CommitLimit:"), meminfo("Committed_AS:"), "CommitLimit",
             "CommitLimit (vm.overcommit_memory = 2)");
    return least;
}

}  // namespace million
