// The reports of what ends the process: an exception that nobody catches, a stack overflow.
#include <cxxabi.h>
#include <unwind.h>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <typeinfo>

#include "base/check.hpp"
#include "rt/hibernate.hpp"
#include "rt/rt.hpp"
#include "rt/sched.hpp"
#include "rt/stack.hpp"
#include "sys/backtrace.hpp"
#include "sys/context.hpp"
#include "sys/signal.hpp"

namespace weft::rt {

namespace {

struct title {
    unsigned long long id;
    const char* open;
    const char* name;
    const char* close;

    explicit title(const g& item) noexcept
        : id(item.id),
          open(named(item) ? " [" : ""),
          name(named(item) ? item.extra->name.c_str() : ""),
          close(named(item) ? "]" : "")
    {
    }
    static bool named(const g& item) noexcept { return item.extra != nullptr && !item.extra->name.empty(); }
};

void report_origin(const g& item, sys::naming names = sys::naming::full) noexcept
{
    base::printer out(2);  // stderr
    sys::print_origin(out, item.started_at, names);
}

/// An exception has found no handler on a goroutine's stack. Called on top of the throwing stack.
void on_unhandled(void* exception)
{
    const g& me = *this_m()->current;
    const title who(me);
    abi::__cxa_begin_catch(exception);
    const std::type_info* const type = abi::__cxa_current_exception_type();
    int status = 0;
    char* const name = type == nullptr ? nullptr : abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
    const char* const type_name = name != nullptr ? name : type != nullptr ? type->name() : "a foreign exception";
    try {
        throw;
    } catch (const std::exception& e) {
        base::report("panic: goroutine %llu%s%.200s%s: an exception was not caught: %.500s: %.2000s\n", who.id,
                     who.open, who.name, who.close, type_name, e.what());
    } catch (...) {
        base::report("panic: goroutine %llu%s%.200s%s: an exception was not caught: %.500s\n", who.id, who.open,
                     who.name, who.close, type_name);
    }
    std::free(name);
    base::report("  state: running\n");
    report_origin(me);
    base::report("  stack:\n");
    constexpr int ours = 2;  // this function and the personality routine
    sys::print_backtrace(ours);
    std::terminate();
}

/// In the SIGSEGV handler.
bool on_fault(std::uintptr_t address, std::uintptr_t stack_pointer, std::uintptr_t instruction)
{
    if (restore_at(address, instruction))
        return true;
    const m* const self = this_m();
    if (self == nullptr || self->current == nullptr)
        return false;
    const g& me = *self->current;
    const std::size_t size = stack_bytes(me.stack_class);
    const auto low = reinterpret_cast<std::uintptr_t>(me.stack_top) - size;
    const std::uintptr_t usable = low + stack_guard_bytes(me.stack_class);
    // In the guard; or a frame so large that it has jumped over it: then the stack pointer is below our stack.
    constexpr std::uintptr_t jump = std::uintptr_t{1} << 30;
    const bool overflow =
        (address >= low && address < usable) || (stack_pointer < usable && stack_pointer + jump > low);
    if (!overflow)
        return false;
    const title who(me);
    base::report(
        "fatal error: stack overflow: goroutine %llu%s%.200s%s has used up its stack of %zu KiB; if it is meant to "
        "go that deep, start it with a larger attr::stack_size\n",
        who.id, who.open, who.name, who.close, size / 1024);
    base::report("  state: running\n");
    report_origin(me, sys::naming::plain);
    base::report("  stack:\n");
    sys::print_backtrace(1, sys::naming::plain);
    std::abort();
}

}  // namespace

void panic(const char* what) noexcept
{
    if (on_goroutine()) {
        const g& me = *this_m()->current;
        const title who(me);
        base::report("panic: goroutine %llu%s%.200s%s: %s\n  state: running\n", who.id, who.open, who.name, who.close,
                     what);
        report_origin(me);
    } else {
        base::report("panic: on a plain thread: %s\n", what);
    }
    base::report("  stack:\n");
    sys::print_backtrace(1);
    std::terminate();
}

void install_reports() noexcept
{
    sys::set_unhandled_hook(&on_unhandled);
    sys::install_fault_handler(&on_fault);
}

}  // namespace weft::rt
