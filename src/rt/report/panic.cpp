#include "rt/report/panic.hpp"

#include <cxxabi.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <typeinfo>

#include "base/atomic.hpp"
#include "base/check.hpp"
#include "base/printer.hpp"
#include "rt/core/current.hpp"
#include "rt/core/g.hpp"
#include "rt/core/m.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/report/dump.hpp"
#include "rt/report/stack_walk.hpp"
#include "rt/sched/facts.hpp"
#include "rt/sched/run_queues.hpp"
#include "rt/services/hibernate/hibernate.hpp"
#include "rt/stack/stack.hpp"
#include "sys/backtrace.hpp"
#include "sys/cfi.hpp"
#include "sys/clock.hpp"
#include "sys/context.hpp"
#include "sys/futex.hpp"
#include "sys/signal.hpp"
#include "sys/thread.hpp"

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

constexpr int to_stderr = 2;

void report_origin(const g& item) noexcept
{
    base::printer out(to_stderr);
    sys::print_origin(out, item.started_at);
}

/// Reports what is being handled as the panic of `who`.
void report_current_exception(const char* who) noexcept
{
    const std::type_info* const type = abi::__cxa_current_exception_type();
    int status = 0;
    char* const name = type == nullptr ? nullptr : abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
    const char* const type_name = name != nullptr ? name : type != nullptr ? type->name() : "a foreign exception";
    try {
        throw;
    } catch (const std::exception& e) {
        base::report("panic: %s: an exception was not caught: %.500s: %.2000s\n", who, type_name, e.what());
    } catch (...) {
        base::report("panic: %s: an exception was not caught: %.500s\n", who, type_name);
    }
    std::free(name);
}

// --- an exception that leaves the main goroutine, and run(), belongs to the caller. It is a panic if that has no
// handler: std::terminate is called then before anything is unwound, run() included.

/// Threads that are in run(), by the kernel's ids; more at a time than these go without a report. 0: free.
std::array<base::atomic<int>, 8> run_threads{};
std::terminate_handler terminate_before = nullptr;

void on_terminate()
{
    const int me = sys::this_thread_id();
    const auto is_mine = [me](const base::atomic<int>& id) { return id.load(base::memory_order_relaxed) == me; };
    if (!on_goroutine() && std::ranges::any_of(run_threads, is_mine) &&
        abi::__cxa_current_exception_type() != nullptr) {
        report_current_exception("the main goroutine");
        base::report("  it has left weft::run(), whose callers don't catch it\n  stack:\n");
        sys::print_backtrace(2);
    }
    terminate_before();
}

/// An exception has found no handler on a goroutine's stack. Called on top of the throwing stack.
void on_unhandled(void* exception)
{
    const g& me = *this_m()->current;
    const title who(me);
    abi::__cxa_begin_catch(exception);
    std::array<char, 300> text;
    (void)std::snprintf(text.data(), text.size(), "goroutine %llu%s%.200s%s", who.id, who.open, who.name, who.close);
    report_current_exception(text.data());
    base::report("  state: running\n");
    report_origin(me);
    base::report("  stack:\n");
    constexpr int ours = 2;  // this function and the personality routine
    sys::print_backtrace(ours);
    std::terminate();
}

// --- faults, in the signal handler. The interrupted code may hold any lock, that of malloc included: nothing here
// takes one, except that of the list of control blocks, which is held for moments and never by user code.

/// The process dies of one report, and others wait for that: two that fault at once would write into each other's.
/// False: a fault within the report, or whoever has begun one does not come to its end.
bool begin_last_report() noexcept
{
    static base::atomic<std::uint32_t> reporter{0};    // its thread's id in the kernel
    constexpr std::int64_t patience = 10'000'000'000;  // ns
    const auto me = static_cast<std::uint32_t>(sys::this_thread_id());
    std::uint32_t who = 0;
    if (reporter.compare_exchange_strong(who, me, base::memory_order_relaxed))
        return true;
    const std::int64_t end = sys::monotonic_now() + patience;
    while (who != me && sys::futex_wait_until(reporter, who, end)) {
    }
    return false;
}

struct stack_owner {
    const char* top;
    const g* who = nullptr;
};

__attribute__((no_sanitize("thread"))) void note_owner(g& item, void* argument) noexcept
{
    auto& wanted = *static_cast<stack_owner*>(argument);
    if (item.stack_top == wanted.top && (item.flags & (g::a_thread | g::no_stack)) == 0 &&
        item.state.load(base::memory_order_relaxed) != g_state::dead)
        wanted.who = &item;
}

/// Says what the address is, if it is one of a goroutine's stack.
void print_place(base::printer& out, const stack_at& at, std::uintptr_t address, const g* me) noexcept
{
    if (at.top == nullptr)
        return;
    const std::uintptr_t low = reinterpret_cast<std::uintptr_t>(at.top) - stack_bytes(at.cls);
    out.print(address < low + stack_guard ? ", in the guard below" : ", in");
    stack_owner owner{at.top};
    for_each_g(&note_owner, &owner);
    if (owner.who == nullptr) {
        out.print(" a stack that no goroutine has now");
    } else if (owner.who == me) {
        out.print(" its own stack, but far from where it stands there");
    } else {
        const name_copy name = name_copy::of(owner.who->extra);
        out.print(" the stack of goroutine %llu%s%s%s", static_cast<unsigned long long>(owner.who->id),
                  name.empty() ? "" : " [", name.text.data(), name.empty() ? "" : "]");
    }
}

