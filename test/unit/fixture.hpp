// The fixture of the unit tests: a test leaves nothing behind. Goroutines, timers, stacks and file descriptors are
// counted before and after each one.
#pragma once

#include <dirent.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../support/observe.hpp"
#include "../support/scale.hpp"
#include "weft/weft.hpp"

namespace weft::test {

/// The process's open files as "number -> target", sorted.
inline std::vector<std::string> open_files()
{
    std::vector<std::string> files;
    DIR* const dir = ::opendir("/proc/self/fd");
    if (dir == nullptr)
        return files;
    const std::string own = std::to_string(::dirfd(dir));
    while (const dirent* const entry = ::readdir(dir)) {
        const std::string name = entry->d_name;
        if (name == "." || name == ".." || name == own)
            continue;
        std::array<char, PATH_MAX> target{};
        const ssize_t n = ::readlink(("/proc/self/fd/" + name).c_str(), target.data(), target.size());
        files.push_back(name + " -> " + std::string(target.data(), n > 0 ? static_cast<std::size_t>(n) : 0));
    }
    ::closedir(dir);
    std::sort(files.begin(), files.end());
    return files;
}

/// What a test must leave as it found it.
struct census {
    std::size_t goroutines = 0;
    std::uint64_t runnable = 0;
    std::uint64_t running = 0;
    std::uint64_t waiting = 0;
    std::uint64_t timers = 0;
    std::uint64_t stacks_in_use = 0;
    int procs = 0;
    int objects = 0;
    std::vector<std::string> files;

    friend bool operator==(const census&, const census&) = default;
    friend std::ostream& operator<<(std::ostream& os, const census& c)
    {
        os << "goroutines " << c.goroutines << ", runnable " << c.runnable << ", running " << c.running << ", waiting "
           << c.waiting << ", timers " << c.timers << ", stacks in use " << c.stacks_in_use << ", procs " << c.procs
           << ", counted objects " << c.objects << ", files";
        for (const std::string& f : c.files)
            os << " [" << f << "]";
        return os;
    }

    static census take()
    {
        const runtime_stats s = weft::stats();
        return {.goroutines = weft::num_goroutines(),
                .runnable = s.goroutines_runnable,
                .running = s.goroutines_running,
                .waiting = s.goroutines_waiting,
                .timers = s.timers,
                .stacks_in_use = s.stacks_in_use,
                .procs = weft::max_procs(),
                .objects = counted::alive,
                .files = open_files()};
    }
};

/// Starts the runtime and whatever it opens lazily, so that no test is charged for it.
class warm_up : public ::testing::Environment {
public:
    void SetUp() override
    {
        weft::run(
            []
            {
                auto f = weft::async([] { weft::sleep_for(std::chrono::milliseconds(1)); });
                f.get();
                // The poller, unless the deadline is over before anything waits.
                weft::io::pipe_ends p = weft::io::pipe();
                for (std::chrono::milliseconds wait(1); !polls(); wait *= 2) {
                    p.reader.set_read_deadline(wait);
                    std::error_code timed_out;
                    std::byte b{};
                    (void)p.reader.read({&b, 1}, timed_out);
                }
            });
        std::thread([] { weft::sleep_for(std::chrono::microseconds(1)); }).join();
        // The last of run()'s goroutine and of its stack comes after its return, and would be in the first census.
        (void)eventually([] { return weft::num_goroutines() == 0 && weft::stats().stacks_in_use == 0; });
    }

private:
    static bool polls()
    {
        const std::vector<std::string> files = open_files();
        return std::any_of(files.begin(), files.end(),
                           [](const std::string& f) { return f.ends_with("anon_inode:[eventpoll]"); });
    }
};
inline ::testing::Environment* const warmed_up = ::testing::AddGlobalTestEnvironment(new warm_up);

class fixture : public ::testing::Test {
protected:
    void SetUp() override
    {
        before_ = census::take();
        // A failed test before this one may have left goroutines that run on: it has been charged for them.
        if (::testing::UnitTest::GetInstance()->Failed())
            return;
        // A goroutine whose end has already been seen is counted for some instructions more, and the hibernator may
        // have a file of /proc open for a moment.
        EXPECT_TRUE(spin_until(
            [this]
            {
                const census last = std::exchange(before_, census::take());
                return before_.running == 0 && before_ == last;
            }));
    }
    void TearDown() override
    {
        census after;
        (void)spin_until(
            [&]
            {
                after = census::take();
                return after == before_;
            });
        EXPECT_EQ(after, before_) << "the test left something behind";
    }

private:
    census before_;
};

}  // namespace weft::test

/// A test whose body is the main goroutine of weft::run().
#define WEFT_TEST(suite, name)                               \
    static void suite##_##name##_goroutine();                \
    TEST_F(suite, name)                                      \
    {                                                        \
        EXPECT_EQ(weft::run(suite##_##name##_goroutine), 0); \
    }                                                        \
    static void suite##_##name##_goroutine()
