// Limits of CPUs and threads, from sched_getaffinity(2), getrlimit(2) and control groups, versions 1 and 2.
//
// A quota, and a number of threads, binds everything below the group that has it, so the limit is the least over our
// group and all its ancestors. Two files are needed to find them:
//   /proc/self/cgroup     our group's path in each hierarchy, seen from the root of our cgroup namespace
//   /proc/self/mountinfo  where a hierarchy is mounted, and which of its groups is the root of that mount (the whole
//                         hierarchy, or, in a container, often just our own group)
// The directory of a group is: mount point + (path - root of the mount). We walk from it up to the mount point, in
// every mount of a fitting hierarchy whose root encloses our group: each group seen that way is ours or an ancestor, so
// taking the least of all is right however many mounts there are, and a hybrid set-up (version 1 controllers beside a
// version 2 tree without any) needs no case of its own.
//
// With cgroup namespaces a path or a root may start with "/..": it lies outside our namespace's root, and the names in
// between are not to be learnt. A mount rooted above us still encloses us, so the limit at its root applies, and those
// below stay unseen; a group of ours above or beside a mount's root is not in that mount at all.
#include "sys/cpus.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace weft::sys {
namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

/// The whole file, or empty when it cannot be read.
std::string read_file(const std::string& path)
{
    struct descriptor {
        int fd;
        ~descriptor()
        {
            if (fd >= 0)
                ::close(fd);
        }
    };
    std::string text;
    int fd;
    do
        fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    const descriptor file{fd};
    if (file.fd < 0)
        return text;
    // Files of proc have no size to go by, and one read may return less than all.
    constexpr std::size_t chunk = 4096;
    std::size_t used = 0;
    for (;;) {
        text.resize(used + chunk);
        const ssize_t n = ::read(file.fd, text.data() + used, chunk);
        if (n > 0) {
            used += static_cast<std::size_t>(n);
        } else if (n == 0 || errno != EINTR) {
            text.resize(n == 0 ? used : 0);
            return text;
        }
    }
}

/// Cuts the text up to the next `separator` off the front of `rest`, and the separator with it.
std::string_view cut(std::string_view& rest, char separator)
{
    const std::size_t at = rest.find(separator);
    const std::string_view head = rest.substr(0, at);
    rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
    return head;
}

/// Whether `word` is one of the items of `list`.
bool listed(std::string_view list, std::string_view word)
{
    while (!list.empty())
        if (cut(list, ',') == word)
            return true;
    return false;
}

