// fork() around a running runtime.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>

#include "../support/scenarios.hpp"
#include "weft/weft.hpp"

namespace {

using weft::test::say;

// Goroutines on several threads beside it, so that the fork meets a runtime at work.
void keep_busy()
{
    weft::max_procs(4);
    for (int i = 0; i < 20; ++i) {
        weft::go(
            [i]
            {
                for (;;) {
                    if (i % 2 == 0)
                        weft::yield();
                    else
                        weft::sleep_for(std::chrono::microseconds(50));
                }
            });
    }
}

int status_of(pid_t child)
{
    int status = -1;
    if (::waitpid(child, &status, 0) != child)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1'000 + WTERMSIG(status);
}

int fork_and_exec()
{
    return weft::run(
        []
        {
            keep_busy();
            for (int i = 0; i < 20; ++i) {
                const pid_t child = ::fork();
                if (child == 0) {
                    ::execl("/bin/sh", "sh", "-c", "exit 5", static_cast<char*>(nullptr));
                    ::_exit(99);
                }
                if (const int status = status_of(child); status != 5)
                    return status;
                weft::yield();
            }
            say("all ran");
            return 0;
        });
}

int spawn_and_system()
{
    return weft::run(
        []
        {
            keep_busy();
            for (int i = 0; i < 5; ++i) {
                std::array<char*, 4> argv{const_cast<char*>("sh"), const_cast<char*>("-c"), const_cast<char*>("exit 6"),
                                          nullptr};
                pid_t child = -1;
                if (::posix_spawn(&child, "/bin/sh", nullptr, nullptr, argv.data(), ::environ) != 0 ||
                    status_of(child) != 6)
                    return 1;
                if (const int status = std::system("exit 7"); !WIFEXITED(status) || WEXITSTATUS(status) != 7)
                    return 2;
                FILE* const pipe = ::popen("echo text", "r");
                std::array<char, 16> line{};
                if (pipe == nullptr || std::fgets(line.data(), line.size(), pipe) == nullptr || ::pclose(pipe) != 0)
                    return 3;
                if (std::string(line.data()) != "text\n")
                    return 4;
            }
            say("all ran");
            return 0;
        });
}

// In the child of a bare fork: the error may come as an exception or as the end of the process, never as a hang.
template <class F>
[[noreturn]] void in_the_child(F&& f)
{
    ::alarm(60);
    try {
        f();
        say("child: nothing happened");
        ::_exit(20);
    } catch (const std::exception& e) {
        say("child: exception: %s", e.what());
        ::_exit(21);
    }
}

template <class F>
int fork_on_plain_thread(F&& f)
{
    weft::run([] { keep_busy(); });
    const pid_t child = ::fork();
    if (child == 0)
        in_the_child(f);
    say("child's status: %d", status_of(child));
    say("parent: %d", weft::run([] { return weft::async([] { return 8; }).get(); }));
    return 0;
}

template <class F>
int fork_in_goroutine(F&& f)
{
    return weft::run(
        [&]
        {
            keep_busy();
            const pid_t child = ::fork();
            if (child == 0)
                in_the_child(f);
            say("child's status: %d", status_of(child));
            say("parent: %d", weft::async([] { return 8; }).get());
            return 0;
        });
}

int go_in_child()
{
    return fork_on_plain_thread([] { weft::go([] { say("ran in the child"); }); });
}
int run_in_child()
{
    return fork_on_plain_thread([] { weft::run([] { say("ran in the child"); }); });
}
int async_in_child()
{
    return fork_on_plain_thread([] { weft::async([] { say("ran in the child"); }).get(); });
}
int go_in_goroutines_child()
{
    return fork_in_goroutine([] { weft::go([] { say("ran in the child"); }); });
}
int yield_in_goroutines_child()
{
    return fork_in_goroutine([] { weft::yield(); });
}
int sleep_in_goroutines_child()
{
    return fork_in_goroutine([] { weft::sleep_for(std::chrono::milliseconds(1)); });
}
int wait_in_goroutines_child()
{
    return fork_in_goroutine(
        []
        {
            weft::wait_group g;
            g.add();
            g.wait();
        });
}

// The child ends without using weft: exit() runs atexit handlers and static destructors, which must not wait for
// threads that the child has not got.
int exit_in_child()
{
    weft::run([] { keep_busy(); });
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(60);
        std::exit(23);
    }
    say("child's status: %d", status_of(child));
    return 0;
}
int exit_in_goroutines_child()
{
    return weft::run(
        []
        {
            keep_busy();
            const pid_t child = ::fork();
            if (child == 0) {
                ::alarm(60);
                std::exit(23);
            }
            say("child's status: %d", status_of(child));
            return 0;
        });
}

// Without a runtime there is nothing that a fork could break.
int fork_before_start()
{
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(60);
        ::_exit(weft::run([] { return weft::async([] { return 24; }).get(); }));
    }
    say("child's status: %d", status_of(child));
    say("parent: %d", weft::run([] { return 8; }));
    return 0;
}

}  // namespace

int main(int argc, char** argv)
{
    return weft::test::run_scenario(argc, argv,
                                    {{"fork_and_exec", fork_and_exec},
                                     {"spawn_and_system", spawn_and_system},
                                     {"go_in_child", go_in_child},
                                     {"run_in_child", run_in_child},
                                     {"async_in_child", async_in_child},
                                     {"go_in_goroutines_child", go_in_goroutines_child},
                                     {"yield_in_goroutines_child", yield_in_goroutines_child},
                                     {"sleep_in_goroutines_child", sleep_in_goroutines_child},
                                     {"wait_in_goroutines_child", wait_in_goroutines_child},
                                     {"exit_in_child", exit_in_child},
                                     {"exit_in_goroutines_child", exit_in_goroutines_child},
                                     {"fork_before_start", fork_before_start}});
}
