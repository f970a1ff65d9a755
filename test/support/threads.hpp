// Threads of this process as the kernel has them.
#pragma once

#include <dirent.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace weft::test {

/// Whether the thread with that kernel id sleeps: is in a system call that waits.
inline bool thread_sleeps(long id)
{
    std::ifstream file("/proc/self/task/" + std::to_string(id) + "/stat");
    std::string line;
    std::getline(file, line);
    const std::size_t name_ends = line.rfind(')');  // a name may have anything in it
    return name_ends != std::string::npos && line.compare(name_ends, 3, ") S") == 0;
}

/// The kernel id of the thread with that name. 0: there is none.
inline long thread_named(const std::string& name)
{
    long found = 0;
    DIR* const dir = ::opendir("/proc/self/task");
    if (dir == nullptr)
        return 0;
    while (const dirent* const entry = ::readdir(dir)) {
        std::ifstream file(std::string("/proc/self/task/") + entry->d_name + "/comm");
        std::string line;
        if (std::getline(file, line) && line == name)
            found = std::strtol(entry->d_name, nullptr, 10);
    }
    ::closedir(dir);
    return found;
}

/// How often it has gone to sleep.
inline long times_slept(long id)
{
    std::ifstream file("/proc/self/task/" + std::to_string(id) + "/status");
    const std::string wanted = "voluntary_ctxt_switches:";
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(wanted))
            return std::strtol(line.c_str() + wanted.size(), nullptr, 10);
    return -1;
}

}  // namespace weft::test
