#include "sys/unwind.hpp"

#include <signal.h>
#include <ucontext.h>

#include <limits>

#include "sys/peek.hpp"

namespace weft::sys {

namespace {

using word = std::uintptr_t;

/// Not seen by the sanitizers: the stack may be somebody else's, who writes to it now, and frames have poisoned places.
__attribute__((noinline, no_sanitize("thread", "address"))) word read_racing(const char* at) noexcept
{
    return *reinterpret_cast<const volatile word*>(at);
}

/// The pieces of stack that may be read.
class memory {
public:
    explicit memory(std::span<const stack_piece> pieces) noexcept : pieces_(pieces) {}

    bool read(word at, word& value) const noexcept
    {
        if (at % sizeof(word) != 0)
            return false;  // nothing that frames keep is
        for (const stack_piece& piece : pieces_) {
            if (at >= piece.low && at < piece.high && piece.high - at >= sizeof(word)) {
                value = read_racing(piece.bytes + (at - piece.low));
                return true;
            }
        }
        return false;
    }

private:
    std::span<const stack_piece> pieces_;
};

/// The stack machine of DWARF's expressions, as far as frames are described by them: no locations, no calls.
class expression {
public:
    expression(const register_set& registers, const memory& stack) noexcept : registers_(registers), stack_(stack) {}

