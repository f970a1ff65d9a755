// A plain thread beside a run: shows the progress on stderr and keeps an eye on the memory.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace million {

class monitor {
public:
    /// `kind`: of tasks, to show. `shown` false: no progress, only the watch over the memory.
    monitor(std::string kind, bool shown);
    /// Ends the thread and wipes the progress line.
    ~monitor();
    monitor(const monitor&) = delete;
    monitor& operator=(const monitor&) = delete;

    /// From now on `name` is shown, with `done()` of `total`; `done` is called by the monitor's thread until the next
    /// call of phase() or the monitor's end.
    void phase(std::string name, std::uint64_t total, std::function<std::uint64_t()> done);

    /// Whether the memory's reserve has been reached: start no more tasks. When three quarters of the reserve are gone
    /// too, the monitor ends the process by abandon_child().
    [[nodiscard]] bool low_memory() const { return low_memory_.load(std::memory_order_relaxed); }

private:
    using clock = std::chrono::steady_clock;

    void loop();
    void watch_memory(std::uint64_t left);
    void show(std::uint64_t left);

    const std::string kind_;
    const bool shown_;
    const bool terminal_;  ///< redraw one line, else print a line now and then
    const std::uint64_t reserve_;
    std::atomic<bool> low_memory_{false};

    std::mutex guard_;  ///< of all below
    std::condition_variable ended_;
    bool end_ = false;
    std::string name_;
    std::uint64_t total_ = 0;
    std::function<std::uint64_t()> done_;
    clock::time_point phase_began_;
    clock::time_point line_printed_;

    std::thread thread_;  ///< last: it uses all the others
};

}  // namespace million
