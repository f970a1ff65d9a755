#include "machine.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/utsname.h>

#include <ctime>

#include "files.hpp"
#include "meminfo.hpp"

namespace million {

namespace {

std::string without(std::string text, std::string_view characters)
{
    std::erase_if(text, [&](char c) { return characters.find(c) != std::string_view::npos; });
    return text;
}

std::uint64_t usable_cpus()
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<std::uint64_t>(CPU_COUNT(&set)) : 0;
}

}  // namespace

machine this_machine()
{
    machine m;
    utsname name{};
    uname(&name);
    m.cpu = without(line_after(read_file("/proc/cpuinfo"), "model name"), ":");
    m.cpu.erase(0, m.cpu.find_first_not_of(' '));
    if (m.cpu.empty())
        m.cpu = name.machine;
    m.cpus = usable_cpus();
    m.memory = total_memory();
    m.kernel = fmt::format("{} {}", name.sysname, name.release);
    m.system = without(line_after(read_file("/etc/os-release"), "PRETTY_NAME="), "\"");
#ifdef __clang__
    m.compiler = fmt::format("Clang {}.{}", __clang_major__, __clang_minor__);
#else
    m.compiler = fmt::format("GCC {}.{}", __GNUC__, __GNUC_MINOR__);
#endif
    m.started = fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(std::time(nullptr)));
    return m;
}

}  // namespace million
