// Alternate signal stacks, and the handler of SIGSEGV and SIGBUS: it asks the runtime what a fault is, passes what is
// not ours to the handler that the program had installed before, and lets the default action kill the process where
// there is none.
//
// The program's handler is called as the kernel would call it: SA_SIGINFO, SA_RESETHAND, SA_NODEFER and sa_mask count;
// but always on the alternate stack, because the goroutine's may be what is used up. While it runs the two signals are
// not blocked, whatever it has asked for, because memory that the runtime fills in when it is touched must be readable
// there too. A fault of the handler's own that would have met a blocked signal kills the process, as it does then.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::sys {

/// An alternate signal stack for the thread that makes it, and must end it: with room for the kernel's largest frame
/// (AT_MINSIGSTKSZ: AVX-512, AMX) and a report. None is made where a sanitizer or the program has set one already.
class signal_stack {
public:
    signal_stack() noexcept;
    ~signal_stack();
    signal_stack(const signal_stack&) = delete;
    signal_stack& operator=(const signal_stack&) = delete;
    /// False: there is no memory for one.
    [[nodiscard]] bool good() const noexcept { return good_; }

private:
    void* at_ = nullptr;  ///< null: not ours
    bool good_ = true;
};

/// What the kernel says of a fault.
struct fault {
    bool is_bus_error;             ///< SIGBUS: the address is fine, but its memory can't be had
    bool has_address;              ///< false: the processor tells none (x86: an address that can't exist), or the
                                   ///< kernel had no room for a signal's frame
    bool on_signal_stack;          ///< it happened in a signal handler on the alternate stack
    std::uintptr_t address;        ///< that could not be accessed
    std::uintptr_t stack_pointer;  ///< of the interrupted code
    std::uintptr_t instruction;    ///< that could not go on
    const void* ucontext;          ///< all its registers
};

/// Both are called in the handler, on the alternate stack of threads that have one.
struct fault_hooks {
    /// True: done, return to the faulting instruction.
    bool (*handle)(const fault& what) noexcept;
    /// Nobody wants the fault: the process will die of it as soon as this has returned.
    void (*report)(const fault& what) noexcept;
    /// A thread-local word of the caller's, 0 at first.
    std::uintptr_t* (*thread_word)() noexcept;
};

/// Installs the handler. Once, and not while other threads change theirs.
void install_fault_handler(const fault_hooks& hooks) noexcept;

/// So many bytes the kernel may need on a stack to call a handler there.
[[nodiscard]] std::size_t signal_frame_bytes() noexcept;

}  // namespace weft::sys
