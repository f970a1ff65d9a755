#include "sys/backtrace.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <unwind.h>

#include <cstdint>
#include <cstdlib>

#include "base/check.hpp"
#include "weft/detail/config.hpp"

namespace weft::sys {

namespace {

constexpr int max_frames = 64;

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

/// Inlined, so that the innermost frame is the caller's.
WEFT_ALWAYS_INLINE int walk_stack(const void** addresses, int most, int skip) noexcept
{
    walk w{addresses, most, skip};
    _Unwind_Backtrace(&note_frame, &w);
    return w.noted;
}

}  // namespace

void print_location(const char* prefix, const void* address) noexcept
{
    Dl_info info{};
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) {
        base::report("%s0x%lx\n", prefix, static_cast<unsigned long>(at));
        return;
    }
    const auto offset = static_cast<unsigned long>(at - reinterpret_cast<std::uintptr_t>(info.dli_fbase));
    if (info.dli_sname == nullptr) {
        base::report("%s0x%lx (%s+0x%lx)\n", prefix, static_cast<unsigned long>(at), info.dli_fname, offset);
        return;
    }
    int status = 0;
    char* const name = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
    base::report("%s0x%lx %.1000s (%s+0x%lx)\n", prefix, static_cast<unsigned long>(at),
                 name != nullptr ? name : info.dli_sname, info.dli_fname, offset);
    std::free(name);
}

int note_backtrace(const void** addresses, int most, int skip) noexcept
{
    return walk_stack(addresses, most, skip);
}

void print_noted(const void* const* addresses, int count) noexcept
{
    for (int n = 0; n < count; ++n) {
        char prefix[16] = "    #";
        prefix[5] = static_cast<char>('0' + n / 10);
        prefix[6] = static_cast<char>('0' + n % 10);
        prefix[7] = ' ';
        print_location(prefix, addresses[n]);
    }
}

void print_backtrace(int skip) noexcept
{
    const void* addresses[max_frames];
    print_noted(addresses, walk_stack(addresses, max_frames, skip));
}

}  // namespace weft::sys
