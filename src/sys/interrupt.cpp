// The request is one word that asker and thread share.
//
// | state   | what it means                               | who leaves it |
// |---------|---------------------------------------------|------------------------------------------------------------|
// | idle    | nobody asks                                 | asker: to asked | | asked   | the signal is on its way |
// thread: to running; asker, out of patience: to idle        | | running | the handler is at work; it uses `argument`
// | thread: to done                                            | | done    | and has left it alone | asker: to idle |
//
// A signal that comes after its asker has given up finds `idle`, or a request to another thread, and does nothing; or a
// later one to the same thread, and answers that: the second signal is then the one too late.
#include "sys/interrupt.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/atomic.hpp"
#include "sys/futex.hpp"
#include "sys/keep_errno.hpp"

namespace weft::sys {

namespace {

enum : std::uint32_t { idle, asked, running, done };

struct {
    base::atomic<std::uint32_t> state{idle};  // futex word
    base::atomic<int> thread{0};              // the others are valid in `asked` and `running`
    interrupted_fn visit = nullptr;
    void* argument = nullptr;
} request;

bool installed = false;
struct sigaction before;

void handle(int signal, siginfo_t* info, void* context)
{
    if (info->si_code != SI_QUEUE || info->si_value.sival_ptr != &request) {
        if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != nullptr)
            before.sa_sigaction(signal, info, context);
        else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
            before.sa_handler(signal);
        return;
    }
    const keep_errno kept;
    std::uint32_t seen = asked;
    if (request.thread.load(base::memory_order_relaxed) == gettid() &&
        request.state.compare_exchange_strong(seen, running, base::memory_order_acquire, base::memory_order_relaxed)) {
        request.visit(context, request.argument);
        request.state.store(done, base::memory_order_release);
        futex_wake(&request.state, 1);
    }
}

void install() noexcept
{
    if (installed)
        return;
    installed = true;
    struct sigaction ours = {};
    ours.sa_sigaction = &handle;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGURG, &ours, &before);
}

void (*on_quit)() noexcept = nullptr;

void handle_quit(int)
{
    const keep_errno kept;
    on_quit();
}

}  // namespace

bool interrupt_thread(int thread_id, interrupted_fn visit, void* argument, std::int64_t deadline) noexcept
{
    install();
    request.thread.store(thread_id, base::memory_order_relaxed);
    request.visit = visit;
    request.argument = argument;
    request.state.store(asked, base::memory_order_release);
    // With a value, which only we know, and not by tgkill(): other senders of this signal must not be taken for us.
    siginfo_t info = {};
    info.si_signo = SIGURG;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = &request;
    bool patient = syscall(SYS_rt_tgsigqueueinfo, getpid(), thread_id, SIGURG, &info) == 0;
    for (;;) {
        const std::uint32_t now = request.state.load(base::memory_order_acquire);
        if (now == done) {
            request.state.store(idle, base::memory_order_relaxed);
            return true;
        }
        if (now == asked && !patient) {
            std::uint32_t seen = asked;
            if (request.state.compare_exchange_strong(seen, idle, base::memory_order_relaxed))
                return false;
            continue;
        }
        if (now == running)
            futex_wait(request.state, running);
        else
            patient = futex_wait_until(request.state, asked, deadline);
    }
}

void install_quit_handler(void (*hook)() noexcept) noexcept
{
    on_quit = hook;
    struct sigaction ours = {};
    ours.sa_handler = &handle_quit;
    ours.sa_flags = SA_ONSTACK | SA_RESTART;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGQUIT, &ours, nullptr);
}

void remove_quit_handler() noexcept
{
    struct sigaction plain = {};
    plain.sa_handler = SIG_DFL;
    sigaction(SIGQUIT, &plain, nullptr);
}

bool program_handles_signals() noexcept
{
    constexpr std::array faults{SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};
    for (int signal = 1; signal < NSIG; ++signal) {
        struct sigaction now = {};
        if (std::ranges::find(faults, signal) != faults.end() || sigaction(signal, nullptr, &now) != 0)
            continue;
        if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == &handle)
            now = before;  // what it passes the program's own signals to
        if (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN && now.sa_handler != &handle_quit)
            return true;
    }
    return false;
}

}  // namespace weft::sys
