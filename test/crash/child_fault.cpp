// Faults: overflows inside the C library and in many threads at once, wild pointers, and handlers of the program's own.
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <regex>
#include <string>
#include <thread>

#include "../support/scenarios.hpp"
#include "weft/weft.hpp"

namespace {

using weft::test::say;

volatile bool never = false;
int* volatile nowhere = reinterpret_cast<int*>(std::uintptr_t{16});

[[noreturn]] void wait_for_the_end()
{
    for (;;)
        weft::sleep_for(std::chrono::hours(1));
}

template <class F>
int in_goroutine(const char* name, F f)
{
    return weft::run(
        [&]
        {
            weft::go(weft::attr{.name = name},
                     [f]
                     {
                         say("id=%llu", static_cast<unsigned long long>(weft::goroutine_id()));
                         f();
                     });
            wait_for_the_end();
        });
}

template <class F>
[[gnu::noinline]] std::uint64_t recurse_calling(const F& f, std::size_t when_left)
{
    volatile std::uint64_t frame[4] = {1, 2, 3, 4};
    if (weft::stack_remaining() < when_left)
        f();
    if (never)
        return 0;
    return recurse_calling(f, when_left) + frame[0];
}

// The frames between two calls are small, and what is called needs much: it is there that the stack ends.
int overflow_in_printf()
{
    return in_goroutine("deep diver",
                        []
                        {
                            static char text[20'000];
                            (void)recurse_calling(
                                [] { (void)std::snprintf(text, sizeof text, "%.5000Lf", 1.0L / 3.0L); }, 16'000);
                        });
}

// With malloc's lock held: a report that allocates would wait for it for ever.
int overflow_in_malloc()
{
    return in_goroutine("deep diver",
                        []
                        {
                            (void)recurse_calling(
                                []
                                {
                                    static void* volatile kept[64];
                                    for (std::size_t i = 0; i < 64; ++i)
                                        kept[i] = std::malloc(2'000 + 16 * i);
                                    for (void* volatile& p : kept)
                                        std::free(p);
                                },
                                2'000);
                        });
}

int compare(const void* a, const void* b)
{
    int pair[2] = {*static_cast<const int*>(b), *static_cast<const int*>(a)};
    std::qsort(pair, 2, sizeof(int), &compare);
    return pair[0] - pair[1];
}

int overflow_in_qsort()
{
    return in_goroutine("deep diver",
                        []
                        {
                            int pair[2] = {2, 1};
                            std::qsort(pair, 2, sizeof(int), &compare);
                        });
}

int overflow_in_regex()
{
    return in_goroutine("deep diver", [] { (void)std::regex_match(std::string(100'000, 'a'), std::regex("(a|b)*c")); });
}

// The kernel finds no room for the frame of a handler that does not run on the alternate stack.
int overflow_by_a_signal()
{
    struct sigaction action{};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
    return in_goroutine("deep diver", [] { (void)recurse_calling([] { ::raise(SIGUSR1); }, 500); });
}

template <class F>
int on_threads_at_once(F fault)
{
    static constexpr int threads = 8;
    weft::max_procs(threads);
    return weft::run(
        [&]
        {
            static std::atomic<int> ready{0};
            for (int i = 0; i < threads - 1; ++i)
                weft::go(weft::attr{.name = "deep diver"},
                         [fault]
                         {
                             ready.fetch_add(1);
                             while (ready < threads - 1) {
                             }
                             fault();
                         });
            wait_for_the_end();
        });
}

int overflows_at_once()
{
    return on_threads_at_once([] { (void)recurse_calling([] {}, 0); });
}

int wild_pointers_at_once()
{
    return on_threads_at_once([] { *nowhere = 1; });
}

int wild_pointer()
{
    return in_goroutine("wild one", [] { *nowhere = 1; });
}

int call_of_nothing()
{
    return in_goroutine("wild one",
                        []
                        {
                            void (*volatile none)() = nullptr;
                            none();
                            say("came back");
                        });
}

int address_that_cant_exist()
{
    return in_goroutine("wild one", [] { *reinterpret_cast<volatile int*>(std::uintptr_t{0xdead} << 48U) = 1; });
}

int file_that_is_too_short()
{
    return in_goroutine("wild one",
                        []
                        {
                            std::FILE* const file = std::tmpfile();
                            void* const page = ::mmap(nullptr, 4'096, PROT_READ, MAP_PRIVATE, ::fileno(file), 0);
                            say("%d", *static_cast<volatile char*>(page));
                        });
}

/// An address in the guard of the calling goroutine's stack.
volatile char* own_guard()
{
    return static_cast<char*>(__builtin_frame_address(0)) - weft::stack_remaining() - 256;
}

volatile char* start_victim()
{
    static std::atomic<volatile char*> found{nullptr};
    weft::go(weft::attr{.name = "victim"},
             []
             {
                 say("victim=%llu", static_cast<unsigned long long>(weft::goroutine_id()));
                 found = own_guard();
                 wait_for_the_end();
             });
    while (found == nullptr)
        weft::yield();
    return found;
}

int in_another_ones_guard()
{
    return in_goroutine("wild one", [] { *start_victim() = 1; });
}

int in_the_own_guard_from_afar()
{
    return in_goroutine("wild one", [] { *own_guard() = 1; });
}

int in_the_guard_of_an_ended_one()
{
    return in_goroutine(
        "wild one",
        []
        {
            volatile char* guard = nullptr;
            weft::async(weft::attr{.stack_size = std::size_t{1} << 20}, [&] { guard = own_guard(); }).get();
            weft::sleep_for(std::chrono::milliseconds(1));
            *guard = 1;
        });
}

int plain_thread_in_a_guard()
{
    return weft::run(
        []
        {
            volatile char* const guard = start_victim();
            std::thread([guard] { *guard = 1; }).join();
        });
}

// --- handlers of the program's own, installed before weft starts

std::atomic<int> calls{0};
char* page = nullptr;

void install(void (*handler)(int, siginfo_t*, void*), int flags, int blocked = 0, struct sigaction* former = nullptr)
{
    struct sigaction action{};
    action.sa_flags = SA_SIGINFO | flags;
    action.sa_sigaction = handler;
    ::sigemptyset(&action.sa_mask);
    if (blocked != 0)
        ::sigaddset(&action.sa_mask, blocked);
    ::sigaction(SIGSEGV, &action, former);
}

/// Makes the page accessible, as a garbage collector's barrier does; another address is not its business.
void open_page(int, siginfo_t* info, void*)
{
    ++calls;
    if (info->si_addr != page)
        ::_exit(9);
    ::mprotect(page, 4'096, PROT_READ | PROT_WRITE);
}

int protected_page_is_touched(int times)
{
    page = static_cast<char*>(::mmap(nullptr, 4'096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    return in_goroutine("barrier",
                        [times]
                        {
                            for (int i = 0; i < times; ++i) {
                                *static_cast<volatile char*>(page) = 1;
                                ::mprotect(page, 4'096, PROT_NONE);
                            }
                            say("calls=%d", calls.load());
                            std::exit(3);
                        });
}

int handler_repairs()
{
    install(&open_page, 0);
    return protected_page_is_touched(100);
}

int handler_is_reset()
{
    install(&open_page, static_cast<int>(SA_RESETHAND));
    return protected_page_is_touched(2);
}

sigset_t during;

int handler_has_a_mask()
{
    install(
        [](int s, siginfo_t* info, void* context)
        {
            ::pthread_sigmask(SIG_BLOCK, nullptr, &during);
            open_page(s, info, context);
        },
        0, SIGUSR1);
    page = static_cast<char*>(::mmap(nullptr, 4'096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    return in_goroutine("barrier",
                        []
                        {
                            *static_cast<volatile char*>(page) = 1;
                            sigset_t after;
                            ::pthread_sigmask(SIG_BLOCK, nullptr, &after);
                            say("during: %d %d, after: %d", ::sigismember(&during, SIGUSR1),
                                ::sigismember(&during, SIGUSR2), ::sigismember(&after, SIGUSR1));
                            std::exit(3);
                        });
}

void fault_again(int, siginfo_t*, void*)
{
    say("call %d", ++calls);
    if (calls == 3)
        ::_exit(5);
    *nowhere = 1;
}

int handler_faults()
{
    install(&fault_again, 0);
    return wild_pointer();
}

int handler_faults_and_is_not_deferred()
{
    install(&fault_again, SA_NODEFER);
    return wild_pointer();
}

sigjmp_buf outside;

int handler_jumps_out()
{
    install([](int, siginfo_t*, void*) { ::siglongjmp(outside, 1); }, 0);
    return in_goroutine("prober",
                        []
                        {
                            volatile int survived = 0;
                            while (survived < 100) {
                                if (::sigsetjmp(outside, 1) == 0)
                                    *nowhere = 1;
                                const int before = survived;
                                survived = before + 1;
                            }
                            say("survived %d", survived);
                            std::exit(3);
                        });
}

int handler_ignores()
{
    ::signal(SIGSEGV, SIG_IGN);
    return in_goroutine("raiser",
                        []
                        {
                            ::raise(SIGSEGV);
                            say("still here");
                            *nowhere = 1;
                        });
}

// --- and after

struct sigaction wefts;

void pass_on(int s, siginfo_t* info, void* context)
{
    say("user handler");
    wefts.sa_sigaction(s, info, context);
}

template <class F>
int with_a_later_handler(F f)
{
    weft::run([] {});
    install(&pass_on, SA_ONSTACK, 0, &wefts);
    return in_goroutine("deep diver", f);
}

int later_handler_and_overflow()
{
    return with_a_later_handler([] { (void)recurse_calling([] {}, 0); });
}

int later_handler_and_wild_pointer()
{
    return with_a_later_handler([] { *nowhere = 1; });
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::test::run_scenario(argc, argv,
                                    {{"overflow_in_printf", overflow_in_printf},
                                     {"overflow_in_malloc", overflow_in_malloc},
                                     {"overflow_in_qsort", overflow_in_qsort},
                                     {"overflow_in_regex", overflow_in_regex},
                                     {"overflow_by_a_signal", overflow_by_a_signal},
                                     {"overflows_at_once", overflows_at_once},
                                     {"wild_pointer", wild_pointer},
                                     {"wild_pointers_at_once", wild_pointers_at_once},
                                     {"call_of_nothing", call_of_nothing},
                                     {"address_that_cant_exist", address_that_cant_exist},
                                     {"file_that_is_too_short", file_that_is_too_short},
                                     {"in_another_ones_guard", in_another_ones_guard},
                                     {"in_the_own_guard_from_afar", in_the_own_guard_from_afar},
                                     {"in_the_guard_of_an_ended_one", in_the_guard_of_an_ended_one},
                                     {"plain_thread_in_a_guard", plain_thread_in_a_guard},
                                     {"handler_repairs", handler_repairs},
                                     {"handler_is_reset", handler_is_reset},
                                     {"handler_has_a_mask", handler_has_a_mask},
                                     {"handler_faults", handler_faults},
                                     {"handler_faults_and_is_not_deferred", handler_faults_and_is_not_deferred},
                                     {"handler_jumps_out", handler_jumps_out},
                                     {"handler_ignores", handler_ignores},
                                     {"later_handler_and_overflow", later_handler_and_overflow},
                                     {"later_handler_and_wild_pointer", later_handler_and_wild_pointer}});
}
