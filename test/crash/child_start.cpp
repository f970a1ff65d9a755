// The start of the runtime: by whom, and under which environment.
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "../support/scenarios.hpp"
#include "weft/weft.hpp"

namespace {

using weft::test::say;

template <class F>
int say_result(const char* what, F&& f)
{
    try {
        f();
        say("%s: procs %d", what, weft::max_procs());
        return 0;
    } catch (const std::invalid_argument& e) {
        say("%s: invalid_argument: %s", what, e.what());
    } catch (const std::exception& e) {
        say("%s: other exception: %s", what, e.what());
    }
    return 2;
}

int run()
{
    return say_result("run", [] { weft::run([] {}); });
}

int run_with_option()
{
    return say_result("run", [] { weft::run(weft::options{.procs = 3}, [] {}); });
}

int say_stack_sizes(const weft::options& opt)
{
    return weft::run(opt,
                     []
                     {
                         const auto left = [] { return weft::stack_remaining(); };
                         // Sizes are multiples of 64 KiB; the first frames take some of the last.
                         const auto kib = [](std::size_t bytes) { return (bytes / 65'536 + 1) * 64; };
                         const std::size_t plain = weft::async(left).get();
                         const std::size_t named = weft::async(weft::attr{.name = "named"}, left).get();
                         const std::size_t sized =
                             weft::async(weft::attr{.stack_size = std::size_t{4} << 20}, left).get();
                         say("KiB: %zu %zu %zu", kib(plain), kib(named), kib(sized));
                     });
}

int stack_sizes()
{
    return say_stack_sizes({});
}

int stack_sizes_with_option()
{
    return say_stack_sizes({.stack_size = std::size_t{1} << 20});
}

int stack_option_out_of_range()
{
    for (const std::size_t size : {std::size_t{1}, std::size_t{16'383}, (std::size_t{8} << 30) + 1, ~std::size_t{0}}) {
        try {
            weft::run(weft::options{.stack_size = size}, [] {});
            return 1;
        } catch (const std::invalid_argument& e) {
            if (std::string(e.what()).find("options::stack_size") == std::string::npos)
                return 2;
        }
    }
    return 0;
}

int go()
{
    return say_result("go",
                      []
                      {
                          std::atomic<bool> ran{false};
                          weft::go([&] { ran = true; });
                          while (!ran)
                              std::this_thread::yield();
                      });
}

int async()
{
    return say_result("async", [] { weft::async([] {}).get(); });
}

// A refused start must not leave a half-made runtime.
int twice()
{
    const int first = run();
    const int second = run();
    return first == second ? first : 99;
}

int nothing()
{
    const weft::runtime_stats s = weft::stats();
    say("goroutines %llu, started %llu, threads %llu, procs %llu, reserved %llu, id %llu, num %zu",
        static_cast<unsigned long long>(s.goroutines), static_cast<unsigned long long>(s.goroutines_started),
        static_cast<unsigned long long>(s.threads), static_cast<unsigned long long>(s.procs),
        static_cast<unsigned long long>(s.stack_reserved), static_cast<unsigned long long>(weft::goroutine_id()),
        weft::num_goroutines());
    return 0;
}

// What works without goroutines works without a runtime.
int plain_threads_only()
{
    weft::yield();
    weft::sleep_for(std::chrono::milliseconds(1));
    weft::mutex m;
    weft::wait_group g;
    int sum = 0;
    std::vector<std::thread> threads;
    g.add(4);
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back(
            [&]
            {
                for (int i = 0; i < 1'000; ++i) {
                    m.lock();
                    ++sum;
                    m.unlock();
                }
                g.done();
            });
    }
    g.wait();
    for (std::thread& t : threads)
        t.join();
    const weft::pin p;
    say("sum %d", sum);
    return 0;
}

int first_go_from_many_threads()
{
    std::atomic<int> ran{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 16; ++t)
        threads.emplace_back([&] { weft::go([&] { ++ran; }); });
    for (std::thread& t : threads)
        t.join();
    while (ran < 16)
        std::this_thread::yield();
    say("ran %d", ran.load());
    return 0;
}

int first_run_from_many_threads()
{
    std::atomic<int> ran{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 16; ++t)
        threads.emplace_back([&] { ran += weft::run([] { return 1; }); });
    for (std::thread& t : threads)
        t.join();
    say("ran %d", ran.load());
    return 0;
}

int on_one_cpu()
{
    cpu_set_t one;
    CPU_ZERO(&one);
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return 1;
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &allowed)) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    if (::sched_setaffinity(0, sizeof one, &one) != 0)
        return 1;
    return run();
}

int from_a_static_constructor_result = -1;
struct starts_early {
    starts_early()
    {
        if (std::getenv("WEFT_TEST_START_EARLY") != nullptr)
            from_a_static_constructor_result = weft::run([] { return weft::async([] { return 5; }).get(); });
    }
} early;

int from_a_static_constructor()
{
    say("early %d, now %d", from_a_static_constructor_result, weft::run([] { return 6; }));
    return 0;
}

// A program that blocks a signal and then waits for it keeps it: weft's threads have it blocked as well.
int signals_stay_with_the_program()
{
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    weft::max_procs(4);
    weft::run(
        []
        {
            weft::wait_group all;
            for (int i = 0; i < 20; ++i) {
                all.go(
                    []
                    {
                        const weft::pin p;
                        weft::yield();
                    });
            }
            all.wait();
        });
    ::kill(::getpid(), SIGUSR1);
    int got = 0;
    ::sigwait(&set, &got);
    say("got %s", got == SIGUSR1 ? "it" : "another");
    return 0;
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::test::run_scenario(argc, argv,
                                    {{"run", run},
                                     {"run_with_option", run_with_option},
                                     {"stack_sizes", stack_sizes},
                                     {"stack_sizes_with_option", stack_sizes_with_option},
                                     {"stack_option_out_of_range", stack_option_out_of_range},
                                     {"go", go},
                                     {"async", async},
                                     {"twice", twice},
                                     {"nothing", nothing},
                                     {"plain_threads_only", plain_threads_only},
                                     {"first_go_from_many_threads", first_go_from_many_threads},
                                     {"first_run_from_many_threads", first_run_from_many_threads},
                                     {"on_one_cpu", on_one_cpu},
                                     {"from_a_static_constructor", from_a_static_constructor},
                                     {"signals_stay_with_the_program", signals_stay_with_the_program}});
}
