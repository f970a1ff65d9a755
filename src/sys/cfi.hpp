// Call frame information: where each function of the loaded objects keeps its caller's registers (.eh_frame; DWARF 5,
// section 6.4, and the Linux Standard Base, "Exception Frames"). Read here without the unwinder of the compiler: that
// one can only walk the stack of its caller, and trusts it.
//
// find_row() takes no lock and allocates nothing where glibc has _dl_find_object() (2.35): it may be called in signal
// handlers. Before that it looks in a table that prepare_unwinding() has filled.
//
// The tables of the loaded objects are trusted, as exceptions trust them. An object must not be unloaded while one of
// its functions is looked up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace weft::sys {

/// The registers that unwinding knows, by their numbers in DWARF.
struct dwarf {
#if defined(__x86_64__)
    static constexpr unsigned count = 17;
    static constexpr unsigned frame_pointer = 6;
    static constexpr unsigned stack_pointer = 7;
    static constexpr unsigned program_counter = 16;  ///< no register of its own: the return address column
#else
    static constexpr unsigned count = 33;
    static constexpr unsigned frame_pointer = 29;
    static constexpr unsigned link = 30;
    static constexpr unsigned stack_pointer = 31;
    static constexpr unsigned program_counter = 32;
#endif
};

/// How the caller's value of a register is found. The CFA is the caller's stack pointer as of before the call.
enum class rule : std::uint8_t {
    same,              ///< it was not touched
    undefined,         ///< it is lost
    at_cfa,            ///< in memory at CFA + value
    cfa_plus,          ///< is CFA + value
    in_register,       ///< in register `value`
    at_expression,     ///< in memory, at what the expression at address `value` gives
    expression_value,  ///< what that expression gives
};

/// What the tables say of one instruction.
struct cfi_row {
    std::uintptr_t function = 0;  ///< its first instruction
    bool signal_frame = false;    ///< the caller was interrupted: its program counter is no return address
    bool cfa_by_expression = false;
    std::uint8_t cfa_register = 0;
    std::uint8_t return_column = 0;  ///< the register that holds the caller's program counter
    std::int64_t cfa_value = 0;      ///< offset, or address of the expression
    std::array<rule, dwarf::count> rules{};
    std::array<std::int64_t, dwarf::count> values{};
};

/// Once before the first find_row(), and again when objects may have been loaded since. Not in signal handlers.
void prepare_unwinding() noexcept;

/// What holds at `pc`, which need not be an address of code. False: the tables say nothing of it.
[[nodiscard]] bool find_row(std::uintptr_t pc, cfi_row& row) noexcept;

/// The same by prepare_unwinding()'s table, for tests where it is not used otherwise.
[[nodiscard]] bool find_row_by_table(std::uintptr_t pc, cfi_row& row) noexcept;

/// Reads forwards in tables that are not aligned; everything read beyond `end` is 0 and makes it bad.
class table_reader {
public:
    table_reader(const unsigned char* at, const unsigned char* end) noexcept : at_(at), end_(end) {}

    [[nodiscard]] bool good() const noexcept { return good_; }
    [[nodiscard]] bool done() const noexcept { return at_ >= end_ || !good_; }
    [[nodiscard]] const unsigned char* at() const noexcept { return at_; }
    void skip(std::uint64_t bytes) noexcept
    {
        if (bytes > static_cast<std::uint64_t>(end_ - at_))
            spoil();
        else
            at_ += bytes;
    }
    /// Relative to where it stands.
    void jump(std::int64_t bytes, const unsigned char* begin) noexcept
    {
        if (bytes < begin - at_ || bytes > end_ - at_)
            spoil();
        else
            at_ += bytes;
    }
    template <class T>
    T read() noexcept
    {
        T value{};
        if (static_cast<std::size_t>(end_ - at_) < sizeof value) {
            spoil();
            return value;
        }
        __builtin_memcpy(&value, at_, sizeof value);
        at_ += sizeof value;
        return value;
    }
    std::uint64_t uleb() noexcept;
    std::int64_t sleb() noexcept;
    /// A pointer in one of the encodings DW_EH_PE_*; `data` is what datarel is relative to.
    std::uintptr_t pointer(std::uint8_t encoding, std::uintptr_t data) noexcept;
    void spoil() noexcept
    {
        good_ = false;
        at_ = end_;
    }

private:
    const unsigned char* at_;
    const unsigned char* end_;
    bool good_ = true;
};

}  // namespace weft::sys
