#include "sys/backtrace.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <unwind.h>

#include <cstdint>
#include <cstdlib>

#include "base/check.hpp"

namespace weft::sys {

namespace {

constexpr int max_frames = 64;

struct walk {
    int skip;
    int printed = 0;
};

_Unwind_Reason_Code print_frame(_Unwind_Context* context, void* argument)
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
    char prefix[16] = "    #";
    const int n = w.printed++;
    prefix[5] = static_cast<char>('0' + n / 10);
    prefix[6] = static_cast<char>('0' + n % 10);
    prefix[7] = ' ';
    print_location(prefix, reinterpret_cast<const void*>(pc));
    return w.printed < max_frames ? _URC_NO_REASON : _URC_END_OF_STACK;
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

void print_backtrace(int skip) noexcept
{
    walk w{skip};
    _Unwind_Backtrace(&print_frame, &w);
}

}  // namespace weft::sys
