#include "sys/backtrace.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <unwind.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

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
    const char* function = nullptr;

    explicit place(const void* address) noexcept
    {
        Dl_info info{};
        if (dladdr(address, &info) == 0 || info.dli_fname == nullptr)
            return;
        module = info.dli_fname;
        offset = static_cast<unsigned long>(reinterpret_cast<std::uintptr_t>(address) -
                                            reinterpret_cast<std::uintptr_t>(info.dli_fbase));
        function = info.dli_sname;
    }
};

void print_plainly(base::printer& out, const char* prefix, const void* address, naming names) noexcept
{
    const auto at = static_cast<unsigned long>(reinterpret_cast<std::uintptr_t>(address));
    const place where(address);
    const readable name(where.function, names);
    if (where.module == nullptr)
        out.print("%s0x%lx\n", prefix, at);
    else if (name.text() == nullptr)
        out.print("%s0x%lx (%.1000s+0x%lx)\n", prefix, at, where.module, where.offset);
    else
        out.print("%s0x%lx %.1000s (%.1000s+0x%lx)\n", prefix, at, name.text(), where.module, where.offset);
}

struct printing {
    base::printer& out;
    const char* prefix;
    const void* address;
    bool began = false;
};

void print_symbol(const weft_debug_symbol* symbol, void* argument) noexcept
{
    auto& p = *static_cast<printing*>(argument);
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

void print_location(base::printer& out, const char* prefix, const void* address, naming names) noexcept
{
    printing p{out, prefix, address};
    if (names == naming::full) {
        // Found at run time, so that it may come with LD_PRELOAD into a program that knows nothing of it. Not for plain
        // names: what is not found is an error, whose text dlsym() allocates.
        static const auto symbolise =
            reinterpret_cast<weft_debug_symbolise_fn>(dlsym(RTLD_DEFAULT, WEFT_DEBUG_SYMBOLISE));
        if (symbolise != nullptr)
            symbolise(address, &print_symbol, &p);
    }
    if (!p.began)
        print_plainly(out, prefix, address, names);
}

void print_origin(base::printer& out, const void* return_address, naming names) noexcept
{
    const auto after = reinterpret_cast<std::uintptr_t>(return_address);
    print_location(out, "  started at ", reinterpret_cast<const void*>(after - 1), names);
}

void print_frame(base::printer& out, unsigned number, const void* address, naming names) noexcept
{
    std::array<char, 32> prefix{};
    (void)std::snprintf(prefix.data(), prefix.size(), "    #%02u ", number);
    print_location(out, prefix.data(), address, names);
}

void print_backtrace(int skip) noexcept
{
    const void* addresses[max_frames];
    walk w{addresses, max_frames, skip};
    _Unwind_Backtrace(&note_frame, &w);
    base::printer out(to_stderr);
    for (int n = 0; n < w.noted; ++n)
        print_frame(out, static_cast<unsigned>(n), addresses[n]);
}

}  // namespace weft::sys
