// The first frame of a new stack, and its place in the unwinder's eyes: the return address is undefined, so every
// backtrace ends here, and a personality routine hears of an exception that nobody catches while the throwing stack is
// still whole (the search phase of the two-phase unwinding; Itanium C++ ABI, Exception Handling, level I).
#include "sys/context.hpp"

#include <unwind.h>

#include "base/check.hpp"

namespace weft::sys {

namespace {

unhandled_hook on_unhandled = nullptr;

}  // namespace

void set_unhandled_hook(unhandled_hook hook) noexcept
{
    on_unhandled = hook;
}

}  // namespace weft::sys

extern "C" {

_Unwind_Reason_Code weft_stack_personality(int version, _Unwind_Action actions, _Unwind_Exception_Class,
                                           _Unwind_Exception* exception, _Unwind_Context*);
void weft_stack_start();

_Unwind_Reason_Code weft_stack_personality(int version, _Unwind_Action actions, _Unwind_Exception_Class,
                                           _Unwind_Exception* exception, _Unwind_Context*)
{
    if (version == 1 && (actions & _UA_SEARCH_PHASE) != 0 && weft::sys::on_unhandled != nullptr) {
        weft::sys::on_unhandled(exception);
        weft::base::fatal("the hook for unhandled exceptions has returned");
    }
    return _URC_CONTINUE_UNWIND;
}
}

// The switch leaves its argument in rdx / x2 and make_context() the entry in the frame pointer.
#if defined(__x86_64__)
asm(R"(
    .text
    .p2align 4
    .globl weft_stack_start
    .hidden weft_stack_start
    .hidden weft_stack_personality
    .type weft_stack_start, @function
weft_stack_start:
    .cfi_startproc
    .cfi_personality 0x1b, weft_stack_personality
    .cfi_undefined rip
    movq %rbp, %rax
    xorl %ebp, %ebp
    movq %rdx, %rdi
    callq *%rax
    ud2
    .cfi_endproc
    .size weft_stack_start, .-weft_stack_start
)");
#else
asm(R"(
    .text
    .p2align 4
    .globl weft_stack_start
    .hidden weft_stack_start
    .hidden weft_stack_personality
    .type weft_stack_start, %function
weft_stack_start:
    .cfi_startproc
    .cfi_personality 0x1b, weft_stack_personality
    .cfi_undefined x30
    mov x9, x29
    mov x29, xzr
    mov x30, xzr
    mov x0, x2
    blr x9
    brk #1
    .cfi_endproc
    .size weft_stack_start, .-weft_stack_start
)");
#endif

namespace weft::sys {

void make_context(context& ctx, void* top, context_entry entry) noexcept
{
    ctx.sp = top;
    ctx.bp = reinterpret_cast<void*>(entry);
    ctx.pc = reinterpret_cast<void*>(&weft_stack_start);
}

}  // namespace weft::sys
