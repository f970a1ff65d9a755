#include "sys/backtrace.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/atomic.hpp"
#include "sys/symbol_table.hpp"
#include "weft/detail/config.hpp"
#include "weft/detail/symbolise.hpp"

namespace weft::sys {

namespace {

constexpr int max_frames = 64;
constexpr int to_stderr = 2;

struct walk {
    const void** addresses;
    int most;
    int skip;
    int noted = 0;
};

_Unwind_Reason_Code note_frame(_Unwind_Context* context, void* argument)
{
    auto& w = *static_cast<walk*>(argument);
    int before_instruction = 0;
    std::uintptr_t pc = _Unwind_GetIPInfo(context, &before_instruction);
    if (pc == 0)
        return _URC_END_OF_STACK;
    if (w.skip-- > 0)
        return _URC_NO_REASON;
    if (before_instruction == 0)
        --pc;  // a return address: inside the call that it follows
    w.addresses[w.noted++] = reinterpret_cast<const void*>(pc);
    return w.noted < w.most ? _URC_NO_REASON : _URC_END_OF_STACK;
}

struct free_memory {
    void operator()(char* text) const noexcept { std::free(text); }
};

/// A function's name as written in C++, as far as it is one.
class readable {
public:
    explicit readable(const char* name, naming names = naming::full) noexcept : name_(name)
    {
        int status = 0;
        if (name != nullptr && names == naming::full)
            demangled_.reset(abi::__cxa_demangle(name, nullptr, nullptr, &status));
    }
    [[nodiscard]] const char* text() const noexcept { return demangled_ != nullptr ? demangled_.get() : name_; }

private:
    const char* name_;
    std::unique_ptr<char, free_memory> demangled_;
};

/// An address's module, and its offset there.
struct place {
    const char* module = nullptr;
    unsigned long offset = 0;

    explicit place(const void* address) noexcept
    {
        Dl_info info{};
        if (dladdr(address, &info) == 0 || info.dli_fname == nullptr)
            return;
        module = info.dli_fname;
        offset = static_cast<unsigned long>(reinterpret_cast<std::uintptr_t>(address) -
                                            reinterpret_cast<std::uintptr_t>(info.dli_fbase));
    }
};

/// std::invoke and what it is made of: nothing that a reader looks for.
bool is_plumbing(const char* mangled) noexcept
{
    constexpr std::array<std::string_view, 4> plumbing{"_ZSt6invoke", "_ZSt8__invoke", "_ZSt10__invoke_r",
                                                       "_ZSt13__invoke_impl"};
    return mangled != nullptr && std::ranges::any_of(plumbing, [&](std::string_view prefix)
                                                     { return std::string_view(mangled).starts_with(prefix); });
}

struct printing {
    base::printer& out;
    const char* prefix;
    const void* address;
    bool began = false;
    bool folded = false;  ///< what is there is left out
};

void print_plainly(printing& p, naming names) noexcept
{
    const char* const mangled = symbol_at(p.address);
    p.folded = is_plumbing(mangled);
    if (p.folded)
        return;
    p.began = true;
    const auto at = static_cast<unsigned long>(reinterpret_cast<std::uintptr_t>(p.address));
    const place where(p.address);
    const readable name(mangled, names);
    if (where.module == nullptr)
        p.out.print("%s0x%lx\n", p.prefix, at);
    else if (name.text() == nullptr)
        p.out.print("%s0x%lx (%.1000s+0x%lx)\n", p.prefix, at, where.module, where.offset);
    else
        p.out.print("%s0x%lx %.1000s (%.1000s+0x%lx)\n", p.prefix, at, name.text(), where.module, where.offset);
}

/// Found at run time, so that it may come with LD_PRELOAD into a program that knows nothing of it. Not for plain names:
/// what is not found is an error, whose text dlsym() allocates.
weft_debug_symbolise_fn symboliser() noexcept
{
    static const auto found = reinterpret_cast<weft_debug_symbolise_fn>(dlsym(RTLD_DEFAULT, WEFT_DEBUG_SYMBOLISE));
    return found;
}

void print_symbol(const weft_debug_symbol* symbol, void* argument) noexcept
{
    auto& p = *static_cast<printing*>(argument);
    if (is_plumbing(symbol->function)) {
        p.folded = true;
        return;
    }
    const readable name(symbol->function);
    const char* const function = name.text() != nullptr ? name.text() : "??";
    std::array<char, 1'024> line{};
    if (symbol->file != nullptr)
        (void)std::snprintf(line.data(), line.size(), " at %.900s:%d", symbol->file, symbol->line);
    if (p.began) {
        p.out.print("        inlined in %.1000s%s\n", function, line.data());
        return;
    }
    p.began = true;
    const place where(p.address);
    p.out.print("%s0x%lx %.1000s%s", p.prefix, static_cast<unsigned long>(reinterpret_cast<std::uintptr_t>(p.address)),
                function, line.data());
    if (where.module != nullptr)
        p.out.print(" (%.1000s+0x%lx)", where.module, where.offset);
    p.out.print("\n");
}

}  // namespace

bool print_location(base::printer& out, const char* prefix, const void* address, naming names) noexcept
{
    printing p{out, prefix, address};
    if (names == naming::full && symboliser() != nullptr)
        symboliser()(address, &print_symbol, &p);
    if (!p.began && !p.folded)
        print_plainly(p, names);
    return p.began;
}

void print_origin(base::printer& out, const void* return_address, naming names) noexcept
{
    const auto after = reinterpret_cast<std::uintptr_t>(return_address);
    (void)print_location(out, "  started at ", reinterpret_cast<const void*>(after - 1), names);
}

bool print_frame(base::printer& out, unsigned number, const void* address, naming names) noexcept
{
    std::array<char, 32> prefix{};
    (void)std::snprintf(prefix.data(), prefix.size(), "    #%02u ", number);
    return print_location(out, prefix.data(), address, names);
}

void print_hint(base::printer& out) noexcept
{
    static base::atomic<bool> given{false};
    if (symboliser() == nullptr && !given.exchange(true, base::memory_order_relaxed))
        out.print("  (for files and lines, link weft::debug or preload libweft_debug.so)\n");
}

void print_backtrace(int skip) noexcept
{
    const void* addresses[max_frames];
    walk w{addresses, max_frames, skip};
    _Unwind_Backtrace(&note_frame, &w);
    base::printer out(to_stderr);
    unsigned number = 0;
    for (int n = 0; n < w.noted; ++n)
        number += print_frame(out, number, addresses[n]) ? 1U : 0U;
    print_hint(out);
}

}  // namespace weft::sys
