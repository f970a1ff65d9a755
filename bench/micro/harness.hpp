// What every benchmark program is made of: a table of named cases, `main`, time and memory.
//
// A program measures each selected case once and prints one line for it; tools/bench.py starts the programs of weft and
// of its peers in turn and takes medians over those runs. Nothing here depends on weft: bench/peers/threads shares it.
#pragma once

#include <fnmatch.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace bench {

struct settings {
    int procs = 1;
    std::chrono::nanoseconds min_time = std::chrono::milliseconds(300);
};

/// One figure of a result: `unit` is its JSON key.
struct metric {
    std::string_view unit;
    double value;
};

struct result {
    std::uint64_t ops = 0;
    std::vector<metric> metrics;
    std::string note;  ///< shown with the figures, for work that differs from what the name promises
};

struct named_case {
    std::string_view name;
    result (*run)(const settings&);
};

/// Calls its second argument in whatever surroundings the cases need, with `procs` as the limit of parallelism.
using surroundings = std::function<void(int procs, const std::function<void()>& body)>;

/// CPU time of the process so far.
[[nodiscard]] inline std::chrono::nanoseconds cpu_time()
{
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

struct elapsed {
    std::chrono::nanoseconds wall;
    std::chrono::nanoseconds cpu;  ///< of all threads together
};

template <class F>
elapsed time_of(F&& body)
{
    const auto start = std::chrono::steady_clock::now();
    const auto cpu_start = cpu_time();
    std::forward<F>(body)();
    return {.wall = std::chrono::steady_clock::now() - start, .cpu = cpu_time() - cpu_start};
}

[[nodiscard]] inline double per_op(std::chrono::nanoseconds took, std::uint64_t ops)
{
    return static_cast<double>(took.count()) / static_cast<double>(ops);
}

[[nodiscard]] inline double milliseconds(std::chrono::nanoseconds took)
{
    return per_op(took, 1'000'000);
}

/// Runs body(n) with growing n until one run lasts `min_time`. The shorter runs before it are the warm-up.
template <class F>
[[nodiscard]] result scaled(const settings& set, F&& body)
{
    std::uint64_t n = 1;
    for (;;) {
        const elapsed took = time_of([&] { body(n); });
        if (took.wall >= set.min_time)
            return {.ops = n,
                    .metrics = {{"ns_per_op", per_op(took.wall, n)}, {"cpu_ns_per_op", per_op(took.cpu, n)}},
                    .note = {}};
        const double missing = static_cast<double>(set.min_time.count()) / static_cast<double>(took.wall.count() + 1);
        n = static_cast<std::uint64_t>(static_cast<double>(n) * std::min(10.0, 1.2 * missing)) + 1;
    }
}

/// Times one run of body(), which does `ops` operations.
template <class F>
[[nodiscard]] result fixed(std::uint64_t ops, F&& body)
{
    const elapsed took = time_of(body);
    return {.ops = ops,
            .metrics = {{"ns_per_op", per_op(took.wall, ops)},
                        {"cpu_ns_per_op", per_op(took.cpu, ops)},
                        {"ms", milliseconds(took.wall)}},
            .note = {}};
}

/// Ends the benchmark when its work came out wrong.
inline void require(bool holds, const char* what)
{
    if (!holds)
        throw std::runtime_error(std::string("wrong result: ") + what);
}

/// A "Name:  123 kB" line of a file in /proc, in bytes.
[[nodiscard]] inline double proc_bytes(const char* file, std::string_view name)
{
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);)
        if (line.starts_with(name))
            return std::stod(line.substr(name.size() + 1)) * 1024;
    throw std::runtime_error(std::string(file) + " has no " + std::string(name));
}

/// What the machine has left and what the process holds, in bytes.
struct memory {
    double available = proc_bytes("/proc/meminfo", "MemAvailable");
    double resident = proc_bytes("/proc/self/status", "VmRSS");
    double page_tables = proc_bytes("/proc/self/status", "VmPTE");

    /// How much less the machine has available than at `before`: page tables and kernel objects included, and whatever
    /// other processes took meanwhile.
    [[nodiscard]] double taken_since(const memory& before) const { return before.available - available; }
    /// The growth of the process's pages and page tables alone.
    [[nodiscard]] double own_taken_since(const memory& before) const
    {
        return resident + page_tables - before.resident - before.page_tables;
    }
};

