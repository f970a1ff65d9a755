#include "sys/thread.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include <cerrno>

namespace weft::sys {

int start_thread(const char* name, void* (*main)(void*), void* argument) noexcept
{
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
    if (error == 0)
        (void)pthread_setname_np(thread, name);
    return error;
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

void precise_sleep() noexcept
{
    (void)prctl(PR_SET_TIMERSLACK, 1);
}

void yield_thread() noexcept
{
    sched_yield();
}

void at_fork_in_child(void (*hook)()) noexcept
{
    (void)pthread_atfork(nullptr, nullptr, hook);
}

__attribute__((noinline)) int* errno_location() noexcept
{
    int* const at = &errno;
    asm volatile("" ::: "memory");
    return at;
}

}  // namespace weft::sys
