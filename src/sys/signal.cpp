#include "sys/signal.hpp"

#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdint>

#include "base/cpu.hpp"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

namespace weft::sys {

namespace {

fault_hook on_fault = nullptr;
struct sigaction before_segv;
struct sigaction before_bus;

void chain(int signal, siginfo_t* info, void* context) noexcept
{
    const struct sigaction& before = signal == SIGSEGV ? before_segv : before_bus;
    if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != nullptr) {
        before.sa_sigaction(signal, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(signal);
    } else {
        // The default action, by the faulting instruction itself, so that the core dump shows it.
        struct sigaction plain = {};
        plain.sa_handler = SIG_DFL;
        sigaction(signal, &plain, nullptr);
        if (info->si_code <= 0)  // sent by kill(): nothing will fault again
            raise(signal);
    }
}

void handle(int signal, siginfo_t* info, void* context) noexcept
{
    const ucontext_t& where = *static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
    const auto stack_pointer = static_cast<std::uintptr_t>(where.uc_mcontext.gregs[REG_RSP]);
    const auto instruction = static_cast<std::uintptr_t>(where.uc_mcontext.gregs[REG_RIP]);
#else
    const auto stack_pointer = static_cast<std::uintptr_t>(where.uc_mcontext.sp);
    const auto instruction = static_cast<std::uintptr_t>(where.uc_mcontext.pc);
#endif
    if (info->si_code > 0 && on_fault != nullptr &&
        on_fault(reinterpret_cast<std::uintptr_t>(info->si_addr), stack_pointer, instruction))
        return;
    chain(signal, info, context);
}

}  // namespace

bool install_signal_stack() noexcept
{
    stack_t now;
    if (sigaltstack(nullptr, &now) == 0 && (now.ss_flags & SS_DISABLE) == 0)
        return true;  // a sanitizer or the program has set one already
    constexpr std::size_t for_report = std::size_t{64} << 10;
    const std::size_t frame = std::max<std::size_t>(getauxval(AT_MINSIGSTKSZ), 4096);
    const std::size_t size = (frame + for_report + base::page_size - 1) & ~(base::page_size - 1);
    void* const at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return false;
    stack_t stack = {};
    stack.ss_sp = at;
    stack.ss_size = size;
    return sigaltstack(&stack, nullptr) == 0;
}

void install_fault_handler(fault_hook hook) noexcept
{
    on_fault = hook;
    struct sigaction ours = {};
    ours.sa_sigaction = &handle;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGSEGV, &ours, &before_segv);
    sigaction(SIGBUS, &ours, &before_bus);
}

}  // namespace weft::sys