    /// `at` is its length, in front of it; `first` stands on the stack at the beginning.
    bool evaluate(std::int64_t at, const word* first, word& result) noexcept
    {
        const auto* const begin = reinterpret_cast<const unsigned char*>(at);
        table_reader length(begin, begin + 16);
        const std::uint64_t size = length.uleb();
        begin_ = length.at();
        table_reader code(begin_, begin_ + size);
        if (first != nullptr)
            push(*first);
        // Loops are possible, and with garbage for registers they need not end.
        for (int steps = 1'000; steps > 0 && good_ && !code.done(); --steps)
            step(code);
        result = pop();
        return good_ && code.good() && code.done();
    }

private:
    static constexpr unsigned room = 32;

    void push(word value) noexcept
    {
        if (depth_ < room)
            values_[depth_++] = value;
        else
            good_ = false;
    }
    word pop() noexcept
    {
        if (depth_ == 0) {
            good_ = false;
            return 0;
        }
        return values_[--depth_];
    }
    void push_register(std::uint64_t number, std::int64_t offset) noexcept
    {
        if (registers_.has(number))
            push(registers_[number] + static_cast<word>(offset));
        else
            good_ = false;
    }
    void pick(std::uint64_t index) noexcept
    {
        if (index < depth_)
            push(values_[depth_ - 1 - index]);
        else
            good_ = false;
    }
    void dereference(unsigned bytes) noexcept
    {
        const word at = pop();
        word value = 0;
        if (bytes == 0 || bytes > sizeof(word) || at % sizeof(word) + bytes > sizeof(word) ||
            !stack_.read(at & ~(sizeof(word) - 1), value)) {
            good_ = false;
            return;
        }
        value >>= at % sizeof(word) * 8;
        if (bytes < sizeof(word))
            value &= (word{1} << bytes * 8) - 1;
        push(value);
    }

    void step(table_reader& code) noexcept
    {
        const auto op = code.read<std::uint8_t>();
        if (op >= 0x30 && op <= 0x4f)  // lit0 .. lit31
            push(op - word{0x30});
        else if (op >= 0x70 && op <= 0x8f)  // breg0 .. breg31
            push_register(op - 0x70U, code.sleb());
        else if (op >= 0x08 && op <= 0x11)
            constant(op, code);
        else if (op >= 0x12 && op <= 0x17)
            arrange(op, code);
        else if (op == 0x28 || op == 0x2f)
            jump(op, code);
        else if ((op >= 0x1a && op <= 0x27) || (op >= 0x29 && op <= 0x2e))
            compute(op, code);
        else if (op == 0x03)  // addr
            push(code.read<word>());
        else if (op == 0x06)  // deref
            dereference(sizeof(word));
        else if (op == 0x19)  // abs
            absolute();
        else if (op == 0x92) {  // bregx
            const std::uint64_t number = code.uleb();
            push_register(number, code.sleb());
        } else if (op == 0x94)  // deref_size
            dereference(code.read<std::uint8_t>());
        else if (op != 0x96)  // nop
            good_ = false;
    }

    void constant(std::uint8_t op, table_reader& code) noexcept
    {
        switch (op) {
            case 0x08:
                return push(code.read<std::uint8_t>());
            case 0x09:
                return push(static_cast<word>(std::intptr_t{code.read<std::int8_t>()}));
            case 0x0a:
                return push(code.read<std::uint16_t>());
            case 0x0b:
                return push(static_cast<word>(std::intptr_t{code.read<std::int16_t>()}));
            case 0x0c:
                return push(code.read<std::uint32_t>());
            case 0x0d:
                return push(static_cast<word>(std::intptr_t{code.read<std::int32_t>()}));
            case 0x10:
                return push(code.uleb());
            case 0x11:
                return push(static_cast<word>(code.sleb()));
            default:  // 8 bytes, signed or not
                return push(code.read<std::uint64_t>());
        }
    }

    void arrange(std::uint8_t op, table_reader& code) noexcept
    {
        switch (op) {
            case 0x12:
                return pick(0);  // dup
            case 0x13:
                (void)pop();  // drop
                return;
            case 0x14:
                return pick(1);  // over
            case 0x15:
                return pick(code.read<std::uint8_t>());
            default: {  // swap, rot
                const word a = pop();
                const word b = pop();
                if (op == 0x16) {
                    push(a);
                    push(b);
                    return;
                }
                const word c = pop();
                push(a);
                push(c);
                push(b);
            }
        }
    }

    void jump(std::uint8_t op, table_reader& code) noexcept
    {
        const auto by = code.read<std::int16_t>();
        if (op == 0x2f || pop() != 0)
            code.jump(by, begin_);
    }

    void absolute() noexcept
    {
        const word a = pop();
        push(static_cast<std::intptr_t>(a) < 0 ? word{0} - a : a);
    }

    void compute(std::uint8_t op, table_reader& code) noexcept
    {
        const word b = pop();
        if (op == 0x1f)  // neg
            return push(word{0} - b);
        if (op == 0x20)  // not
            return push(~b);
        if (op == 0x23)  // plus_uconst
            return push(b + code.uleb());
        const word a = pop();
        const auto sa = static_cast<std::intptr_t>(a);
        const auto sb = static_cast<std::intptr_t>(b);
        switch (op) {
            case 0x1a:
                return push(a & b);
            case 0x1b:
                return divide(sa, sb);
            case 0x1c:
                return push(a - b);
            case 0x1d:
                if (b == 0)
                    good_ = false;
                return push(b == 0 ? 0 : a % b);
            case 0x1e:
                return push(a * b);
            case 0x21:
                return push(a | b);
            case 0x22:
                return push(a + b);
            case 0x24:
                return push(b < 64 ? a << b : 0);
            case 0x25:
                return push(b < 64 ? a >> b : 0);
            case 0x26:
                return push(static_cast<word>(sa >> (b < 64 ? b : 63)));
            case 0x27:
                return push(a ^ b);
            case 0x29:
                return push(sa == sb ? 1 : 0);
            case 0x2a:
                return push(sa >= sb ? 1 : 0);
            case 0x2b:
                return push(sa > sb ? 1 : 0);
            case 0x2c:
                return push(sa <= sb ? 1 : 0);
            case 0x2d:
                return push(sa < sb ? 1 : 0);
            default:
                return push(sa != sb ? 1 : 0);
        }
    }

    void divide(std::intptr_t a, std::intptr_t b) noexcept
    {
        if (b == 0 || (b == -1 && a == std::numeric_limits<std::intptr_t>::min()))
            good_ = false;
        push(good_ ? static_cast<word>(a / b) : 0);
    }

    const register_set& registers_;
    const memory& stack_;
    const unsigned char* begin_ = nullptr;
    std::array<word, room> values_{};
    unsigned depth_ = 0;
    bool good_ = true;
};

/// A return address without its signature (pointer authentication): without effect on processors that have none.
word strip(word address) noexcept
{
#if defined(__aarch64__)
    register word link asm("x30") = address;
    asm("hint #7" : "+r"(link));  // xpaclri
    return link;
#else
    return address;
#endif
}

#if defined(__aarch64__)
/// The kernel's return from a signal handler has no tables: it is known by its two instructions, and what was
/// interrupted by the frame that the kernel has put there.
bool step_through_kernel(register_set& r, const memory& stack) noexcept
{
    constexpr std::uint64_t trampoline = 0xd4000001'd2801168;  // mov x8, #__NR_rt_sigreturn; svc #0
    std::uint64_t code = 0;
    if (peek(reinterpret_cast<const void*>(r.pc()), &code, sizeof code) != sizeof code || code != trampoline)
        return false;
    const word at = r.sp() + sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext) + offsetof(mcontext_t, regs);
    register_set before;
    for (unsigned i = 0; i < dwarf::count; ++i) {  // x0 .. x30, sp, pc
        word value = 0;
        if (!stack.read(at + i * sizeof(word), value))
            return false;
        before.set(i, value);
    }
    r = before;
    return true;
}
#endif

/// The callers' frames, one step at a time.
class walker {
public:
    walker(const register_set& from, const memory& stack, row_cache* cache) noexcept
        : registers_(from), stack_(stack), cache_(cache)
    {
    }

