// A million goroutines, and as many threads as the machine allows, with the same work: what does each cost?
//
// Each measurement runs in a child process (child.hpp); this file says which and in which order. The work is in
// workload.hpp, its phases in drive.hpp; goroutines.cpp and threads.cpp are the two sides of the comparison.
#include <fmt/format.h>
#include <malloc.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>

#include "child.hpp"
#include "meminfo.hpp"
#include "options.hpp"
#include "report_writers.hpp"
#include "runs.hpp"

namespace {

using namespace million;

constexpr int exit_good = 0;
constexpr int exit_failed = 1;  ///< a run had no result, or a wrong one
constexpr int exit_usage = 2;

/// Threads are not made with less; the default is mostly 8 MiB.
constexpr std::uint64_t small_stack = std::uint64_t{64} << 10;

/// A file that is opened before the measurements, so that a bad path is known early.
struct output {
    std::string path;
    std::ofstream file;

    [[nodiscard]] bool wanted() const { return !path.empty(); }
    [[nodiscard]] bool open()
    {
        if (wanted())
            file.open(path);
        return report_errors();
    }
    [[nodiscard]] bool close()
    {
        if (wanted())
            file.close();
        return report_errors();
    }

private:
    [[nodiscard]] bool report_errors() const
    {
        if (!wanted() || file.good())
            return true;
        fmt::print(stderr, "million: can't write {}: {}\n", path, std::strerror(errno));
        return false;
    }
};

run_result measure(run_result (*run)(const run_request&), run_result (*costs)(const run_request&), const char* kind,
                   const run_request& request)
{
    if (request.progress)
        fmt::print(stderr, "{}: small costs ...\n", kind);
    const run_result small = run_in_child([&] { return costs(request); });
    run_result r = run_in_child([&] { return run(request); });
    r.kind = kind;
    r.asked = request.asked;
    r.costs = small.costs;
    if (r.error.empty())
        r.error = small.error;
    if (!r.error.empty())
        fmt::print(stderr, "million: no result for {}: {}\n", kind, r.error);
    return r;
}

report run_all(const settings& s)
{
    report r;
    r.where = this_machine();
    r.goroutines = measure(run_goroutines, goroutine_costs, "goroutines",
                           {.asked = s.goroutines, .procs = s.procs, .progress = s.progress});
    if (s.threads == 0)
        return r;
    r.threads = measure(run_threads, thread_costs, "threads", {.asked = s.threads, .progress = s.progress});
    r.small_threads = measure(run_threads, thread_costs, "threads",
                              {.asked = s.threads, .stack = small_stack, .progress = s.progress});
    r.limits = thread_limits(r.threads.stack);
    return r;
}

std::string command_line(int argc, char** argv)
{
    std::string line = "million";
    for (int i = 1; i < argc; ++i)
        line.append(" ").append(argv[i]);
    return line;
}

bool all_good(const report& r)
{
    const bool with_threads = !r.threads.kind.empty();
    return r.goroutines.good() && (!with_threads || (r.threads.good() && r.small_threads.good()));
}

int main_program(int argc, char** argv)
{
    settings s;
    switch (parse_options(argc, argv, s)) {
        case parsed::help:
            return exit_good;
        case parsed::error:
            return exit_usage;
        case parsed::run:
            break;
    }
    output json{s.json, {}};
    output html{s.html, {}};
    if (!json.open() || !html.open())
        return exit_usage;

    // malloc takes 64 MiB of addresses for each thread that has an arena of its own: more than the share that
    // address_room() leaves, once there are several.
    if (address_room().is_limited())
        mallopt(M_ARENA_MAX, 1);
    if (s.memory != 0)
        limit_memory(s.memory);
    report r = run_all(s);
    r.command = command_line(argc, argv);
    write_text(std::cout, r);
    if (json.wanted())
        write_json(json.file, r);
    if (html.wanted())
        write_html(html.file, r);
    const bool written = json.close() && html.close();
    return all_good(r) && written ? exit_good : exit_failed;
}

}  // namespace

int main(int argc, char** argv)
{
    try {
        return main_program(argc, argv);
    } catch (const std::exception& e) {
        fmt::print(stderr, "million: {}\n", e.what());
        return exit_failed;
    }
}
