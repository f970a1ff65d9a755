#include "sys/thread.hpp"

#include <cxxabi.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "sys/keep_errno.hpp"

extern "C" {
/// Of the compiler's start files: the address stands for this program or library.
extern void* this_module __asm__("__dso_handle") __attribute__((visibility("hidden")));
}

namespace weft::sys {

namespace {

/// A line of proc(5)'s stat files: "tid (name) state ...".
struct stat_line {
    char text[512];

    /// The text from the end of the name on, which may hold anything; null when the file can't be read.
    const char* read_from(const char* path) noexcept
    {
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return nullptr;
        const ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        text[n > 0 ? n : 0] = '\0';
        return std::strrchr(text, ')');
    }
};

}  // namespace

int start_thread(void* (*main)(void*), void* argument) noexcept
{
    const keep_errno kept;
    // The scheduler itself needs a few KiB; panics and the sanitizers' reports need more.
    constexpr std::size_t stack_size = std::size_t{256} << 10;
    pthread_attr_t attributes;
    if (const int error = pthread_attr_init(&attributes); error != 0)
        return error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, stack_size);
    pthread_t thread;
    const int error = pthread_create(&thread, &attributes, main, argument);
    pthread_attr_destroy(&attributes);
    return error;
}

void name_this_thread(const char* name) noexcept
{
    (void)prctl(PR_SET_NAME, name);
}

stack_bounds this_stack() noexcept
{
    pthread_attr_t attributes;
    void* low = nullptr;
    std::size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &low, &size);
        pthread_attr_destroy(&attributes);
    }
    return {static_cast<char*>(low), size};
}

int this_thread_id() noexcept
{
    return gettid();
}

thread_usage usage_of(int thread_id) noexcept
{
    char path[64];
    (void)std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread_id);
    stat_line line;
    const char* const after_name = line.read_from(path);
    // Fields 14 and 15: ticks.
    char state = 'X';
    unsigned long user = 0;
    unsigned long kernel = 0;
    if (after_name == nullptr ||
        std::sscanf(after_name + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &state, &user, &kernel) != 3)
        return {false, 0};
    const std::int64_t tick = 1'000'000'000 / sysconf(_SC_CLK_TCK);
    return {state == 'R', static_cast<std::int64_t>(user + kernel) * tick};
}

int thread_count() noexcept
{
    stat_line line;
    const char* const after_name = line.read_from("/proc/self/stat");
    int count = 0;
    // Field 20.
    if (after_name == nullptr ||
        std::sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d",
                    &count) != 1)
        return 0;
    return count;
}

void precise_sleep() noexcept
{
    (void)prctl(PR_SET_TIMERSLACK, 1);
}

std::int64_t thread_cpu_now() noexcept
{
    timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return static_cast<std::int64_t>(used.tv_sec) * 1'000'000'000 + used.tv_nsec;
}

void block_signals() noexcept
{
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT})
        sigdelset(&all, fault);
    (void)pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

void yield_thread() noexcept
{
    sched_yield();
}

void sleep_thread(std::int64_t ns) noexcept
{
    constexpr std::int64_t second = 1'000'000'000;
    const timespec time{static_cast<time_t>(ns / second), static_cast<long>(ns % second)};
    (void)nanosleep(&time, nullptr);
}

void at_fork(void (*before)(), void (*after)(), void (*in_child)()) noexcept
{
    (void)pthread_atfork(before, after, in_child);
}

void at_thread_end(void (*hook)(void*) noexcept) noexcept
{
    // What a thread_local with a destructor does. Such a variable can be registered only once, though.
    (void)abi::__cxa_thread_atexit(hook, nullptr, &this_module);
}

__attribute__((noinline)) int* errno_location() noexcept
{
    int* const at = &errno;
    asm volatile("" ::: "memory");
    return at;
}

}  // namespace weft::sys
