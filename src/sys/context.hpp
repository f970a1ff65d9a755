// The context switch.
//
// What is saved by hand: stack pointer, frame pointer, resume address. Everything else the compiler saves, and only
// what lives across the switch, because the asm says that it clobbers all other registers (the idea is described in
// Photon's blog on its context switch, 2022). There is no call and no ret, so the return predictor stays in step: the
// resume goes by an indirect jump whose target is nearly always the same place. docs/design/switch.md has the
// measurement against a plain assembly routine.
//
// A suspended context is resumed at a label inside the function that suspended it, with its stack pointer unchanged:
// the ordinary unwind tables of that function describe it, for gdb, perf and exceptions alike.
//
// Not preserved: the floating-point control words (MXCSR, x87 CW, FPCR). They belong to the OS thread.
#pragma once

#include <cstddef>

#include "weft/detail/config.hpp"

namespace weft::sys {

/// Where a suspended stack goes on. Written by switch_context() for the side that it leaves.
struct context {
    void* sp;
    void* bp;
    void* pc;
};
static_assert(offsetof(context, sp) == 0 && offsetof(context, bp) == 8 && offsetof(context, pc) == 16,
              "the asm below uses these offsets");

/// A function that begins on a new stack. `argument` comes from the switch that enters it. Never returns.
using context_entry = void (*)(void* argument) noexcept(false);

/// Leaves the running context in `from` and resumes `to`. Returns when somebody switches to `from`, with the argument
/// of that switch.
WEFT_ALWAYS_INLINE void* switch_context(context* from, const context* to, void* argument) noexcept
{
#if defined(__x86_64__)
    asm volatile(
        "leaq 1f(%%rip), %%rax\n\t"
        "movq %%rsp, 0(%%rdi)\n\t"
        "movq %%rbp, 8(%%rdi)\n\t"
        "movq %%rax, 16(%%rdi)\n\t"
        "movq 0(%%rsi), %%rsp\n\t"
        "movq 8(%%rsi), %%rbp\n\t"
        "jmpq *16(%%rsi)\n\t"
        "1:\n\t"
        : "+D"(from), "+S"(to), "+d"(argument)
        :
        : "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3",
          "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
          "memory", "cc");
    return argument;
#else
    register context* x0 asm("x0") = from;
    register const context* x1 asm("x1") = to;
    register void* x2 asm("x2") = argument;
    asm volatile(
        "adr x9, 1f\n\t"
        "mov x10, sp\n\t"
        "stp x10, x29, [x0]\n\t"
        "str x9, [x0, #16]\n\t"
        "ldp x10, x29, [x1]\n\t"
        "ldr x9, [x1, #16]\n\t"
        "mov sp, x10\n\t"
        "br x9\n\t"
        "1:\n\t"
        : "+r"(x0), "+r"(x1), "+r"(x2)
        :
        : "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18",
          "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4",
          "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20",
          "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");
    return x2;
#endif
}

/// Makes `ctx` begin `entry` on the stack whose first unused byte below is `top` (aligned to 16).
void make_context(context& ctx, void* top, context_entry entry) noexcept;

/// Called when an exception finds no handler on a stack made by make_context(), before anything is unwound, so on
/// top of the throwing stack; `unwind_exception` is the _Unwind_Exception. Must not return.
using unhandled_hook = void (*)(void* unwind_exception);
void set_unhandled_hook(unhandled_hook hook) noexcept;

}  // namespace weft::sys
