#include "cgroup.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>

#include "files.hpp"

namespace million {

namespace {

namespace fs = std::filesystem;

struct mount {
    fs::path at;    ///< where the hierarchy is mounted
    fs::path root;  ///< which of its directories is mounted there
};

bool in_list(const std::string& list, const std::string& item)
{
    std::istringstream words(list);
    for (std::string word; std::getline(words, word, ',');)
        if (word == item)
            return true;
    return false;
}

/// Where the hierarchy of `controller` is mounted; "" means version 2's.
std::optional<mount> find_mount(const std::string& controller)
{
    std::istringstream lines(read_file("/proc/self/mountinfo"));
    for (std::string line; std::getline(lines, line);) {
        // id parent device root mount-point options [tags...] - type source super-options
        std::istringstream words(line);
        std::string skip, root, at, type, source, options;
        words >> skip >> skip >> skip >> root >> at;
        while (words >> skip && skip != "-") {
        }
        words >> type >> source >> options;
        const bool fits = controller.empty() ? type == "cgroup2" : type == "cgroup" && in_list(options, controller);
        if (fits)
            return mount{at, root};
    }
    return std::nullopt;
}

/// The group's path in the hierarchy of `controller`; "" means version 2's.
std::optional<fs::path> find_group(const std::string& controller)
{
    std::istringstream lines(read_file("/proc/self/cgroup"));
    for (std::string line; std::getline(lines, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos)
            continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const bool fits = controller.empty() ? controllers.empty() : in_list(controllers, controller);
        if (fits)
            return fs::path(line.substr(second + 1));
    }
    return std::nullopt;
}

/// The directories of this process' group and of its ancestors, as far as they are mounted.
std::vector<fs::path> group_directories(const std::string& controller)
{
    const auto mounted = find_mount(controller);
    const auto group = find_group(controller);
    if (!mounted || !group)
        return {};
    std::vector<fs::path> found;
    fs::path below = group->lexically_relative(mounted->root);
    if (below.empty() || *below.begin() == "..")
        below = ".";  // in a container: the mounted directory is all that can be seen of the path
    for (fs::path p = (mounted->at / below).lexically_normal();; p = p.parent_path()) {
        found.push_back(p);
        if (p == mounted->at || p == p.parent_path() || !p.string().starts_with(mounted->at.string()))
            break;
    }
    return found;
}

/// Version 1 has no word for "no limit": it shows the largest multiple of a page.
constexpr std::uint64_t unlimited = std::uint64_t{1} << 60;

struct names {
    const char* controller;
    const char* limit;
    const char* used;
    const char* droppable;  ///< key in memory.stat, or null
};

void collect(const names& n, std::vector<group_limit>& found)
{
    for (const fs::path& dir : group_directories(n.controller)) {
        const auto value = read_number(dir / n.limit);
        const auto used = read_number(dir / n.used);
        if (!value || !used || *value >= unlimited)
            continue;
        std::uint64_t droppable = 0;
        if (n.droppable != nullptr)
            droppable = number_after(read_file(dir / "memory.stat"), n.droppable).value_or(0);
        found.push_back({(dir / n.limit).string(), *value, *used - std::min(*used, droppable)});
    }
}

}  // namespace

std::vector<group_limit> pids_limits()
{
    std::vector<group_limit> found;
    collect({"", "pids.max", "pids.current", nullptr}, found);
    collect({"pids", "pids.max", "pids.current", nullptr}, found);
    return found;
}

std::vector<group_limit> memory_limits()
{
    std::vector<group_limit> found;
    collect({"", "memory.max", "memory.current", "inactive_file "}, found);
    collect({"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "}, found);
    return found;
}

}  // namespace million