    /// The instruction that the current frame is at.
    [[nodiscard]] word at() const noexcept { return exact_ ? registers_.pc() : registers_.pc() - 1; }
    /// The function that it belongs to; 0: unknown.
    [[nodiscard]] word function() const noexcept { return row_ != nullptr ? row_->function : 0; }

    /// False: the tables say nothing of the current frame.
    bool look_up() noexcept
    {
        row_ = nullptr;
        if (cache_ != nullptr)
            row_ = cache_->find(at());
        else if (find_row(at(), own_row_))
            row_ = &own_row_;
        return row_ != nullptr;
    }

    enum class step : std::uint8_t { on, top, lost };
    [[nodiscard]] step up() noexcept
    {
        if (row_ == nullptr)
            return up_without_tables();
        const unsigned column = row_->return_column;
        if (row_->rules[column] == rule::undefined)
            return step::top;
        word cfa = 0;
        if (!find_cfa(cfa))
            return step::lost;
        register_set caller = registers_;
        for (unsigned i = 0; i < dwarf::count; ++i)
            if (row_->rules[i] != rule::same && !recover(i, cfa, caller))
                return step::lost;
        if (row_->rules[dwarf::stack_pointer] == rule::same)
            caller.set(dwarf::stack_pointer, cfa);
        if (!caller.has(column) || !caller.has(dwarf::stack_pointer))
            return step::lost;
        const word pc = strip(caller[column]);
        if (pc == 0)
            return step::top;
        // Callers lie higher. Only the innermost function may have no frame at all, and a signal may change stacks.
        const bool higher = caller.sp() > registers_.sp() || (exact_ && caller.sp() == registers_.sp());
        if (!higher && !row_->signal_frame)
            return step::lost;
        if (pc == registers_.pc() && caller.sp() == registers_.sp())
            return step::lost;
        caller.set(dwarf::program_counter, pc);
        exact_ = row_->signal_frame;
        registers_ = caller;
        return step::on;
    }

private:
    [[nodiscard]] step up_without_tables() noexcept
    {
#if defined(__aarch64__)
        // Reached by the handler's return: at() is the instruction before it.
        if (step_through_kernel(registers_, stack_)) {
            exact_ = true;
            return step::on;
        }
        // Interrupted in code that has no tables, as the linker's stubs for calls of other objects: they have no frame,
        // and the link register says where they return to.
        if (exact_ && registers_.has(dwarf::link)) {
            registers_.set(dwarf::program_counter, strip(registers_[dwarf::link]));
            exact_ = false;
            return step::on;
        }
#endif
        return step::lost;
    }