/// A field of mountinfo, in which blanks and backslashes stand as a backslash and three octal digits.
std::string unescape(std::string_view field)
{
    std::string plain;
    plain.reserve(field.size());
    const auto octal = [](char c) { return c >= '0' && c <= '7'; };
    for (std::size_t i = 0; i < field.size(); ++i) {
        if (field[i] == '\\' && field.size() - i > 3 && field[i + 1] >= '0' && field[i + 1] <= '3' &&
            octal(field[i + 2]) && octal(field[i + 3])) {
            plain += static_cast<char>((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0'));
            i += 3;
        } else {
            plain += field[i];
        }
    }
    return plain;
}

std::vector<std::string_view> components(std::string_view path)
{
    std::vector<std::string_view> parts;
    while (!path.empty())
        if (const std::string_view part = cut(path, '/'); !part.empty())
            parts.push_back(part);
    return parts;
}

/// A whole decimal number; false for anything else, such as "max", "-1" or what does not fit.
bool number(std::string_view text, std::uint64_t& value)
{
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, value);
    return error == std::errc{} && stopped == end && !text.empty();
}

double ratio(std::string_view quota, std::string_view period)
{
    std::uint64_t time = 0;
    std::uint64_t every = 0;
    if (!number(quota, time) || !number(period, every) || time == 0 || every == 0)
        return unlimited;
    return static_cast<double>(time) / static_cast<double>(every);
}

std::string_view trimmed(std::string_view text)
{
    while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
        text.remove_suffix(1);
    return text;
}

/// The quota of one group of version 2: "QUOTA PERIOD" in microseconds, QUOTA may be "max".
double quota_v2(const std::string& directory)
{
    const std::string text = read_file(directory + "/cpu.max");
    std::string_view rest = trimmed(text);
    const std::string_view quota = cut(rest, ' ');
    return ratio(quota, rest);
}

/// The quota of one group of version 1: a file each, in microseconds, -1 for none.
double quota_v1(const std::string& directory)
{
    const std::string quota = read_file(directory + "/cpu.cfs_quota_us");
    const std::string period = read_file(directory + "/cpu.cfs_period_us");
    return ratio(trimmed(quota), trimmed(period));
}

/// The most threads in a group of either version: a number, or "max".
double threads_of(const std::string& directory)
{
    const std::string text = read_file(directory + "/pids.max");
    std::uint64_t most = 0;
    return number(trimmed(text), most) ? static_cast<double>(most) : unlimited;
}

/// The number behind `key` in a text of lines "KEY NUMBER", with blanks between; false: there is none.
bool number_of(std::string_view text, std::string_view key, std::uint64_t& value)
{
    while (!text.empty()) {
        std::string_view line = cut(text, '\n');
        if (!line.starts_with(key))
            continue;
        line.remove_prefix(key.size());
        while (line.starts_with(' '))
            line.remove_prefix(1);
        return number(cut(line, ' '), value);
    }
    return false;
}

double bytes_in(const std::string& path)
{
    const std::string text = read_file(path);
    std::uint64_t bytes = 0;
    return number(trimmed(text), bytes) ? static_cast<double>(bytes) : unlimited;
}

/// A group's limit of memory. Version 2: reclaim begins at memory.high, and memory.max is the end.
double memory_limit_v2(const std::string& directory)
{
    return std::min(bytes_in(directory + "/memory.high"), bytes_in(directory + "/memory.max"));
}
double memory_limit_v1(const std::string& directory)
{
    return bytes_in(directory + "/memory.limit_in_bytes");
}

/// What is left below `limit` when `used` bytes are; of those, cache of files that nobody uses comes back.
double memory_left(double limit, double used, const std::string& directory, std::string_view cache)
{
    if (limit == unlimited || used == unlimited)
        return unlimited;
    const std::string details = read_file(directory + "/memory.stat");
    std::uint64_t inactive = 0;
    (void)number_of(details, cache, inactive);
    return std::max(0.0, limit - used + static_cast<double>(inactive));
}
double memory_left_v2(const std::string& directory)
{
    return memory_left(memory_limit_v2(directory), bytes_in(directory + "/memory.current"), directory,
                       "inactive_file ");
}
double memory_left_v1(const std::string& directory)
{
    return memory_left(memory_limit_v1(directory), bytes_in(directory + "/memory.usage_in_bytes"), directory,
                       "total_inactive_file ");
}

/// The least quota over the groups that the mount at `mount_point`, rooted at the group `mount_root`, shows of those
/// that enclose the group `path`.
double quota_in_mount(std::string directory, std::string_view mount_root, std::string_view path,
                      double (*quota_of)(const std::string&))
{
    const std::vector<std::string_view> root = components(mount_root);
    const std::vector<std::string_view> group = components(path);
    const auto [root_rest, group_rest] = std::mismatch(root.begin(), root.end(), group.begin(), group.end());
    const bool above = std::all_of(root_rest, root.end(), [](std::string_view part) { return part == ".."; });
    const bool outside = group_rest != group.end() && *group_rest == "..";
    if (!above || (outside && root_rest == root.end()))
        return unlimited;

    double least = quota_of(directory);
    if (root_rest == root.end()) {
        for (auto part = group_rest; part != group.end(); ++part) {
            directory += '/';
            directory += *part;
            least = std::min(least, quota_of(directory));
        }
    }
    return least;
}

/// Our group in each hierarchy that has the controller; empty where there is none.
struct own_groups {
    std::string_view v1;
    std::string_view v2;
};

/// `text` is that of /proc/self/cgroup: lines of "ID:CONTROLLERS:PATH", for version 2 "0::PATH". A path may have
/// colons.
own_groups find_groups(std::string_view text, std::string_view controller)
{
    own_groups groups;
    while (!text.empty()) {
        std::string_view line = cut(text, '\n');
        const std::string_view id = cut(line, ':');
        const std::string_view controllers = cut(line, ':');
        if (!line.starts_with('/'))
            continue;
        if (id == "0" && controllers.empty())
            groups.v2 = line;
        else if (listed(controllers, controller))
            groups.v1 = line;
    }
    return groups;
}

/// What limits `controller`, as read from the directory of a group of version 1 or 2; the least over all of ours.
double least_of_groups(const std::string& prefix, std::string_view controller, double (*v1_of)(const std::string&),
                       double (*v2_of)(const std::string&))
{
    const std::string cgroup = read_file(prefix + "/proc/self/cgroup");
    const own_groups groups = find_groups(cgroup, controller);
    const std::string mounts = read_file(prefix + "/proc/self/mountinfo");

    double least = unlimited;
    std::string_view rest = mounts;
    while (!rest.empty()) {
        // ID PARENT MAJOR:MINOR ROOT MOUNT_POINT OPTIONS [OPTIONAL...] - TYPE SOURCE SUPER_OPTIONS
        std::string_view line = cut(rest, '\n');
        for (int skipped = 0; skipped < 3; ++skipped)
            cut(line, ' ');
        const std::string_view root = cut(line, ' ');
        const std::string_view mount_point = cut(line, ' ');
        cut(line, ' ');
        while (!line.empty() && cut(line, ' ') != "-") {
        }
        const std::string_view type = cut(line, ' ');
        cut(line, ' ');
        const std::string_view super_options = line;

        const bool v2 = type == "cgroup2" && !groups.v2.empty();
        const bool v1 = type == "cgroup" && listed(super_options, controller) && !groups.v1.empty();
        if (!v1 && !v2)
            continue;
        const std::string directory = prefix + unescape(mount_point);
        const double quota = v2 ? quota_in_mount(directory, unescape(root), groups.v2, v2_of)
                                : quota_in_mount(directory, unescape(root), groups.v1, v1_of);
        least = std::min(least, quota);
    }
    return least;
}

}  // namespace

