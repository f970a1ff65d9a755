// The symboliser of weft::debug: names, files and lines by elfutils' libdw, from what the process has mapped.
//
// Found by the core at run time, by name (weft/detail/symbolise.hpp), so nothing of weft's is needed here. Debug
// information is looked for in the objects themselves and, by build-id, under /usr/lib/debug; never on the network.
#include <dwarf.h>
#include <elfutils/libdwfl.h>

#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "weft/detail/config.hpp"
#include "weft/detail/symbolise.hpp"

namespace {

using visit_fn = void (*)(const weft_debug_symbol* symbol, void* argument) noexcept;

char* no_path = nullptr;  // libdw's default places

const Dwfl_Callbacks callbacks{&dwfl_linux_proc_find_elf, &dwfl_build_id_find_debuginfo, nullptr, &no_path};

/// What libdw knows of this process. Guarded by `lock`; kept, because reading it takes milliseconds.
class process {
public:
    /// Null: libdw can't look.
    Dwfl_Module* module_of(Dwarf_Addr address)
    {
        if (session_ == nullptr && !begin())
            return nullptr;
        Dwfl_Module* const known = dwfl_addrmodule(session_, address);
        if (known != nullptr)
            return known;
        end();  // perhaps its object was loaded since
        return begin() ? dwfl_addrmodule(session_, address) : nullptr;
    }

private:
    bool begin()
    {
        session_ = dwfl_begin(&callbacks);
        if (session_ == nullptr)
            return false;
        dwfl_report_begin(session_);
        const bool good = dwfl_linux_proc_report(session_, getpid()) == 0;
        (void)dwfl_report_end(session_, nullptr, nullptr);
        if (!good)
            end();
        return good;
    }
    void end()
    {
        if (session_ != nullptr)
            dwfl_end(session_);
        session_ = nullptr;
    }

    Dwfl* session_ = nullptr;
};

std::mutex lock;
process& known()
{
    static process* const one = new process;  // never destroyed: reports come until the very end
    return *one;
}

/// As the linker has it, else as the source has it; null: neither.
const char* name_of(Dwarf_Die* die)
{
    Dwarf_Attribute attribute;
    Dwarf_Attribute* found = dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute);
    if (found == nullptr)
        found = dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute);
    const char* const name = found != nullptr ? dwarf_formstring(found) : nullptr;
    return name != nullptr ? name : dwarf_diename(die);
}

struct source {
    const char* file = nullptr;
    int line = 0;
};

/// A compilation unit, and by what its addresses differ from those in memory.
struct unit_at {
    Dwarf_Die* die = nullptr;
    Dwarf_Addr bias = 0;
};

/// libdw looks in a table that Clang does not write; then the units are asked one by one.
unit_at unit_of(Dwfl_Module* module, Dwarf_Addr address)
{
    unit_at found;
    found.die = dwfl_module_addrdie(module, address, &found.bias);
    if (found.die == nullptr) {
        do
            found.die = dwfl_module_nextcu(module, found.die, &found.bias);
        while (found.die != nullptr && dwarf_haspc(found.die, address - found.bias) <= 0);
    }
    return found;
}

source line_of(const unit_at& unit, Dwarf_Addr address)
{
    source at;
    Dwarf_Line* const line = unit.die != nullptr ? dwarf_getsrc_die(unit.die, address - unit.bias) : nullptr;
    if (line != nullptr && dwarf_lineno(line, &at.line) == 0)
        at.file = dwarf_linesrc(line, nullptr, nullptr);
    return at;
}

/// Where an inlined function was called from.
source call_of(Dwarf_Die* unit, Dwarf_Die* inlined)
{
    source at;
    Dwarf_Attribute attribute;
    Dwarf_Word number = 0;
    if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &number) == 0)
        at.line = static_cast<int>(number);
    Dwarf_Files* files = nullptr;
    if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &number) == 0 &&
        dwarf_getsrcfiles(unit, &files, nullptr) == 0)
        at.file = dwarf_filesrc(files, number, nullptr, nullptr);
    return at;
}

/// Visits the functions at `address`, the innermost first. False: debug information knows of none.
bool visit_scopes(const unit_at& unit, Dwarf_Addr address, const char* linked_name, visit_fn visit, void* argument)
{
    // The first call finds the innermost scope, but then goes on to where that was written; the second one goes on to
    // what it was inlined into.
    Dwarf_Die* innermost = nullptr;
    Dwarf_Die* scopes = nullptr;
    int n = 0;
    if (unit.die != nullptr && dwarf_getscopes(unit.die, address - unit.bias, &innermost) > 0)
        n = dwarf_getscopes_die(innermost, &scopes);
    std::free(innermost);
    bool any = false;
    source at = line_of(unit, address);
    for (int i = 0; i < n; ++i) {
        Dwarf_Die* const scope = &scopes[i];
        const int tag = dwarf_tag(scope);
        if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
            continue;
        const bool outermost = tag == DW_TAG_subprogram;
        const char* name = name_of(scope);
        if (outermost && linked_name != nullptr)
            name = linked_name;
        const weft_debug_symbol symbol{name, at.file, at.line};
        visit(&symbol, argument);
        any = true;
        if (outermost)
            break;  // what encloses it is where it was declared, not where it was called
        at = call_of(unit.die, scope);
    }
    std::free(scopes);
    return any;
}

/// What was found for an address.
struct entry {
    std::string function;
    bool named;
    std::string file;
    bool located;
    int line;
};
using entries = std::vector<entry>;

entries look_up(Dwarf_Addr at)
{
    entries found;
    const visit_fn note = [](const weft_debug_symbol* symbol, void* list) noexcept
    {
        const auto text = [](const char* t) { return std::string(t != nullptr ? t : ""); };
        static_cast<entries*>(list)->push_back({text(symbol->function), symbol->function != nullptr, text(symbol->file),
                                                symbol->file != nullptr, symbol->line});
    };
    Dwfl_Module* const module = known().module_of(at);
    if (module == nullptr)
        return found;
    const char* const linked_name = dwfl_module_addrname(module, at);
    const unit_at unit = unit_of(module, at);
    if (visit_scopes(unit, at, linked_name, note, &found) || linked_name == nullptr)
        return found;
    const source where = line_of(unit, at);
    const weft_debug_symbol symbol{linked_name, where.file, where.line};
    note(&symbol, &found);
    return found;
}

/// libdw keeps tables on the stack, and a goroutine's is too small for those: a thread of its own looks. It ends at
/// once, since the core counts threads to tell a deadlock. Guarded by `lock`.
const entries& entries_of(Dwarf_Addr at)
{
    constexpr std::size_t most = 10'000;
    static auto& cache = *new std::unordered_map<Dwarf_Addr, entries>;
    if (const auto found = cache.find(at); found != cache.end())
        return found->second;
    if (cache.size() == most)
        cache.clear();
    entries& fresh = cache[at];
    std::thread([&fresh, at] { fresh = look_up(at); }).join();
    return fresh;
}

}  // namespace

extern "C" WEFT_API void weft_debug_symbolise(const void* address, visit_fn visit, void* argument)
{
    try {
        const std::lock_guard guard(lock);
        for (const entry& e : entries_of(reinterpret_cast<Dwarf_Addr>(address))) {
            const weft_debug_symbol symbol{e.named ? e.function.c_str() : nullptr, e.located ? e.file.c_str() : nullptr,
                                           e.line};
            visit(&symbol, argument);
        }
    } catch (const std::exception&) {  // no memory or no thread: the caller goes without names
    }
}