    bool find_cfa(word& cfa) noexcept
    {
        if (row_->cfa_by_expression)
            return expression(registers_, stack_).evaluate(row_->cfa_value, nullptr, cfa);
        if (!registers_.has(row_->cfa_register))
            return false;
        cfa = registers_[row_->cfa_register] + static_cast<word>(row_->cfa_value);
        return true;
    }

    /// False: the stack is not what the tables say it is.
    bool recover(unsigned number, word cfa, register_set& caller) noexcept
    {
        const std::int64_t value = row_->values[number];
        word found = 0;
        switch (row_->rules[number]) {
            case rule::same:
                return true;
            case rule::undefined:
                caller.forget(number);
                return true;
            case rule::at_cfa:
                if (!stack_.read(cfa + static_cast<word>(value), found))
                    return false;
                break;
            case rule::cfa_plus:
                found = cfa + static_cast<word>(value);
                break;
            case rule::in_register:
                if (!registers_.has(static_cast<std::uint64_t>(value))) {
                    caller.forget(number);
                    return true;
                }
                found = registers_[static_cast<std::size_t>(value)];
                break;
            case rule::at_expression:
                if (!expression(registers_, stack_).evaluate(value, &cfa, found) || !stack_.read(found, found))
                    return false;
                break;
            case rule::expression_value:
                if (!expression(registers_, stack_).evaluate(value, &cfa, found))
                    return false;
                break;
        }
        caller.set(number, found);
        return true;
    }

    register_set registers_;
    const memory& stack_;
    row_cache* cache_;
    const cfi_row* row_ = nullptr;
    cfi_row own_row_{};
    bool exact_ = true;  ///< the program counter is the instruction itself, not the one after a call
};

}  // namespace

register_set registers_of(const context& saved) noexcept
{
    register_set r;
    r.set(dwarf::stack_pointer, reinterpret_cast<word>(saved.sp));
    r.set(dwarf::frame_pointer, reinterpret_cast<word>(saved.bp));
    r.set(dwarf::program_counter, reinterpret_cast<word>(saved.pc));
    return r;
}

register_set registers_of_signal(const void* ucontext) noexcept
{
    register_set r;
    const mcontext_t& m = static_cast<const ucontext_t*>(ucontext)->uc_mcontext;
#if defined(__x86_64__)
    constexpr std::array<int, dwarf::count> order{REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                                  REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                                  REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    for (unsigned i = 0; i < dwarf::count; ++i)
        r.set(i, static_cast<word>(m.gregs[order[i]]));
#else
    for (unsigned i = 0; i <= dwarf::link; ++i)
        r.set(i, m.regs[i]);
    r.set(dwarf::stack_pointer, m.sp);
    r.set(dwarf::program_counter, m.pc);
#endif
    return r;
}

bool undo_call(register_set& r, const stack_piece& stack) noexcept
{
#if defined(__x86_64__)
    word to = 0;
    if (!memory({&stack, 1}).read(r.sp(), to))
        return false;
    r.set(dwarf::stack_pointer, r.sp() + sizeof(word));
#else
    (void)stack;
    const word to = r[dwarf::link];
#endif
    r.set(dwarf::program_counter, strip(to) - 1);
    return true;
}

walked walk_stack(const register_set& from, std::span<const stack_piece> stack, std::span<stack_frame> frames,
                  row_cache* cache) noexcept
{
    const memory readable(stack);
    walker w(from, readable, cache);
    std::size_t n = 0;
    // Bounded: on garbage, frames that are not noted could follow each other in a circle.
    for (std::size_t steps = 2 * frames.size() + 2; steps > 0; --steps) {
        // Of an address that no function is known for, only the innermost one says something.
        if (w.look_up() || n == 0) {
            if (n == frames.size())
                return {n, walk_end::full};
            frames[n++] = {reinterpret_cast<const void*>(w.at()), reinterpret_cast<const void*>(w.function())};
        }
        switch (w.up()) {
            case walker::step::on:
                break;
            case walker::step::top:
                return {n, walk_end::complete};
            case walker::step::lost:
                return {n, walk_end::lost};
        }
    }
    return {n, walk_end::lost};
}

}  // namespace weft::sys
