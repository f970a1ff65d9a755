// Alternate signal stacks, and the fault handler that tells a stack overflow from a wild pointer.
#pragma once

#include <cstdint>

namespace weft::sys {

/// Gives the calling thread an alternate signal stack that holds the kernel's largest frame (AT_MINSIGSTKSZ: AVX-512,
/// AMX) and a report. Kept for the thread's life. False: no memory.
bool install_signal_stack() noexcept;

/// Called in the SIGSEGV/SIGBUS handler, on the alternate stack, with the address that could not be accessed, the
/// interrupted stack pointer and the interrupted instruction. True: handled, return to the faulting instruction.
using fault_hook = bool (*)(std::uintptr_t address, std::uintptr_t stack_pointer, std::uintptr_t instruction);

/// Installs the handler; what the hook declines goes to the handler that was there before, else to the default action.
void install_fault_handler(fault_hook hook) noexcept;

}  // namespace weft::sys
