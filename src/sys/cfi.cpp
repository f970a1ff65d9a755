#include "sys/cfi.hpp"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>

#include "base/atomic.hpp"

namespace weft::sys {

namespace {

using bytes = const unsigned char*;

// Pointer encodings. The low half: the format; the high half: what it is relative to.
enum : std::uint8_t {
    pe_absolute = 0x00,
    pe_uleb = 0x01,
    pe_u2 = 0x02,
    pe_u4 = 0x03,
    pe_u8 = 0x04,
    pe_sleb = 0x09,
    pe_s2 = 0x0a,
    pe_s4 = 0x0b,
    pe_s8 = 0x0c,
    pe_format = 0x0f,
    pe_pc_relative = 0x10,
    pe_data_relative = 0x30,
    pe_relation = 0x70,
    pe_omit = 0xff,
};

/// Where to look for a function: the object's .eh_frame_hdr, and where the object ends in memory.
struct unwind_tables {
    bytes header = nullptr;
    bytes end = nullptr;
};

/// The objects as dl_iterate_phdr() has told; used where there is no _dl_find_object().
struct known_object {
    std::uintptr_t low;
    std::uintptr_t high;
    bytes header;
};
constexpr std::size_t most_objects = 1'024;
std::array<known_object, most_objects> objects{};
base::atomic<std::size_t> object_count{0};

int note_object(dl_phdr_info* info, std::size_t, void* argument) noexcept
{
    auto& n = *static_cast<std::size_t*>(argument);
    if (n == most_objects)
        return 1;
    known_object found{~std::uintptr_t{0}, 0, nullptr};
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& part = info->dlpi_phdr[i];
        const std::uintptr_t low = info->dlpi_addr + part.p_vaddr;
        if (part.p_type == PT_LOAD) {
            found.low = std::min(found.low, low);
            found.high = std::max(found.high, low + part.p_memsz);
        } else if (part.p_type == PT_GNU_EH_FRAME) {
            found.header = reinterpret_cast<bytes>(low);
        }
    }
    if (found.header != nullptr)
        objects[n++] = found;
    return 0;
}

unwind_tables tables_by_table(std::uintptr_t pc) noexcept
{
    const std::size_t n = object_count.load(base::memory_order_acquire);
    for (std::size_t i = 0; i < n; ++i)
        if (pc >= objects[i].low && pc < objects[i].high)
            return {objects[i].header, reinterpret_cast<bytes>(objects[i].high)};
    return {};
}

#ifdef DLFO_EH_SEGMENT_TYPE
constexpr bool needs_table = false;
unwind_tables tables_of(std::uintptr_t pc) noexcept
{
    dl_find_object found{};
    if (_dl_find_object(reinterpret_cast<void*>(pc), &found) != 0)
        return {};
    return {static_cast<bytes>(found.dlfo_eh_frame), static_cast<bytes>(found.dlfo_map_end)};
}
#else
constexpr bool needs_table = true;
unwind_tables tables_of(std::uintptr_t pc) noexcept
{
    return tables_by_table(pc);
}
#endif

/// The frame description entry of the last function that begins at or before `pc`, by the header's sorted table; null:
/// none.
bytes find_entry(const unwind_tables& in, std::uintptr_t pc) noexcept
{
    table_reader header(in.header, in.end);
    const auto version = header.read<std::uint8_t>();
    const auto frame_encoding = header.read<std::uint8_t>();
    const auto count_encoding = header.read<std::uint8_t>();
    const auto table_encoding = header.read<std::uint8_t>();
    const auto base = reinterpret_cast<std::uintptr_t>(in.header);
    if (version != 1 || count_encoding == pe_omit || table_encoding != (pe_data_relative | pe_s4))
        return nullptr;  // every linker makes it so
    (void)header.pointer(frame_encoding, base);
    const std::uintptr_t count = header.pointer(count_encoding, base);
    struct pair {
        std::int32_t function;
        std::int32_t entry;
    };
    const bytes table = header.at();
    if (!header.good() || count == 0 || count > static_cast<std::size_t>(in.end - table) / sizeof(pair))
        return nullptr;
    const auto wanted = static_cast<std::int64_t>(pc - base);
    const auto at = [table](std::uintptr_t i) noexcept
    {
        pair p;
        __builtin_memcpy(&p, table + i * sizeof p, sizeof p);
        return p;
    };
    std::uintptr_t low = 0;
    std::uintptr_t high = count;
    while (low < high) {
        const std::uintptr_t middle = low + (high - low) / 2;
        if (at(middle).function <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? nullptr : in.header + at(low - 1).entry;
}

/// A common information entry: what the functions of one object file share.
struct common_entry {
    std::uint64_t code_alignment = 0;
    std::int64_t data_alignment = 0;
    std::uint8_t return_column = 0;
    std::uint8_t pointer_encoding = pe_absolute;
    bool has_augmentation = false;
    bool signal_frame = false;
    bytes begin = nullptr;  ///< its instructions
    bytes end = nullptr;
};

/// A length field, and with it the reader's end. Null: an entry of 64-bit DWARF, or none.
bytes end_of_entry(bytes at, bytes limit) noexcept
{
    std::uint32_t length = 0;
    if (limit - at < 8)
        return nullptr;
    __builtin_memcpy(&length, at, sizeof length);
    if (length == 0 || length == 0xffff'ffffU || length > static_cast<std::size_t>(limit - at - 4))
        return nullptr;
    return at + 4 + length;
}

bool read_augmentation(table_reader& from, const char* text, common_entry& entry) noexcept
{
    if (*text == '\0')
        return true;
    if (*text != 'z')
        return false;
    entry.has_augmentation = true;
    const std::uint64_t size = from.uleb();
    const bytes begin = from.at();
    from.skip(size);
    if (!from.good())
        return false;
    table_reader data(begin, begin + size);
    for (++text; *text != '\0'; ++text) {
        switch (*text) {
            case 'R':
                entry.pointer_encoding = data.read<std::uint8_t>();
                break;
            case 'P': {
                const auto encoding = data.read<std::uint8_t>();
                (void)data.pointer(encoding, 0);
                break;
            }
            case 'L':
                (void)data.read<std::uint8_t>();
                break;
            case 'S':
                entry.signal_frame = true;
                break;
            case 'B':  // aarch64: return addresses are signed with the other key; all are stripped here
            case 'G':
                break;
            default:
                return false;
        }
    }
    return data.good();
}

bool read_common(bytes at, bytes limit, common_entry& entry) noexcept
{
    const bytes end = end_of_entry(at, limit);
    if (end == nullptr)
        return false;
    table_reader from(at + 4, end);
    const auto id = from.read<std::uint32_t>();
    const auto version = from.read<std::uint8_t>();
    if (id != 0 || (version != 1 && version != 3 && version != 4))
        return false;
    const char* const augmentation = reinterpret_cast<const char*>(from.at());
    while (!from.done() && from.read<std::uint8_t>() != 0) {
    }
    if (version == 4)
        from.skip(2);  // sizes of an address and of a segment selector
    entry.code_alignment = from.uleb();
    entry.data_alignment = from.sleb();
    const std::uint64_t column = version == 1 ? from.read<std::uint8_t>() : from.uleb();
    if (!from.good() || column >= dwarf::count || !read_augmentation(from, augmentation, entry))
        return false;
    entry.return_column = static_cast<std::uint8_t>(column);
    entry.begin = from.at();
    entry.end = end;
    return from.good();
}

/// Runs call frame instructions up to a program counter.
class machine {
public:
    machine(const common_entry& common, cfi_row& row, std::uintptr_t pc) noexcept : common_(common), row_(row), pc_(pc)
    {
    }

    /// False: an instruction that is not known, or a table that is none.
    bool run(bytes begin, bytes end, std::uintptr_t location) noexcept
    {
        table_reader code(begin, end);
        while (!code.done()) {
            const auto op = code.read<std::uint8_t>();
            const std::uint8_t low = op & 0x3fU;
            std::uint64_t advance = 0;
            switch (op & 0xc0U) {
                case 0x40:
                    advance = low;
                    break;
                case 0x80:
                    set(low, rule::at_cfa, factored(code.uleb()));
                    break;
                case 0xc0:
                    restore(low);
                    break;
                default:
                    if (op >= 0x02 && op <= 0x04)
                        advance = op == 0x02   ? code.read<std::uint8_t>()
                                  : op == 0x03 ? code.read<std::uint16_t>()
                                               : code.read<std::uint32_t>();
                    else if (op == 0x01)
                        location = code.pointer(common_.pointer_encoding, 0);
                    else if (!extended(op, code))
                        return false;
            }
            location += advance * common_.code_alignment;
            if (location > pc_)
                break;
        }
        return code.good();
    }
    void end_of_common() noexcept { initial_ = row_; }

private:
    static constexpr unsigned depth = 8;  // of remembered states; compilers nest them once

    [[nodiscard]] std::int64_t factored(std::uint64_t offset) const noexcept
    {
        return static_cast<std::int64_t>(offset * static_cast<std::uint64_t>(common_.data_alignment));
    }
    void set(std::uint64_t number, rule kind, std::int64_t value) noexcept
    {
        if (number < dwarf::count) {  // others are of no use for finding frames
            row_.rules[number] = kind;
            row_.values[number] = value;
        }
    }
    void restore(std::uint64_t number) noexcept
    {
        if (number < dwarf::count)
            set(number, initial_.rules[number], initial_.values[number]);
    }
    bool set_cfa(std::uint64_t number, std::int64_t offset) noexcept
    {
        row_.cfa_by_expression = false;
        row_.cfa_register = static_cast<std::uint8_t>(number);
        row_.cfa_value = offset;
        return number < dwarf::count;
    }
    static std::int64_t expression(table_reader& code) noexcept
    {
        const auto at = reinterpret_cast<std::intptr_t>(code.at());
        code.skip(code.uleb());
        return at;
    }
    bool remember() noexcept
    {
        if (remembered_ == depth)
            return false;
        states_[remembered_++] = row_;
        return true;
    }
    bool recall() noexcept
    {
        if (remembered_ == 0)
            return false;
        row_ = states_[--remembered_];
        return true;
    }

    bool extended(std::uint8_t op, table_reader& code) noexcept
    {
        switch (op) {
            case 0x00:  // nop
#if defined(__aarch64__)
            case 0x2d:  // negate_ra_state
#endif
                return true;
            case 0x05: {  // offset_extended
                const std::uint64_t number = code.uleb();
                set(number, rule::at_cfa, factored(code.uleb()));
                return true;
            }
            case 0x06:  // restore_extended
                restore(code.uleb());
                return true;
            case 0x07:  // undefined
                set(code.uleb(), rule::undefined, 0);
                return true;
            case 0x08:  // same_value
                set(code.uleb(), rule::same, 0);
                return true;
            case 0x09: {  // register
                const std::uint64_t number = code.uleb();
                set(number, rule::in_register, static_cast<std::int64_t>(code.uleb()));
                return true;
            }
            case 0x0a:
                return remember();
            case 0x0b:
                return recall();
            case 0x0c: {  // def_cfa
                const std::uint64_t number = code.uleb();
                return set_cfa(number, static_cast<std::int64_t>(code.uleb()));
            }
            case 0x0d:  // def_cfa_register
                return set_cfa(code.uleb(), row_.cfa_value);
            case 0x0e:  // def_cfa_offset
                row_.cfa_value = static_cast<std::int64_t>(code.uleb());
                return true;
            case 0x0f:  // def_cfa_expression
                row_.cfa_by_expression = true;
                row_.cfa_value = expression(code);
                return true;
            default:
                return rare(op, code);
        }
    }

    bool rare(std::uint8_t op, table_reader& code) noexcept
    {
        const auto signed_factored = [&] { return factored(static_cast<std::uint64_t>(code.sleb())); };
        if (op == 0x12) {  // def_cfa_sf
            const std::uint64_t number = code.uleb();
            return set_cfa(number, signed_factored());
        }
        if (op == 0x13) {  // def_cfa_offset_sf
            row_.cfa_value = signed_factored();
            return true;
        }
        if (op == 0x2e) {  // GNU_args_size
            (void)code.uleb();
            return true;
        }
        const std::uint64_t number = code.uleb();
        switch (op) {
            case 0x10:  // expression
                set(number, rule::at_expression, expression(code));
                return true;
            case 0x11:  // offset_extended_sf
                set(number, rule::at_cfa, signed_factored());
                return true;
            case 0x14:  // val_offset
                set(number, rule::cfa_plus, factored(code.uleb()));
                return true;
            case 0x15:  // val_offset_sf
                set(number, rule::cfa_plus, signed_factored());
                return true;
            case 0x16:  // val_expression
                set(number, rule::expression_value, expression(code));
                return true;
            case 0x2f:  // GNU_negative_offset_extended
                set(number, rule::at_cfa, -factored(code.uleb()));
                return true;
            default:
                return false;
        }
    }

    const common_entry& common_;
    cfi_row& row_;
    std::uintptr_t pc_;
    cfi_row initial_{};
    std::array<cfi_row, depth> states_;
    unsigned remembered_ = 0;
};

bool row_from(const unwind_tables& in, std::uintptr_t pc, cfi_row& row) noexcept
{
    if (in.header == nullptr)
        return false;
    const bytes at = find_entry(in, pc);
    if (at == nullptr || at >= in.end)
        return false;
    const bytes end = end_of_entry(at, in.end);
    if (end == nullptr)
        return false;
    table_reader from(at + 4, end);
    const auto back = from.read<std::uint32_t>();
    common_entry common;
    if (back == 0 || !read_common(at + 4 - back, in.end, common))
        return false;
    const std::uintptr_t function = from.pointer(common.pointer_encoding, 0);
    const std::uintptr_t size = from.pointer(common.pointer_encoding & pe_format, 0);
    if (!from.good() || pc - function >= size)
        return false;
    if (common.has_augmentation)
        from.skip(from.uleb());
    row = {};
    row.function = function;
    row.signal_frame = common.signal_frame;
    row.return_column = common.return_column;
    machine m(common, row, pc);
    if (!m.run(common.begin, common.end, 0))
        return false;
    m.end_of_common();
    return from.good() && m.run(from.at(), end, function);
}

}  // namespace

std::uint64_t table_reader::uleb() noexcept
{
    std::uint64_t value = 0;
    for (unsigned shift = 0; !done(); shift += 7) {
        const auto byte = read<std::uint8_t>();
        if (shift < 64)
            value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
        if ((byte & 0x80U) == 0)
            return value;
    }
    spoil();
    return 0;
}

std::int64_t table_reader::sleb() noexcept
{
    std::uint64_t value = 0;
    for (unsigned shift = 0; !done();) {
        const auto byte = read<std::uint8_t>();
        if (shift < 64)
            value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
        shift += 7;
        if ((byte & 0x80U) == 0) {
            if (shift < 64 && (byte & 0x40U) != 0)
                value |= ~std::uint64_t{0} << shift;
            return static_cast<std::int64_t>(value);
        }
    }
    spoil();
    return 0;
}

std::uintptr_t table_reader::pointer(std::uint8_t encoding, std::uintptr_t data) noexcept
{
    const auto here = reinterpret_cast<std::uintptr_t>(at_);
    std::uintptr_t value = 0;
    switch (encoding & pe_format) {
        case pe_absolute:
        case pe_u8:
        case pe_s8:
            value = read<std::uint64_t>();
            break;
        case pe_uleb:
            value = uleb();
            break;
        case pe_sleb:
            value = static_cast<std::uintptr_t>(sleb());
            break;
        case pe_u2:
            value = read<std::uint16_t>();
            break;
        case pe_s2:
            value = static_cast<std::uintptr_t>(std::intptr_t{read<std::int16_t>()});
            break;
        case pe_u4:
            value = read<std::uint32_t>();
            break;
        case pe_s4:
            value = static_cast<std::uintptr_t>(std::intptr_t{read<std::int32_t>()});
            break;
        default:
            spoil();
            return 0;
    }
    // What is meant is at the address; nothing that is read here has the flag for one more indirection set.
    if ((encoding & pe_relation) == pe_pc_relative)
        value += here;
    else if ((encoding & pe_relation) == pe_data_relative)
        value += data;
    return value;
}

void prepare_unwinding() noexcept
{
    if constexpr (needs_table) {
        std::size_t n = 0;
        dl_iterate_phdr(&note_object, &n);
        object_count.store(n, base::memory_order_release);
    }
}

bool find_row(std::uintptr_t pc, cfi_row& row) noexcept
{
    return row_from(tables_of(pc), pc, row);
}

bool find_row_by_table(std::uintptr_t pc, cfi_row& row) noexcept
{
    std::size_t n = 0;
    dl_iterate_phdr(&note_object, &n);
    object_count.store(n, base::memory_order_release);
    return row_from(tables_by_table(pc), pc, row);
}

}  // namespace weft::sys
