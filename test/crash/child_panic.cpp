// Dies of a panic, in many ways. Says the goroutine's id on stdout first.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "../support/scenarios.hpp"
#include "weft/weft.hpp"

namespace {

using weft::test::say;

void say_id()
{
    say("id=%llu", static_cast<unsigned long long>(weft::goroutine_id()));
}

// Waits for the end of the process.
int wait_in_main()
{
    return weft::run(
        []
        {
            for (;;)
                weft::sleep_for(std::chrono::hours(1));
            return 0;
        });
}

struct no_standard_exception {
    int detail = 7;
};

[[gnu::noinline]] void throws_deep_inside(int depth)
{
    if (depth > 0) {
        throws_deep_inside(depth - 1);
        asm volatile("" ::: "memory");
        return;
    }
    throw std::runtime_error("boom 42");
}

int uncaught()
{
    weft::go(weft::attr{.name = "worker seven"},
             []
             {
                 say_id();
                 throws_deep_inside(3);
             });
    return wait_in_main();
}

int uncaught_without_name()
{
    weft::go(
        []
        {
            say_id();
            throw std::out_of_range("index 9 of 3");
        });
    return wait_in_main();
}

int uncaught_after_parks()
{
    weft::go(weft::attr{.name = "wanderer"},
             []
             {
                 say_id();
                 for (int i = 0; i < 100; ++i)
                     weft::yield();
                 weft::sleep_for(std::chrono::milliseconds(1));
                 throws_deep_inside(3);
             });
    return wait_in_main();
}

int uncaught_int()
{
    weft::go(
        []
        {
            say_id();
            throw 42;
        });
    return wait_in_main();
}

int uncaught_other_type()
{
    weft::go(
        []
        {
            say_id();
            throw no_standard_exception();
        });
    return wait_in_main();
}

int uncaught_in_pinned()
{
    weft::go(weft::attr{.name = "pinned one", .pinned = true},
             []
             {
                 say_id();
                 weft::yield();
                 throw std::runtime_error("boom pinned");
             });
    return wait_in_main();
}

int uncaught_in_jthread()
{
    return weft::run(
        []
        {
            weft::jthread t(
                []
                {
                    say_id();
                    throw std::runtime_error("boom jthread");
                });
            t.join();
        });
}

int uncaught_in_wait_group()
{
    return weft::run(
        []
        {
            weft::wait_group g;
            g.go(
                []
                {
                    say_id();
                    throw std::runtime_error("boom group");
                });
            g.wait();
        });
}

// Out of a closure's destructor, after its body.
int uncaught_in_closure_destructor()
{
    struct throws_at_its_end {
        bool armed = true;
        throws_at_its_end() = default;
        throws_at_its_end(throws_at_its_end&& other) noexcept : armed(std::exchange(other.armed, false)) {}
        ~throws_at_its_end() noexcept(false)
        {
            if (armed)
                throw std::runtime_error("boom destructor");
        }
    };
    weft::go(
        [t = throws_at_its_end()]
        {
            (void)t;
            say_id();
        });
    return wait_in_main();
}

int uncaught_rethrown()
{
    weft::go(weft::attr{.name = "rethrower"},
             []
             {
                 say_id();
                 try {
                     throw std::runtime_error("boom twice");
                 } catch (const std::exception&) {
                     weft::yield();
                     throw;
                 }
             });
    return wait_in_main();
}

int long_what()
{
    weft::go(
        []
        {
            say_id();
            throw std::runtime_error(std::string(100'000, 'w') + "the end");
        });
    return wait_in_main();
}

int terminate_handler()
{
    std::set_terminate(
        []
        {
            say("custom terminate handler");
            try {
                if (const std::exception_ptr e = std::current_exception())
                    std::rethrow_exception(e);
            } catch (const std::exception& e) {
                say("current exception: %s", e.what());
            }
            std::abort();
        });
    return uncaught();
}

// Twenty goroutines on several Ps panic as good as together: the reports must not be mixed.
int several_at_once()
{
    weft::max_procs(4);
    return weft::run(
        []
        {
            std::atomic<int> ready{0};
            for (int i = 0; i < 20; ++i) {
                weft::go(weft::attr{.name = "one of many"},
                         [&]
                         {
                             ++ready;
                             while (ready < 20)
                                 weft::yield();
                             throw std::runtime_error("boom together");
                         });
            }
            for (;;)
                weft::sleep_for(std::chrono::hours(1));
        });
}

int swallowed_exit()
{
    weft::go(weft::attr{.name = "swallower"},
             []
             {
                 say_id();
                 try {
                     weft::exit_goroutine();
                 } catch (...) {
                     say("swallowed");
                 }
                 say("went on");
             });
    return wait_in_main();
}

int exit_through_noexcept()
{
    struct wall {
        static void call() noexcept { weft::exit_goroutine(); }
    };
    weft::go(
        []
        {
            say_id();
            wall::call();
        });
    return wait_in_main();
}

// An exception of main is the caller's, and no panic.
int leaves_run()
{
    try {
        weft::run([]() -> int { throw std::runtime_error("for the caller"); });
    } catch (const std::runtime_error& e) {
        say("caught %s", e.what());
    }
    return 0;
}

int wait_group_destroyed_early()
{
    weft::go(weft::attr{.name = "forgetful"},
             []
             {
                 say_id();
                 weft::wait_group all;
                 all.go([] { weft::sleep_for(std::chrono::hours(1)); });
                 all.go([] { weft::sleep_for(std::chrono::hours(1)); });
             });
    return wait_in_main();
}

int leaves_run_uncaught()
{
    return weft::run([]() -> int { throw std::runtime_error("boom main"); });
}

int panic_beside_a_plain_thread()
{
    std::thread waiting([] { std::this_thread::sleep_for(std::chrono::hours(1)); });
    weft::go(
        []
        {
            say_id();
            throw std::runtime_error("boom beside");
        });
    waiting.join();
    return 0;
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::test::run_scenario(argc, argv,
                                    {{"uncaught", uncaught},
                                     {"uncaught_without_name", uncaught_without_name},
                                     {"uncaught_after_parks", uncaught_after_parks},
                                     {"uncaught_int", uncaught_int},
                                     {"uncaught_other_type", uncaught_other_type},
                                     {"uncaught_in_pinned", uncaught_in_pinned},
                                     {"uncaught_in_jthread", uncaught_in_jthread},
                                     {"uncaught_in_wait_group", uncaught_in_wait_group},
                                     {"uncaught_in_closure_destructor", uncaught_in_closure_destructor},
                                     {"uncaught_rethrown", uncaught_rethrown},
                                     {"long_what", long_what},
                                     {"terminate_handler", terminate_handler},
                                     {"several_at_once", several_at_once},
                                     {"swallowed_exit", swallowed_exit},
                                     {"exit_through_noexcept", exit_through_noexcept},
                                     {"leaves_run", leaves_run},
                                     {"leaves_run_uncaught", leaves_run_uncaught},
                                     {"wait_group_destroyed_early", wait_group_destroyed_early},
                                     {"panic_beside_a_plain_thread", panic_beside_a_plain_thread}});
}