[[nodiscard]] inline double peak_resident()
{
    return proc_bytes("/proc/self/status", "VmHWM");
}

/// Sets the kernel's high-water mark of resident pages to what is resident now, which it returns.
inline double reset_peak_resident()
{
    std::ofstream("/proc/self/clear_refs") << "5" << std::flush;
    return peak_resident();
}

/// The number of mappings of this process.
[[nodiscard]] inline double maps_lines()
{
    std::ifstream in("/proc/self/maps");
    double lines = 0;
    for (std::string line; std::getline(in, line);)
        ++lines;
    return lines;
}

namespace detail {

struct command_line {
    settings set;
    bool json = false;
    bool list = false;
    std::vector<std::string> filters;
};

inline command_line parse(int argc, char** argv)
{
    command_line cl;
    for (int i = 1; i < argc; ++i) {
        const std::string arg = argv[i];
        const auto value = [&]
        {
            const std::string_view text = ++i < argc ? argv[i] : "nothing";
            int number = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
            if (error != std::errc() || end != text.data() + text.size() || number < 1)
                throw std::invalid_argument(arg + " needs a number of at least 1, not " + std::string(text));
            return number;
        };
        if (arg == "--procs")
            cl.set.procs = value();
        else if (arg == "--min-time-ms")
            cl.set.min_time = std::chrono::milliseconds(value());
        else if (arg == "--json")
            cl.json = true;
        else if (arg == "--list")
            cl.list = true;
        else if (arg.starts_with("-"))
            throw std::invalid_argument("unknown option " + arg +
                                        " (known: --procs N, --min-time-ms N, --json, --list, names or patterns)");
        else
            cl.filters.push_back(arg);
    }
    return cl;
}

/// A filter is a name, a shell pattern, or the part of names before a slash.
inline bool selected(std::string_view name, const std::vector<std::string>& filters)
{
    const std::string whole(name);
    return filters.empty() ||
           std::ranges::any_of(
               filters, [&](const std::string& filter)
               { return fnmatch(filter.c_str(), whole.c_str(), 0) == 0 || whole.starts_with(filter + "/"); });
}

inline std::string json_line(std::string_view name, int procs, const result& r)
{
    std::ostringstream out;
    out << R"({"name":")" << name << R"(","procs":)" << procs << R"(,"ops":)" << r.ops;
    for (const metric& m : r.metrics)
        out << ",\"" << m.unit << "\":" << m.value;
    if (!r.note.empty())
        out << R"(,"note":")" << r.note << '"';
    out << '}';
    return out.str();
}

inline std::string text_line(std::string_view name, int procs, const result& r)
{
    std::ostringstream out;
    out.width(28);
    out << std::left << name << " procs=" << procs << " ops=" << r.ops;
    for (const metric& m : r.metrics)
        out << "  " << m.unit << '=' << m.value;
    if (!r.note.empty())
        out << "  (" << r.note << ')';
    return out.str();
}

}  // namespace detail

/// The program's main: measures the cases that the command line selects, one line for each.
inline int main(int argc, char** argv, std::span<const named_case> cases, const surroundings& enter)
{
    try {
        const detail::command_line cl = detail::parse(argc, argv);
        bool any = false;
        for (const named_case& c : cases) {
            if (!detail::selected(c.name, cl.filters))
                continue;
            any = true;
            if (cl.list) {
                std::printf("%.*s\n", static_cast<int>(c.name.size()), c.name.data());
                continue;
            }
            result r;
            enter(cl.set.procs, [&] { r = c.run(cl.set); });
            const std::string line =
                cl.json ? detail::json_line(c.name, cl.set.procs, r) : detail::text_line(c.name, cl.set.procs, r);
            std::printf("%s\n", line.c_str());
            std::fflush(stdout);
        }
        if (!any)
            throw std::invalid_argument("no benchmark matches");
        return EXIT_SUCCESS;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s: %s\n", argv[0], e.what());
        return EXIT_FAILURE;
    }
}

}  // namespace bench
