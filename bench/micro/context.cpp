// The bare switch between two stacks: weft's, which the compiler inlines, against out-of-line assembly routines that
// save the callee-saved registers and resume by `ret` or by an indirect jump. docs/design/switch.md draws the
// conclusion.
#include "../../src/sys/context.hpp"

#include <cstdint>
#include <memory>

#include "harness.hpp"

namespace {

constexpr std::size_t stack_bytes = std::size_t{64} << 10;

struct stack {
    std::unique_ptr<std::byte[]> memory = std::make_unique<std::byte[]>(stack_bytes);

    void* top() const
    {
        const auto end = reinterpret_cast<std::uintptr_t>(memory.get() + stack_bytes);
        return reinterpret_cast<void*>(end & ~std::uintptr_t{63});
    }
};

struct pair {
    weft::sys::context here;
    weft::sys::context there;
};

void bounce(void* argument)
{
    auto* const both = static_cast<pair*>(argument);
    for (;;)
        weft::sys::switch_context(&both->there, &both->here, both);
}

bench::result inlined(const bench::settings& set)
{
    const stack other;
    pair both{};
    weft::sys::make_context(both.there, other.top(), &bounce);
    return bench::scaled(set,
                         [&](std::uint64_t n)
                         {
                             for (std::uint64_t i = 0; i < n; i += 2)
                                 weft::sys::switch_context(&both.here, &both.there, &both);
                         });
}

#if defined(__x86_64__)

extern "C" {
void bench_switch_by_ret(void** from, void* to);
void bench_switch_by_jump(void** from, void* to);
}

#define BENCH_PUSH "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
#define BENCH_POP "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"
asm(".text\n .p2align 4\n bench_switch_by_ret:\n" BENCH_PUSH "mov %rsp, (%rdi)\n mov %rsi, %rsp\n" BENCH_POP
    "ret\n"
    ".p2align 4\n bench_switch_by_jump:\n" BENCH_PUSH "mov %rsp, (%rdi)\n mov %rsi, %rsp\n" BENCH_POP
    "pop %rcx\n jmp *%rcx\n");

struct plain_pair {
    void* here;
    void* there;
};
plain_pair plain;  // the second stack's function has no argument

template <void (*Switch)(void**, void*)>
void bounce_plain()
{
    for (;;)
        Switch(&plain.there, plain.here);
}

template <void (*Switch)(void**, void*)>
bench::result out_of_line(const bench::settings& set)
{
    const stack other;
    // Six registers and the address to resume at; the stack as a call leaves it, 8 off 16.
    auto** const frame = static_cast<void**>(other.top()) - 8;
    frame[6] = reinterpret_cast<void*>(&bounce_plain<Switch>);
    plain.there = frame;
    return bench::scaled(set,
                         [](std::uint64_t n)
                         {
                             for (std::uint64_t i = 0; i < n; i += 2)
                                 Switch(&plain.here, plain.there);
                         });
}

#endif

constexpr bench::named_case cases[] = {
    {"context/inlined", inlined},
#if defined(__x86_64__)
    {"context/routine_ret", out_of_line<&bench_switch_by_ret>},
    {"context/routine_jump", out_of_line<&bench_switch_by_jump>},
#endif
};

}  // namespace

int main(int argc, char** argv)
{
    return bench::main(argc, argv, cases, [](int, const auto& body) { body(); });
}
