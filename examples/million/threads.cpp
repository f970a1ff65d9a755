// The run with OS threads.
#include <fmt/format.h>

#include <latch>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "default_stack.hpp"
#include "drive.hpp"
#include "runs.hpp"
#include "units.hpp"

namespace million {

namespace {

struct thread_kit {
    using clock = std::chrono::steady_clock;
    using mutex = std::mutex;
    using latch = std::latch;

    static void sleep_until(clock::time_point t) { std::this_thread::sleep_until(t); }
    static void sleep_for(std::chrono::milliseconds d) { std::this_thread::sleep_for(d); }
};

}  // namespace

run_result run_threads(const run_request& request)
{
    run_result r;
    r.kind = "threads";
    r.asked = request.asked;
    r.stack = use_thread_stack(request.stack);
    r.note = fmt::format("{} stack", size_text(r.stack));

    workload<thread_kit> work(r.asked);
    std::vector<std::thread> threads;
    threads.reserve(r.asked);
    monitor watch(r.kind, request.progress);
    drive(
        r, watch, work, r.asked, [&](std::uint64_t i) { threads.emplace_back([&work, i] { work.run_task(i); }); },
        [](std::uint64_t) {},
        [&]
        {
            for (std::thread& t : threads)
                t.join();
        });
    return r;
}

}  // namespace million
