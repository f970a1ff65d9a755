// Looking at the runtime from outside: which OS thread, errno, moving to another thread, waiting for a condition.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "weft/go.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"
#include "weft/time.hpp"

namespace weft::test {

/// The kernel's id of the calling thread. A real call each time: the compiler may keep what is derived from the
/// thread pointer over a park.
[[gnu::noinline]] inline long thread_id()
{
    return ::syscall(SYS_gettid);
}

/// errno through functions that are not inlined: __errno_location() is declared const, and a caller that parks between
/// two uses would go on with the address of the former thread's errno.
[[gnu::noinline]] inline int get_errno()
{
    const int value = errno;
    asm volatile("" ::: "memory");
    return value;
}
[[gnu::noinline]] inline void set_errno(int value)
{
    errno = value;
    asm volatile("" ::: "memory");
}

/// Waits until `holds()`; false when it does not come true in many tries (a minute and more). It bounds a hang, it does
/// not measure time. For goroutines and plain threads.
template <class Condition>
bool eventually(Condition&& holds)
{
    for (int i = 0; i < 1'000; ++i) {
        if (holds())
            return true;
        weft::yield();
    }
    for (int i = 0; i < 60'000; ++i) {
        if (holds())
            return true;
        weft::sleep_for(std::chrono::milliseconds(1));
    }
    return holds();
}

/// Spins, without a call of the runtime, until `holds()`; false after a minute.
template <class Condition>
bool spin_until(Condition&& holds)
{
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!holds()) {
        if (std::chrono::steady_clock::now() > give_up)
            return false;
        // On a machine with one core, or a loaded one, the other side needs the core.
        std::this_thread::yield();
    }
    return true;
}

/// Closed at first; wait() returns once it is open.
class gate {
public:
    gate() { closed_.add(1); }
    void open() { closed_.done(); }
    void wait() { closed_.wait(); }

private:
    weft::wait_group closed_;
};

/// Sets the number of Ps for a scope.
class procs {
public:
    explicit procs(int n) : before_(weft::max_procs(n)) {}
    ~procs() { weft::max_procs(before_); }
    procs(const procs&) = delete;
    procs& operator=(const procs&) = delete;

private:
    int before_;
};

/// Continues the calling goroutine on another OS thread; false when that does not come true, as with eventually().
/// Needs two Ps: another goroutine occupies the thread until this one has been stolen from it, or the other one is
/// stolen and there is another attempt.
[[gnu::noinline]] inline bool migrate()
{
    const long before = thread_id();
    const auto moved = [before]
    {
        struct words {
            std::atomic<bool> occupied{false};
            std::atomic<bool> resumed{false};
        };
        const auto shared = std::make_shared<words>();
        weft::go(
            [shared]
            {
                shared->occupied = true;
                const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(1);
                while (!shared->resumed && std::chrono::steady_clock::now() < give_up)
                    std::this_thread::yield();
            });
        do
            weft::yield();
        while (!shared->occupied);
        shared->resumed = true;
        return thread_id() != before;
    };
    return eventually(moved);
}

/// Counts its living objects.
struct counted {
    static inline std::atomic<int> alive{0};
    counted() { ++alive; }
    counted(const counted&) { ++alive; }
    counted(counted&&) noexcept { ++alive; }
    counted& operator=(const counted&) = default;
    counted& operator=(counted&&) noexcept = default;
    ~counted() { --alive; }
};

/// Parks on its way out, so that whoever does not wait for that sees it alive.
struct slow_to_go {
    static inline std::atomic<int> alive{0};
    slow_to_go() { ++alive; }
    slow_to_go(slow_to_go&& other) noexcept : here_(std::exchange(other.here_, false)) {}
    slow_to_go& operator=(slow_to_go&&) = delete;
    ~slow_to_go()
    {
        if (!here_)
            return;
        weft::sleep_for(std::chrono::milliseconds(1));
        --alive;
    }

private:
    bool here_ = true;
};

}  // namespace weft::test
