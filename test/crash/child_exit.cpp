// Ends while goroutines run, in many ways. A static destructor tells whether any still ran by then.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../support/observe.hpp"
#include "../support/scale.hpp"
#include "../support/scenarios.hpp"
#include "weft/testing.hpp"
#include "weft/weft.hpp"

namespace {

using weft::test::say;

// Trivially destructible: there until the very end.
std::atomic<std::uint64_t> steps{0};
std::atomic<bool> watched{false};
enum class at_exit { nothing, go, run, async, jthread, lock } then = at_exit::nothing;
constinit weft::mutex wanted;

template <class F>
void say_what_it_throws(const char* what, F&& f)
{
    try {
        f();
        say("%s: no exception", what);
    } catch (const std::runtime_error& e) {
        say("%s: runtime_error: %s", what, e.what());
    } catch (const std::exception& e) {
        say("%s: other exception: %s", what, e.what());
    }
}

void use_weft_at_exit()
{
    switch (then) {
        case at_exit::nothing:
            break;
        case at_exit::go:
            say_what_it_throws("go", [] { weft::go([] { say("ran after exit"); }); });
            break;
        case at_exit::run:
            say_what_it_throws("run", [] { weft::run([] { say("ran after exit"); }); });
            break;
        case at_exit::async:
            say_what_it_throws("async", [] { weft::async([] { say("ran after exit"); }).get(); });
            break;
        case at_exit::jthread:
            say_what_it_throws("jthread", [] { const weft::jthread t([] { say("ran after exit"); }); });
            break;
        case at_exit::lock:
            if (wanted.try_lock_for(std::chrono::milliseconds(1)))
                wanted.unlock();
            say("tried the lock");
            break;
    }
}

// Constructed before main(), so destroyed after everything that main() registered.
struct sentinel {
    std::vector<int> data = std::vector<int>(1'000, 1);
    sentinel() = default;
    sentinel(const sentinel&) = delete;
    sentinel& operator=(const sentinel&) = delete;
    ~sentinel()
    {
        if (watched) {
            const std::uint64_t before = steps;
            // Where exit() was called in a goroutine, this is a scheduling point.
            for (int i = 0; i < 10; ++i)
                weft::yield();
            ::usleep(30'000);
            say(steps == before ? "quiet" : "still running");
        }
        use_weft_at_exit();
        say("static destructor");
    }
};
sentinel last;

// Under a sanitizer each start and each switch costs a hundred times as much, and all of them run by turns.
std::size_t many()
{
    return weft::test::under_sanitizer || weft::test::slow() ? 200 : 5'000;
}

// All sorts of goroutines, most of them touching `last`, which a goroutine must not see destroyed.
void start_many()
{
    static weft::mutex contended;
    static weft::wait_group never_done;
    never_done.add();
    for (std::size_t i = 0; i < many(); ++i) {
        weft::go(
            [i]
            {
                for (;;) {
                    if (last.data[i % last.data.size()] != 1) {
                        say("a destroyed static was seen");
                        std::abort();
                    }
                    ++steps;
                    switch (i % 6) {
                        case 0:
                            weft::sleep_for(std::chrono::microseconds(100));
                            break;
                        case 1:
                            weft::async([] { ++steps; }).get();
                            break;
                        case 2: {
                            contended.lock();
                            weft::yield();
                            contended.unlock();
                            break;
                        }
                        case 3:
                            never_done.wait();
                            break;
                        case 4:
                            weft::go([] { ++steps; });
                            weft::yield();
                            break;
                        default:
                            weft::yield();
                    }
                }
            });
    }
    watched = true;
}

int main_returns()
{
    return weft::run(
        []
        {
            start_many();
            for (int i = 0; i < 50; ++i)
                weft::yield();
            return 5;
        });
}

int main_returns_at_once()
{
    return weft::run(
        []
        {
            start_many();
            return 6;
        });
}

int goroutines_outlive_run()
{
    weft::run([] { start_many(); });
    for (int i = 0; i < 3; ++i) {
        const std::uint64_t before = steps;
        while (steps < before + 100)
            std::this_thread::yield();
    }
    say("went on after run");
    return 0;
}

int exit_in_goroutine()
{
    return weft::run(
        []
        {
            start_many();
            weft::go([] { std::exit(7); });
            for (;;)
                weft::yield();
        });
}

int exit_in_main_goroutine()
{
    return weft::run(
        []() -> int
        {
            start_many();
            std::exit(8);
        });
}

int exit_in_pinned_goroutine()
{
    return weft::run(
        []
        {
            start_many();
            weft::go(weft::attr{.pinned = true},
                     []
                     {
                         weft::yield();
                         std::exit(9);
                     });
            for (;;)
                weft::yield();
        });
}

int exit_in_plain_thread()
{
    std::thread t(
        []
        {
            while (steps < 1'000 || !watched)
                std::this_thread::yield();
            std::exit(10);
        });
    return weft::run(
        []
        {
            start_many();
            for (;;)
                weft::yield();
        });
}

int exit_in_several_threads()
{
    weft::run([] { start_many(); });
    // Only one may call exit(): the others race with it by other means.
    for (int i = 0; i < 4; ++i) {
        std::thread(
            []
            {
                for (;;) {
                    try {
                        weft::async([] { ++steps; }).get();
                    } catch (const std::runtime_error&) {
                        return;
                    }
                }
            })
            .detach();
    }
    const std::uint64_t before = steps;
    while (steps < before + 1'000)
        std::this_thread::yield();
    return 11;
}

int goroutines_without_run()
{
    start_many();
    return 12;
}

int with_pinned_goroutines()
{
    return weft::run(
        []
        {
            for (int i = 0; i < 20; ++i) {
                weft::go(weft::attr{.pinned = true},
                         []
                         {
                             for (;;) {
                                 ++steps;
                                 weft::yield();
                             }
                         });
            }
            watched = true;
            while (steps < 1'000)
                weft::yield();
            return 13;
        });
}

// These keep their threads without ever calling the runtime. The process must end nevertheless; whether they still run
// in the static destructors can't be helped.
int with_busy_goroutines()
{
    return weft::run(
        []
        {
            weft::max_procs(4);
            static std::atomic<int> busy{0};
            for (int i = 0; i < 2; ++i) {
                weft::go(
                    []
                    {
                        ++busy;
                        for (;;)
                            ++steps;
                    });
            }
            while (busy < 2)
                weft::yield();
            return 14;
        });
}

// Blocked in the kernel, unannounced.
int with_blocked_goroutines()
{
    return weft::run(
        []
        {
            weft::max_procs(4);
            static std::atomic<int> blocked{0};
            for (int i = 0; i < 2; ++i) {
                weft::go(
                    []
                    {
                        ++blocked;
                        std::this_thread::sleep_for(std::chrono::hours(1));
                    });
            }
            while (blocked < 2)
                weft::yield();
            watched = true;
            return 15;
        });
}

int with_endless_sleepers()
{
    return weft::run(
        []
        {
            for (int i = 0; i < 100; ++i)
                weft::go([] { weft::sleep_for(std::chrono::nanoseconds::max()); });
            for (int i = 0; i < 100; ++i)
                weft::go([] { weft::sleep_for(std::chrono::hours::max()); });
            for (int i = 0; i < 100; ++i)
                weft::go([] { weft::sleep_until(weft::clock::time_point::max()); });
            (void)weft::test::eventually([] { return weft::stats().goroutines_waiting >= 300; });
            say("waiting %llu", static_cast<unsigned long long>(weft::stats().goroutines_waiting));
            return 16;
        });
}

int with_a_plain_thread_waiting()
{
    static weft::wait_group never_done;
    never_done.add();
    weft::run([] {});
    std::thread([] { never_done.wait(); }).detach();
    std::thread([] { weft::sleep_for(std::chrono::hours(1)); }).detach();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return 17;
}

template <at_exit What>
int in_static_destructor()
{
    weft::run([] {});
    then = What;
    return 0;
}

template <at_exit What>
int in_static_destructor_without_runtime()
{
    then = What;
    return 0;
}

int in_atexit_handler()
{
    // Registered after the runtime's own handler: it runs before that one, exit has begun nevertheless.
    weft::run([] {});
    std::atexit(
        []
        {
            try {
                weft::go([] {});
                say("go in an atexit handler: accepted");
            } catch (const std::runtime_error& e) {
                say("go in an atexit handler: runtime_error: %s", e.what());
            }
        });
    return 0;
}

int in_atexit_handler_before_start()
{
    std::atexit(
        []
        {
            then = at_exit::go;
            use_weft_at_exit();
            then = at_exit::nothing;
        });
    weft::run([] {});
    return 0;
}

struct late {
    ~late()
    {
        const std::uint64_t before = steps;
        ::usleep(30'000);
        say(steps == before ? "late static: quiet" : "late static: still running");
    }
};

// A static made after the runtime started is destroyed before whatever the runtime registered when it started.
int with_a_static_made_later()
{
    return weft::run(
        []
        {
            static const late made_later;
            start_many();
            while (steps < 1'000)
                weft::yield();
            return 0;
        });
}

// A static jthread joins in its destructor, when nothing runs any more: it must not hang.
int with_a_static_jthread()
{
    static weft::jthread t;
    weft::run(
        []
        {
            t = weft::jthread(
                [](const std::stop_token& token)
                {
                    while (!token.stop_requested())
                        weft::yield();
                });
        });
    return 0;
}

int with_a_static_group()
{
    static std::optional<weft::group> g;
    static weft::wait_group also;
    return weft::run(
        []
        {
            g.emplace();
            g->go([] { (void)weft::sleep_for(std::chrono::hours(1), g->context()); });
            also.go([] { weft::sleep_for(std::chrono::hours(1)); });
            weft::yield();
            return 21;
        });
}

void start_those_that_want_the_lock()
{
    for (int i = 0; i < 8; ++i)
        weft::go(
            []
            {
                for (;;) {
                    const std::lock_guard lock(wanted);
                    ++steps;
                    weft::yield();
                }
            });
}

// Whoever is stopped while it parks must not keep the queue of the lock locked, which a static destructor looks into.
template <bool InBubble>
int with_a_lock_that_all_want()
{
    weft::run(
        []
        {
            weft::max_procs(4);
            if (InBubble)
                weft::go([] { weft::testing::bubble(start_those_that_want_the_lock); });
            else
                start_those_that_want_the_lock();
            while (steps < 1'000)
                weft::yield();
        });
    then = at_exit::lock;
    return 20;
}

int quick_exit()
{
    return weft::run(
        []() -> int
        {
            start_many();
            std::quick_exit(18);
        });
}

int exit_without_runtime()
{
    // A runtime that has done nothing at all.
    (void)weft::stats();
    (void)weft::num_goroutines();
    return 19;
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::test::run_scenario(
        argc, argv,
        {{"main_returns", main_returns},
         {"main_returns_at_once", main_returns_at_once},
         {"goroutines_outlive_run", goroutines_outlive_run},
         {"exit_in_goroutine", exit_in_goroutine},
         {"exit_in_main_goroutine", exit_in_main_goroutine},
         {"exit_in_pinned_goroutine", exit_in_pinned_goroutine},
         {"exit_in_plain_thread", exit_in_plain_thread},
         {"exit_in_several_threads", exit_in_several_threads},
         {"goroutines_without_run", goroutines_without_run},
         {"with_pinned_goroutines", with_pinned_goroutines},
         {"with_busy_goroutines", with_busy_goroutines},
         {"with_blocked_goroutines", with_blocked_goroutines},
         {"with_endless_sleepers", with_endless_sleepers},
         {"with_a_plain_thread_waiting", with_a_plain_thread_waiting},
         {"go_in_static_destructor", in_static_destructor<at_exit::go>},
         {"run_in_static_destructor", in_static_destructor<at_exit::run>},
         {"async_in_static_destructor", in_static_destructor<at_exit::async>},
         {"jthread_in_static_destructor", in_static_destructor<at_exit::jthread>},
         {"first_go_in_static_destructor", in_static_destructor_without_runtime<at_exit::go>},
         {"in_atexit_handler", in_atexit_handler},
         {"in_atexit_handler_before_start", in_atexit_handler_before_start},
         {"with_a_static_made_later", with_a_static_made_later},
         {"with_a_static_jthread", with_a_static_jthread},
         {"with_a_static_group", with_a_static_group},
         {"with_a_lock_that_all_want", with_a_lock_that_all_want<false>},
         {"with_a_lock_that_all_want_in_a_bubble", with_a_lock_that_all_want<true>},
         {"quick_exit", quick_exit},
         {"exit_without_runtime", exit_without_runtime}});
}