void print_rest(base::printer& out, const g& me, const sys::fault& what) noexcept
{
    out.print("  state: running\n");
    sys::print_origin(out, me.started_at, sys::naming::plain);
    goroutine_stack stack;
    walk_faulted(what.ucontext, {me.stack_top, me.stack_class}, stack);
    print_stack(out, std::span(stack.pcs).first(stack.count), stack.end, sys::naming::plain);
}

/// Whether `me` has used up its stack: it has touched what lies below the usable part, and its stack pointer is there
/// as well, or has just been about to get there. A frame that is larger than the guard may have jumped over it.
bool is_overflow(const g& me, const sys::fault& what) noexcept
{
    constexpr std::uintptr_t reach =
        1'024;  // below the stack pointer: a push, aarch64's stp with its offset, red zones
    constexpr std::uintptr_t jump = std::uintptr_t{1} << 30U;
    const std::uintptr_t low = reinterpret_cast<std::uintptr_t>(me.stack_top) - stack_bytes(me.stack_class);
    const std::uintptr_t usable = low + stack_guard;
    const std::uintptr_t sp = what.stack_pointer;
    if (what.on_signal_stack)
        return false;
    if (!what.has_address)  // no room for the frame of a handler that does not run on the alternate stack
        return sp >= low && sp < usable + sys::signal_frame_bytes();
    return what.address < usable && what.address + reach >= sp && sp + jump > low;
}

[[noreturn]] void die_of_overflow(const g& me, const sys::fault& what) noexcept
{
    if (!begin_last_report())
        std::abort();
    const title who(me);
    base::printer out(to_stderr);
    out.print(
        "fatal error: stack overflow: goroutine %llu%s%.200s%s has used up its stack of %zu KiB%s; if it is meant to "
        "go "
        "that deep, start it with a larger attr::stack_size\n",
        who.id, who.open, who.name, who.close, largest_stack_size(me.stack_class) / 1024,
        what.has_address ? "" : ", where a signal's handler without SA_ONSTACK wanted to run");
    print_rest(out, me, what);
    out.flush();
    std::abort();
}

/// The running goroutine; null on plain threads and g0.
const g* running() noexcept
{
    const m* const self = this_m();
    return self == nullptr ? nullptr : self->current;
}

/// What goes by the address alone comes first: any thread may have touched any stack.
bool on_fault(const sys::fault& what) noexcept
{
    if (what.has_address && restore_at(what.address, what.instruction))
        return true;
    const g* const me = running();
    if (me != nullptr && is_overflow(*me, what))
        die_of_overflow(*me, what);
    return false;
}

/// The fault is nobody's. Plain threads are left to the tools that the system has, unless it was our memory.
void report_wild_pointer(const sys::fault& what) noexcept
{
    const g* const me = running();
    const stack_at at = what.has_address ? find_stack(what.address) : stack_at{nullptr, 0};
    if ((me == nullptr && at.top == nullptr) || !begin_last_report())
        return;
    base::printer out(to_stderr);
    out.print("fatal error: %s: ", what.is_bus_error ? "SIGBUS" : "SIGSEGV");
    if (me != nullptr) {
        const title who(*me);
        out.print("goroutine %llu%s%.200s%s", who.id, who.open, who.name, who.close);
    } else {
        out.print("a plain thread");
    }
    if (what.on_signal_stack)
        out.print(", in a signal handler,");
    if (what.has_address)
        out.print(" has used a wild pointer: 0x%lx", static_cast<unsigned long>(what.address));
    else
        out.print(" has used a wild pointer: an address that can't exist");
    print_place(out, at, what.address, me);
    out.print(me != nullptr ? " (no overflow of its stack)\n" : "\n");
    if (me != nullptr)
        print_rest(out, *me, what);
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

void begin_run_reports() noexcept
{
    for (base::atomic<int>& slot : run_threads) {
        int none = 0;
        if (slot.compare_exchange_strong(none, sys::this_thread_id(), base::memory_order_relaxed))
            return;
    }
}

void end_run_reports() noexcept
{
    const int me = sys::this_thread_id();
    for (base::atomic<int>& slot : run_threads) {
        if (slot.load(base::memory_order_relaxed) == me)
            slot.store(0, base::memory_order_relaxed);
    }
}

void install_reports() noexcept
{
    terminate_before = std::set_terminate(&on_terminate);
    sys::set_unhandled_hook(&on_unhandled);
    sys::prepare_unwinding();
    sys::install_fault_handler({&on_fault, &report_wild_pointer, &this_thread_fault_word});
}

}  // namespace weft::rt
