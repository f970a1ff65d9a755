#include "thread_limits.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "cgroup.hpp"
#include "files.hpp"
#include "meminfo.hpp"
#include "units.hpp"

namespace million {

namespace {

/// What a thread takes beside its stack's reservation: kernel stack (16 KiB), task_struct, touched stack pages, page
/// tables. Measured on Linux 6.18: 24 to 34 KiB.
constexpr std::uint64_t thread_memory = std::uint64_t{34} << 10;

/// A stack and its guard.
constexpr std::uint64_t mappings_a_thread = 2;

/// Process ids below this are not handed out again once the counter has wrapped (the kernel's RESERVED_PIDS).
constexpr std::uint64_t reserved_ids = 300;

std::uint64_t less(std::uint64_t a, std::uint64_t b)
{
    return a - std::min(a, b);
}

/// Threads in the whole system, from the fourth field of /proc/loadavg: "running/all".
std::uint64_t all_threads()
{
    const std::string text = read_file("/proc/loadavg");
    const std::size_t slash = text.find('/');
    return slash == std::string::npos ? 0 : leading_number(text.substr(slash + 1)).value_or(0);
}

/// Threads whose real user is ours.
std::uint64_t threads_of_user()
{
    std::uint64_t sum = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
        if (!leading_number(entry.path().filename().string()))
            continue;
        const std::string status = read_file(entry.path() / "status");
        if (number_after(status, "Uid:") == getuid())
            sum += number_after(status, "Threads:").value_or(0);
    }
    return sum;
}

/// The kernel asks for these capabilities, or for root, to go beyond RLIMIT_NPROC.
bool user_limit_applies()
{
    constexpr std::uint64_t cap_sys_admin = 21;
    constexpr std::uint64_t cap_sys_resource = 24;
    const std::string text = line_after(read_file("/proc/self/status"), "CapEff:");
    const std::uint64_t capabilities = text.empty() ? 0 : std::stoull(text, nullptr, 16);
    return getuid() != 0 && ((capabilities >> cap_sys_admin | capabilities >> cap_sys_resource) & 1) == 0;
}

void add_system_limits(std::vector<thread_limit>& found)
{
    const std::uint64_t all = all_threads();
    if (const auto max = read_number("/proc/sys/kernel/threads-max"))
        found.push_back({"kernel.threads-max", *max, false, less(*max, all), fmt::format("{} exist", grouped(all))});
    if (const auto max = read_number("/proc/sys/kernel/pid_max"))
        found.push_back({"kernel.pid_max", *max, false, less(*max, reserved_ids + all),
                         fmt::format("{} ids are reserved, {} threads exist", reserved_ids, grouped(all))});
}

void add_user_limit(std::vector<thread_limit>& found)
{
    rlimit processes{};
    if (!user_limit_applies() || getrlimit(RLIMIT_NPROC, &processes) != 0 || processes.rlim_cur == RLIM_INFINITY)
        return;
    const std::uint64_t ours = threads_of_user();
    found.push_back({"ulimit -u", processes.rlim_cur, false, less(processes.rlim_cur, ours),
                     fmt::format("this user has {} threads", grouped(ours))});
}

void add_memory_limits(std::uint64_t stack, std::vector<thread_limit>& found)
{
    if (const auto max = read_number("/proc/sys/vm/max_map_count")) {
        const std::uint64_t used = sample_memory().mappings;
        found.push_back({"vm.max_map_count", *max, false, less(*max, used) / mappings_a_thread,
                         fmt::format("{} mappings a thread, for stack and guard", mappings_a_thread)});
    }
    const room address = address_room();
    if (address.is_limited())
        found.push_back({address.limit, address.value, true, address.bytes / stack,
                         fmt::format("{}; {} of stack a thread", address.why, size_text(stack))});
    const room memory = memory_room();
    found.push_back({memory.limit, memory.value, true, memory.bytes / thread_memory,
                     fmt::format("{}; about {} a thread", memory.why, bytes_text(thread_memory))});
}

}  // namespace

std::string value_text(const thread_limit& l)
{
    return l.in_bytes ? bytes_text(l.value) : grouped(l.value);
}

std::vector<thread_limit> thread_limits(std::uint64_t stack)
{
    std::vector<thread_limit> found;
    add_system_limits(found);
    add_user_limit(found);
    for (const group_limit& g : pids_limits())
        found.push_back({g.file, g.value, false, less(g.value, g.used), fmt::format("{} are used", grouped(g.used))});
    add_memory_limits(stack, found);
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.room < b.room; });
    return found;
}

std::string exhausted_limit(std::uint64_t stack)
{
    // The counts are a moment old and some of them rough: room for a few is as good as none.
    constexpr std::uint64_t few = 256;
    const std::vector<thread_limit> limits = thread_limits(stack);
    if (limits.empty() || limits.front().room > few)
        return "none of the known limits is used up";
    const thread_limit& tightest = limits.front();
    return fmt::format("{} = {} is used up ({})", tightest.name, value_text(tightest), tightest.why);
}

}  // namespace million
