// What docs/guide/debugging.md shows: a dump of a program that is stuck.
#include <chrono>
#include <cstdio>
#include <string>

#include "weft/debug.hpp"
#include "weft/weft.hpp"

using namespace std::chrono_literals;

namespace {

// [program]
void work_on(weft::chan<int> jobs)
{
    for (int job : jobs)
        std::printf("did %d\n", job);
}

std::string look_at_a_program_that_is_stuck()
{
    weft::chan<int> jobs;
    static weft::mutex config;
    config.lock();
    for (int i = 0; i < 100; ++i)
        weft::go([jobs] { work_on(jobs); });
    weft::go(weft::attr{.name = "reload"}, [] { config.lock(); });
    weft::sleep_for(100ms);
    std::string dump = weft::debug::dump_string();
    config.unlock();
    jobs.close();
    return dump;
}
// [/program]

bool says(const std::string& dump, const char* what)
{
    return dump.find(what) != std::string::npos;
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            const std::string dump = look_at_a_program_that_is_stuck();
            std::fputs(dump.c_str(), stderr);
            const bool complete = says(dump, "100 goroutines: waiting: channel receive") &&
                                  says(dump, "[reload]: waiting: mutex") && says(dump, "[main]: running");
            std::puts(complete ? "everybody is in the dump" : "somebody is missing");
            return complete ? 0 : 1;
        });
}

// Output:
// everybody is in the dump
