// Walking any stack from outside: that of a parked goroutine, or that of the code which a signal has interrupted.
//
// Nothing is resumed or changed. Memory is read only within the pieces of stack that the caller names, so a stack that
// runs on meanwhile, or is none, gives a list that is short or wrong, and never a fault. walk_stack() takes no lock and
// allocates nothing: it may be called in signal handlers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "sys/cfi.hpp"
#include "sys/context.hpp"

namespace weft::sys {

/// Addresses [low, high) that frames may lie in; their bytes are at `bytes`: there, or in a copy.
struct stack_piece {
    std::uintptr_t low = 0;
    std::uintptr_t high = 0;
    const char* bytes = nullptr;

    [[nodiscard]] static stack_piece in_place(const char* low, const char* high) noexcept
    {
        return {reinterpret_cast<std::uintptr_t>(low), reinterpret_cast<std::uintptr_t>(high), low};
    }
};

/// What is known of the registers of one frame, by DWARF number.
class register_set {
public:
    void set(unsigned number, std::uintptr_t value) noexcept
    {
        values_[number] = value;
        known_ |= std::uint64_t{1} << number;
    }
    void forget(unsigned number) noexcept { known_ &= ~(std::uint64_t{1} << number); }
    [[nodiscard]] bool has(std::uint64_t number) const noexcept
    {
        return number < dwarf::count && (known_ >> number & 1U) != 0;
    }
    [[nodiscard]] std::uintptr_t operator[](std::size_t number) const noexcept { return values_[number]; }
    [[nodiscard]] std::uintptr_t pc() const noexcept { return values_[dwarf::program_counter]; }
    [[nodiscard]] std::uintptr_t sp() const noexcept { return values_[dwarf::stack_pointer]; }

private:
    std::array<std::uintptr_t, dwarf::count> values_{};
    std::uint64_t known_ = 0;
};

/// Where a stack that switch_context() has left goes on.
[[nodiscard]] register_set registers_of(const context& saved) noexcept;
/// What a signal has interrupted; `ucontext` is the third argument of the handler.
[[nodiscard]] register_set registers_of_signal(const void* ucontext) noexcept;
/// Where `r` stands at the first instruction of something that is no code: makes it the call that has led there. False:
/// there is no return address.
[[nodiscard]] bool undo_call(register_set& r, const stack_piece& stack) noexcept;
/// The calling function itself.
[[nodiscard]] WEFT_ALWAYS_INLINE register_set registers_here() noexcept;

struct stack_frame {
    const void* pc;        ///< in the instruction that runs, or in the call that has not returned
    const void* function;  ///< its first instruction
};

enum class walk_end : std::uint8_t {
    complete,  ///< at the stack's first frame
    full,      ///< there are more frames than were asked for
    lost,      ///< the next frame was not found: no tables, no stack, or it changed meanwhile
};
struct walked {
    std::size_t count;
    walk_end end;
};

/// What find_row() has said, for those who walk many stacks. Of no use to two threads at a time, and to be thrown away
/// before an object that it knows is unloaded.
class row_cache {
public:
    [[nodiscard]] const cfi_row* find(std::uintptr_t pc) noexcept
    {
        entry& e = entries_[(pc ^ pc >> 9) % entries_.size()];
        if (e.pc != pc) {
            e.pc = 0;
            if (!find_row(pc, e.row))
                return nullptr;
            e.pc = pc;
        }
        return &e.row;
    }

private:
    struct entry {
        std::uintptr_t pc = 0;
        cfi_row row;
    };
    std::array<entry, 512> entries_{};
};

/// Notes the frames from `from` outwards, innermost first, as many as `frames` has room for.
walked walk_stack(const register_set& from, std::span<const stack_piece> stack, std::span<stack_frame> frames,
                  row_cache* cache = nullptr) noexcept;

WEFT_ALWAYS_INLINE register_set registers_here() noexcept
{
    std::array<std::uintptr_t, 16> at{};
    register_set here;
#if defined(__x86_64__)
    asm volatile(
        "leaq 0(%%rip), %%rax\n\t"
        "movq %%rax, 0(%0)\n\t"
        "movq %%rsp, 8(%0)\n\t"
        "movq %%rbp, 16(%0)\n\t"
        "movq %%rbx, 24(%0)\n\t"
        "movq %%r12, 32(%0)\n\t"
        "movq %%r13, 40(%0)\n\t"
        "movq %%r14, 48(%0)\n\t"
        "movq %%r15, 56(%0)\n\t"
        :
        : "r"(at.data())
        : "rax", "memory");
    constexpr std::array<std::uint8_t, 8> numbers{16, 7, 6, 3, 12, 13, 14, 15};
#else
    asm volatile(
        "adr x9, .\n\t"
        "mov x10, sp\n\t"
        "stp x9, x10, [%0]\n\t"
        "stp x29, x30, [%0, #16]\n\t"
        "stp x19, x20, [%0, #32]\n\t"
        "stp x21, x22, [%0, #48]\n\t"
        "stp x23, x24, [%0, #64]\n\t"
        "stp x25, x26, [%0, #80]\n\t"
        "stp x27, x28, [%0, #96]\n\t"
        :
        : "r"(at.data())
        : "x9", "x10", "memory");
    constexpr std::array<std::uint8_t, 14> numbers{32, 31, 29, 30, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28};
#endif
    for (std::size_t i = 0; i < numbers.size(); ++i)
        here.set(numbers[i], at[i]);
    return here;
}

}  // namespace weft::sys
