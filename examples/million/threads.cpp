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

class thread_side {
public:
    explicit thread_side(workload<thread_kit>& work, std::uint64_t most) : work_(work) { threads_.reserve(most); }

    void start(std::uint64_t i)
    {
        threads_.emplace_back([this, i] { work_.run_task(i); });
    }
    void all_waiting(std::uint64_t) {}
    void all_gone()
    {
        for (std::thread& t : threads_)
            t.join();
    }
    [[nodiscard]] static bool hibernates() { return false; }
    void hibernate_all() {}
    [[nodiscard]] static std::uint64_t hibernated() { return 0; }

private:
    workload<thread_kit>& work_;
    std::vector<std::thread> threads_;
};

}  // namespace

run_result run_threads(const run_request& request)
{
    run_result r;
    r.kind = "threads";
    r.asked = request.asked;
    r.stack = use_thread_stack(request.stack);
    r.note = fmt::format("{} stack", size_text(r.stack));

    workload<thread_kit> work(r.asked, one_wave(r.asked));
    thread_side side(work, r.asked);
    monitor watch(r.kind, request.progress);
    drive(r, watch, work, r.asked, side);
    return r;
}

}  // namespace million