int cpus_in_mask()
{
    // EINVAL means that the kernel's mask is longer than ours. It has at most 8,192 bits today; the end is for sanity.
    constexpr std::size_t most_bits = std::size_t{1} << 20;
    constexpr std::size_t word_bits = 8 * sizeof(cpu_set_t);
    for (std::size_t bits = word_bits; bits <= most_bits; bits *= 2) {
        std::vector<cpu_set_t> mask(bits / word_bits);
        const std::size_t bytes = mask.size() * sizeof(cpu_set_t);
        if (::sched_getaffinity(0, bytes, mask.data()) == 0)
            return std::max(1, CPU_COUNT_S(bytes, mask.data()));
        if (errno != EINVAL)
            break;
    }
    const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
    return static_cast<int>(std::clamp(online, 1L, static_cast<long>(std::numeric_limits<int>::max())));
}

cpu_limits read_cpu_limits(const char* root)
{
    cpu_limits limits{cpus_in_mask(), least_of_groups(root, "cpu", &quota_v1, &quota_v2), 0};
    // Compared as doubles: a quota may be infinite or beyond int, the affinity is neither.
    const double least = std::min(static_cast<double>(limits.affinity), std::ceil(limits.quota));
    limits.cpus = std::max(1, static_cast<int>(least));
    return limits;
}

int usable_cpus()
{
    return read_cpu_limits().cpus;
}

int thread_limit(const char* root)
{
    double least = least_of_groups(root, "pids", &threads_of, &threads_of);
    const std::string in_system = read_file(std::string(root) + "/proc/sys/kernel/threads-max");
    if (std::uint64_t most = 0; number(trimmed(in_system), most))
        least = std::min(least, static_cast<double>(most));
    rlimit of_user{};
    if (::geteuid() != 0 && ::getrlimit(RLIMIT_NPROC, &of_user) == 0 && of_user.rlim_cur != RLIM_INFINITY)
        least = std::min(least, static_cast<double>(of_user.rlim_cur));
    return static_cast<int>(std::clamp(least, 1.0, static_cast<double>(std::numeric_limits<int>::max())));
}

memory_room read_memory_room(const char* root)
{
    constexpr double kib = 1024;
    const std::string machine = read_file(std::string(root) + "/proc/meminfo");
    std::uint64_t total = 0;
    std::uint64_t available = 0;
    const bool known = number_of(machine, "MemTotal:", total) && number_of(machine, "MemAvailable:", available);
    const double most = static_cast<double>(std::numeric_limits<std::int64_t>::max());
    const double all = std::min({most, known ? static_cast<double>(total) * kib : unlimited,
                                 least_of_groups(root, "memory", &memory_limit_v1, &memory_limit_v2)});
    const double left = std::min({all, known ? static_cast<double>(available) * kib : unlimited,
                                  least_of_groups(root, "memory", &memory_left_v1, &memory_left_v2)});
    // some avg10=0.00 avg60=0.00 avg300=0.00 total=0
    const std::string pressure = read_file(std::string(root) + "/proc/pressure/memory");
    constexpr std::string_view key = "some avg10=";
    double stalled = 0;
    if (pressure.starts_with(key))
        (void)std::from_chars(pressure.data() + key.size(), pressure.data() + pressure.size(), stalled);
    constexpr double too_much = 10;  // per cent
    return {static_cast<std::uint64_t>(left), static_cast<std::uint64_t>(all), stalled >= too_much};
}

std::uint64_t most_mappings()
{
    const double most = bytes_in("/proc/sys/vm/max_map_count");
    constexpr std::uint64_t usual = 65'530;
    return most == unlimited ? usual : static_cast<std::uint64_t>(most);
}

}  // namespace weft::sys
