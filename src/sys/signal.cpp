#include "sys/signal.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdint>

#include "base/atomic.hpp"
#include "base/cpu.hpp"
#include "sys/keep_errno.hpp"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

namespace weft::sys {

namespace {

fault_hooks hooks{};

/// The program's own action for a signal.
struct former_action {
    struct sigaction action{};
    base::atomic<bool> used_up{false};  ///< SA_RESETHAND, and it was called: the default action is in force

    [[nodiscard]] bool has(unsigned flag) const noexcept
    {
        return (static_cast<unsigned>(action.sa_flags) & flag) != 0;
    }
    [[nodiscard]] bool is_function() const noexcept
    {
        return has(SA_SIGINFO) ? action.sa_sigaction != nullptr
                               : action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
    }
    [[nodiscard]] bool ignores() const noexcept { return !has(SA_SIGINFO) && action.sa_handler == SIG_IGN; }
    /// Whether the function is to be called, this time.
    [[nodiscard]] bool take() noexcept
    {
        if (!is_function())
            return false;
        if (!has(SA_RESETHAND))
            return true;
        return !used_up.exchange(true, base::memory_order_relaxed);
    }
};
former_action before_segv;
former_action before_bus;

std::uintptr_t stack_pointer_of(const ucontext_t& where) noexcept
{
#if defined(__x86_64__)
    return static_cast<std::uintptr_t>(where.uc_mcontext.gregs[REG_RSP]);
#else
    return static_cast<std::uintptr_t>(where.uc_mcontext.sp);
#endif
}

std::uintptr_t instruction_of(const ucontext_t& where) noexcept
{
#if defined(__x86_64__)
    return static_cast<std::uintptr_t>(where.uc_mcontext.gregs[REG_RIP]);
#else
    return static_cast<std::uintptr_t>(where.uc_mcontext.pc);
#endif
}

bool is_sent(const siginfo_t& info) noexcept
{
    return info.si_code <= 0;  // by kill(), raise(), sigqueue(): nothing will fault again
}

fault describe(int signal, const siginfo_t& info, const ucontext_t& where) noexcept
{
    const std::uintptr_t sp = stack_pointer_of(where);
    const auto low = reinterpret_cast<std::uintptr_t>(where.uc_stack.ss_sp);
    return {.is_bus_error = signal == SIGBUS,
            .has_address = info.si_code != SI_KERNEL,
            .on_signal_stack =
                (where.uc_stack.ss_flags & SS_DISABLE) == 0 && sp >= low && sp - low < where.uc_stack.ss_size,
            .address = reinterpret_cast<std::uintptr_t>(info.si_addr),
            .stack_pointer = sp,
            .instruction = instruction_of(where),
            .ucontext = &where};
}

/// The program's handler runs further out on this signal stack, and has not left by a jump: frames grow downwards.
bool inside_former_handler(const fault& what) noexcept
{
    const std::uintptr_t frame = *hooks.thread_word();
    return frame != 0 && what.on_signal_stack && what.stack_pointer < frame;
}

void call_former(const former_action& former, int signal, siginfo_t* info, void* context) noexcept
{
    sigset_t blocked = former.action.sa_mask;
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGBUS);
    pthread_sigmask(SIG_BLOCK, &blocked, nullptr);  // until the return to the interrupted code, which has its own mask
    std::uintptr_t* const word = hooks.thread_word();
    const std::uintptr_t outer = *word;
    if (!former.has(SA_NODEFER))
        *word = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    if (former.has(SA_SIGINFO))
        former.action.sa_sigaction(signal, info, context);
    else
        former.action.sa_handler(signal);
    *word = outer;
}

/// By the faulting instruction itself, when the handler has returned, so that the core dump shows it.
void die_of(int signal, const siginfo_t& info) noexcept
{
    struct sigaction plain = {};
    plain.sa_handler = SIG_DFL;
    sigaction(signal, &plain, nullptr);
    if (is_sent(info) || info.si_code == SI_KERNEL)  // the latter may be no fault of the instruction
        raise(signal);
}

void handle(int signal, siginfo_t* info, void* context) noexcept
{
    const keep_errno kept;
    former_action& former = signal == SIGSEGV ? before_segv : before_bus;
    const bool sent = is_sent(*info);
    const fault what = describe(signal, *info, *static_cast<const ucontext_t*>(context));
    if (!sent && hooks.handle(what))
        return;
    if (!inside_former_handler(what) && former.take()) {
        call_former(former, signal, info, context);
    } else if (!sent || !former.ignores()) {  // a fault can't be ignored
        if (!sent)
            hooks.report(what);
        die_of(signal, *info);
    }
}

}  // namespace

std::size_t signal_frame_bytes() noexcept
{
    return std::max<std::size_t>(getauxval(AT_MINSIGSTKSZ), 4096);
}

namespace {

std::size_t signal_stack_bytes() noexcept
{
    constexpr std::size_t for_report = std::size_t{64} << 10;
    return (signal_frame_bytes() + for_report + base::page_size - 1) & ~(base::page_size - 1);
}

}  // namespace

signal_stack::signal_stack() noexcept
{
    stack_t now;
    if (sigaltstack(nullptr, &now) == 0 && (now.ss_flags & SS_DISABLE) == 0)
        return;
    const std::size_t size = signal_stack_bytes();
    // With the flags of the C library's thread stacks: beside one, it takes no line of its own in /proc/self/maps.
    void* const at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    good_ = at != MAP_FAILED;
    if (!good_)
        return;
    at_ = at;
    stack_t stack = {};
    stack.ss_sp = at;
    stack.ss_size = size;
    good_ = sigaltstack(&stack, nullptr) == 0;
}

signal_stack::~signal_stack()
{
    if (at_ == nullptr)
        return;
    stack_t none = {};
    none.ss_flags = SS_DISABLE;
    (void)sigaltstack(&none, nullptr);
    (void)munmap(at_, signal_stack_bytes());
}

void install_fault_handler(const fault_hooks& those) noexcept
{
    hooks = those;
    struct sigaction ours = {};
    ours.sa_sigaction = &handle;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&ours.sa_mask);
    // In this order, or a signal between the two would find a former action that is not known yet.
    sigaction(SIGSEGV, nullptr, &before_segv.action);
    sigaction(SIGBUS, nullptr, &before_bus.action);
    sigaction(SIGSEGV, &ours, nullptr);
    sigaction(SIGBUS, &ours, nullptr);
}

}  // namespace weft::sys
