#include "monitor.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "child.hpp"
#include "meminfo.hpp"
#include "units.hpp"

namespace million {

namespace {

constexpr std::chrono::milliseconds period{100};
constexpr std::chrono::seconds line_period{5};  ///< where stderr is no terminal

constexpr const char* wipe_line = "\r\033[K";

}  // namespace

monitor::monitor(std::string kind, bool shown)
    : kind_(std::move(kind)),
      shown_(shown),
      terminal_(isatty(STDERR_FILENO) == 1),
      reserve_(memory_reserve()),
      thread_([this] { loop(); })
{
}

monitor::~monitor()
{
    {
        const std::lock_guard hold(guard_);
        end_ = true;
    }
    ended_.notify_one();
    thread_.join();
    if (shown_ && terminal_)
        fmt::print(stderr, "{}", wipe_line);
}

void monitor::phase(std::string name, std::uint64_t total, std::function<std::uint64_t()> done)
{
    const std::lock_guard hold(guard_);
    name_ = std::move(name);
    total_ = total;
    done_ = std::move(done);
    phase_began_ = clock::now();
    line_printed_ = phase_began_;
    if (shown_ && !terminal_)
        fmt::print(stderr, "{}: {} ...\n", kind_, name_);
}

void monitor::loop()
{
    std::unique_lock hold(guard_);
    while (!ended_.wait_for(hold, period, [this] { return end_; })) {
        const std::uint64_t left = memory_left();
        watch_memory(left);
        if (shown_ && done_)
            show(left);
    }
}

void monitor::watch_memory(std::uint64_t left)
{
    if (left < reserve_)
        low_memory_.store(true, std::memory_order_relaxed);
    if (left < reserve_ / 4)
        abandon_child(
            fmt::format("stopped while \"{}\" went on: only {} of memory were left", name_, bytes_text(left)));
}

void monitor::show(std::uint64_t left)
{
    const clock::time_point now = clock::now();
    const double seconds = std::chrono::duration<double>(now - phase_began_).count();
    const std::string line = fmt::format("{}: {}  {} / {}  {:.1f} s, {} of memory left", kind_, name_, grouped(done_()),
                                         grouped(total_), seconds, bytes_text(left));
    if (terminal_) {
        fmt::print(stderr, "{}{}", wipe_line, line);
        std::fflush(stderr);
    } else if (now - line_printed_ >= line_period) {
        fmt::print(stderr, "{}\n", line);
        line_printed_ = now;
    }
}

}  // namespace million
