// Programs that are looked at from outside: SIGQUIT, and what WEFT_DEBUG reports.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>

#include "../support/observe.hpp"
#include "../support/scenarios.hpp"
#include "weft/weft.hpp"

namespace {

using namespace std::chrono_literals;
using weft::test::say;

weft::options with_sigquit()
{
    return weft::options{.dump_on_sigquit = true};
}

[[gnu::noinline]] void compute_for(std::chrono::milliseconds how_long)
{
    const auto until = std::chrono::steady_clock::now() + how_long;
    while (std::chrono::steady_clock::now() < until) {
    }
}

int nothing()
{
    return weft::run([] { return 40; });
}

// Not inlined: one place in the program where all of them start, also where a compiler unrolls loops.
[[gnu::noinline]] void start_waiter(weft::wait_group& on)
{
    weft::go([&on] { on.wait(); });
}

int waits_and_sends_itself_sigquit()
{
    return weft::run(
        []
        {
            weft::wait_group never;
            never.add();
            for (int i = 0; i < 10; ++i)
                start_waiter(never);
            weft::go(weft::attr{.name = "different"}, [] { weft::sleep_for(1h); });
            weft::sleep_for(100ms);
            ::raise(SIGQUIT);
            weft::sleep_for(500ms);
            ::raise(SIGQUIT);
            weft::sleep_for(500ms);
            say("goes on");
            ::_exit(41);
        });
}

int by_option()
{
    return weft::run(with_sigquit(),
                     []
                     {
                         ::raise(SIGQUIT);
                         weft::sleep_for(500ms);
                         return 42;
                     });
}

int not_asked_for()
{
    return weft::run(
        []
        {
            ::raise(SIGQUIT);
            return 43;
        });
}

int in_a_child_of_fork()
{
    return weft::run(with_sigquit(),
                     []
                     {
                         const pid_t child = ::fork();
                         if (child == 0) {
                             ::raise(SIGQUIT);
                             ::_exit(1);
                         }
                         siginfo_t info{};
                         ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED);
                         return info.si_code == CLD_KILLED && info.si_status == SIGQUIT ? 44 : 1;
                     });
}

int stalls()
{
    return weft::run(
        []
        {
            weft::wait_group all;
            all.add();
            weft::go(weft::attr{.name = "busy"},
                     [&]
                     {
                         compute_for(400ms);
                         all.done();
                     });
            all.wait();
            all.add();
            weft::go(weft::attr{.name = "blocked"},
                     [&]
                     {
                         std::array<int, 2> ends{};
                         if (::pipe(ends.data()) == 0) {
                             ::alarm(1);
                             char byte = 0;
                             (void)!::read(ends[0], &byte, 1);
                         }
                         all.done();
                     });
            ::signal(SIGALRM, [](int) { ::_exit(45); });
            all.wait();
            return 1;
        });
}

int stalls_not()
{
    return weft::run(
        []
        {
            for (int i = 0; i < 50; ++i) {
                weft::sleep_for(10ms);
                weft::yield();
            }
            return 46;
        });
}

int idle_for_a_while()
{
    return weft::run(
        []
        {
            weft::sleep_for(600ms);
            return 47;
        });
}

[[gnu::noinline]] void park_holding(std::mutex& a, std::shared_mutex& b)
{
    const std::lock_guard holds_a(a);
    const std::shared_lock holds_b(b);
    weft::sleep_for(1ms);
}

int parks_with_locks()
{
    return weft::run(
        []
        {
            std::mutex a;
            std::shared_mutex b;
            const volatile int times = 3;  // one call in the program, also where a compiler unrolls loops
            for (int i = 0; i < times; ++i)
                park_holding(a, b);
            {
                const std::lock_guard holds_a(a);
            }
            weft::sleep_for(1ms);
            return 48;
        });
}

int migrates()
{
    return weft::run(
        []
        {
            constexpr int parks = 50;
            int moved = 0;
            for (int i = 0; i < parks; ++i) {
                const long before = weft::test::thread_id();
                weft::wait_group parked;
                parked.go(
                    []
                    {
                        while (weft::stats().goroutines_waiting == 0)
                            weft::yield();
                    });
                parked.wait();
                moved += weft::test::thread_id() != before ? 1 : 0;
            }
            return moved == parks ? 49 : 1;
        });
}

int deadlock()
{
    return weft::run(
        []
        {
            weft::wait_group never;
            never.add();
            never.wait();
        });
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::test::run_scenario(argc, argv,
                                    {{"nothing", nothing},
                                     {"waits_and_sends_itself_sigquit", waits_and_sends_itself_sigquit},
                                     {"by_option", by_option},
                                     {"not_asked_for", not_asked_for},
                                     {"in_a_child_of_fork", in_a_child_of_fork},
                                     {"stalls", stalls},
                                     {"stalls_not", stalls_not},
                                     {"idle_for_a_while", idle_for_a_while},
                                     {"parks_with_locks", parks_with_locks},
                                     {"migrates", migrates},
                                     {"deadlock", deadlock}});
}
