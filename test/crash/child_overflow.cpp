// Dies of a stack overflow, or of something that must not be taken for one.
#include <signal.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "../support/scenarios.hpp"
#include "weft/weft.hpp"

namespace {

using weft::test::say;

volatile bool never = false;

[[gnu::noinline]] std::uint64_t recurse(std::uint64_t depth)
{
    volatile std::uint64_t frame[16];
    frame[depth % 16] = depth;
    if (never)
        return 0;
    return recurse(depth + 1) + frame[(depth + 1) % 16];
}

// Frames larger than a page, touched at their far end first.
template <std::size_t Bytes>
[[gnu::noinline]] std::uint64_t recurse_in_leaps(std::uint64_t depth)
{
    volatile unsigned char frame[Bytes];
    frame[0] = static_cast<unsigned char>(depth);
    if (never)
        return 0;
    return recurse_in_leaps<Bytes>(depth + 1) + frame[0];
}

[[noreturn]] void wait_for_the_end()
{
    for (;;)
        weft::sleep_for(std::chrono::hours(1));
}

template <class F>
int in_goroutine(const weft::attr& attributes, F f)
{
    return weft::run(
        [&]
        {
            weft::go(attributes,
                     [f]
                     {
                         say("id=%llu", static_cast<unsigned long long>(weft::goroutine_id()));
                         f();
                     });
            wait_for_the_end();
        });
}

template <std::size_t Size>
int overflow_of_size()
{
    return in_goroutine({.name = "deep diver", .stack_size = Size}, [] { (void)recurse(0); });
}

int overflow()
{
    return in_goroutine({.name = "deep diver"}, [] { (void)recurse(0); });
}

int overflow_after_parks()
{
    return in_goroutine({.name = "deep diver"},
                        []
                        {
                            for (int i = 0; i < 100; ++i)
                                weft::yield();
                            weft::sleep_for(std::chrono::milliseconds(1));
                            (void)recurse(0);
                        });
}

int overflow_beside_others()
{
    return weft::run(
        []
        {
            for (int i = 0; i < 500; ++i)
                weft::go([] { wait_for_the_end(); });
            weft::yield();
            for (int i = 0; i < 10; ++i)
                weft::go([] { wait_for_the_end(); });
            weft::go(weft::attr{.name = "deep diver"},
                     []
                     {
                         say("id=%llu", static_cast<unsigned long long>(weft::goroutine_id()));
                         (void)recurse(0);
                     });
            wait_for_the_end();
        });
}

int overflow_in_main()
{
    return weft::run(
        []
        {
            say("id=%llu", static_cast<unsigned long long>(weft::goroutine_id()));
            (void)recurse(0);
        });
}

int overflow_in_pinned()
{
    return in_goroutine({.name = "deep diver", .pinned = true}, [] { (void)recurse(0); });
}

int overflow_in_leaps_of_a_page()
{
    return in_goroutine({.name = "deep diver"}, [] { (void)recurse_in_leaps<4'000>(0); });
}

int overflow_in_leaps_of_pages()
{
    return in_goroutine({.name = "deep diver"}, [] { (void)recurse_in_leaps<12'000>(0); });
}

// Below the stack, as an overflowing system call's buffer would be: by data, without a frame there.
int overflow_with_user_handler()
{
    struct sigaction action{};
    action.sa_handler = [](int)
    {
        say("user handler");
        ::_exit(3);
    };
    ::sigaction(SIGSEGV, &action, nullptr);
    return overflow();
}

int wild_pointer()
{
    return in_goroutine({.name = "wild one"}, [] { *reinterpret_cast<volatile int*>(std::uintptr_t{16}) = 1; });
}

int wild_pointer_into_protected_memory()
{
    return in_goroutine({.name = "wild one"},
                        []
                        {
                            void* const page = ::mmap(nullptr, 1U << 20, PROT_NONE,
                                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
                            *static_cast<volatile int*>(page) = 1;
                        });
}

int wild_pointer_on_a_plain_thread()
{
    weft::go([] { wait_for_the_end(); });
    *reinterpret_cast<volatile int*>(std::uintptr_t{16}) = 1;
    return 0;
}

int wild_pointer_with_user_handler()
{
    // Installed before the runtime starts: it must still get what is not weft's.
    struct sigaction action{};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = [](int, siginfo_t* info, void*)
    {
        say("user handler: address %zu", reinterpret_cast<std::size_t>(info->si_addr));
        ::_exit(3);
    };
    ::sigaction(SIGSEGV, &action, nullptr);
    return wild_pointer();
}

int wild_pointer_with_later_user_handler()
{
    weft::run([] {});
    return wild_pointer_with_user_handler();
}

int raised_signal()
{
    return in_goroutine({.name = "raiser"}, [] { ::raise(SIGSEGV); });
}

int overflow_on_a_plain_thread()
{
    weft::go([] { wait_for_the_end(); });
    return static_cast<int>(recurse(0));
}

int abort_in_goroutine()
{
    return in_goroutine({}, [] { std::abort(); });
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::test::run_scenario(argc, argv,
                                    {{"overflow", overflow},
                                     {"overflow_of_16k", overflow_of_size<std::size_t{16} << 10>},
                                     {"overflow_of_64k", overflow_of_size<std::size_t{64} << 10>},
                                     {"overflow_of_1m", overflow_of_size<std::size_t{1} << 20>},
                                     {"overflow_of_64m", overflow_of_size<std::size_t{64} << 20>},
                                     {"overflow_after_parks", overflow_after_parks},
                                     {"overflow_beside_others", overflow_beside_others},
                                     {"overflow_in_main", overflow_in_main},
                                     {"overflow_in_pinned", overflow_in_pinned},
                                     {"overflow_in_leaps_of_a_page", overflow_in_leaps_of_a_page},
                                     {"overflow_in_leaps_of_pages", overflow_in_leaps_of_pages},
                                     {"overflow_with_user_handler", overflow_with_user_handler},
                                     {"overflow_on_a_plain_thread", overflow_on_a_plain_thread},
                                     {"wild_pointer", wild_pointer},
                                     {"wild_pointer_into_protected_memory", wild_pointer_into_protected_memory},
                                     {"wild_pointer_on_a_plain_thread", wild_pointer_on_a_plain_thread},
                                     {"wild_pointer_with_user_handler", wild_pointer_with_user_handler},
                                     {"wild_pointer_with_later_user_handler", wild_pointer_with_later_user_handler},
                                     {"raised_signal", raised_signal},
                                     {"abort_in_goroutine", abort_in_goroutine}});
}
