// Goroutines as users see them.
#include "weft/go.hpp"

#include <cxxabi.h>
#include <unwind.h>

#include <stdexcept>
#include <utility>

#include "rt/rt.hpp"
#include "sys/exception_globals.hpp"
#include "weft/runtime.hpp"

namespace weft {

namespace {

// exit_goroutine() is a forced unwind, as pthread_exit() is (Itanium C++ ABI, Exception Handling, 1.3): destructors
// run, handlers of particular types do not match, and `catch (...)` must rethrow.
//
// For libstdc++ it is a foreign exception: that is not counted in uncaught_exceptions(), and a `catch (...)` that meets
// it while another exception is being handled ends in std::terminate. So it is counted here, and what the goroutine
// handles is put aside: the ends of those handlers then find nothing to end, and it is ended when no frame is left. But
// not where the control block may be another goroutine's by then, and the exceptions' destructors must not run.
struct exit_unwind {
    _Unwind_Exception exception{};
    rt::goroutine_end end;
    sys::exception_globals handled{};
};

void end_handlers(void* caught) noexcept
{
    sys::exception_globals* now = sys::thread_exception_globals();
    *now = {caught, 0};
    while (now->caught != nullptr) {
        abi::__cxa_end_catch();
        now = sys::thread_exception_globals();  // an exception's destructor may have parked
    }
}

constexpr _Unwind_Exception_Class exit_class = 0x57454654'45584954;  // "WEFTEXIT"

_Unwind_Reason_Code on_frame(int, _Unwind_Action actions, _Unwind_Exception_Class, _Unwind_Exception*, _Unwind_Context*,
                             void* argument)
{
    if ((actions & _UA_END_OF_STACK) == 0)
        return _URC_NO_REASON;
    const auto* const unwind = static_cast<exit_unwind*>(argument);
    const rt::goroutine_end end = unwind->end;
    void* const caught = unwind->handled.caught;
    delete unwind;
    end_handlers(caught);
    rt::end_goroutine(end);
}

void on_swallowed(_Unwind_Reason_Code, _Unwind_Exception*)
{
    rt::panic("a catch (...) has ended the unwinding of weft::exit_goroutine(); it must rethrow");
}

}  // namespace

void yield()
{
    rt::yield();
}

// Its frame is never left: AddressSanitizer would keep what it marks there for those that come to lie there.
__attribute__((no_sanitize("address"))) void exit_goroutine()
{
    if (!rt::on_goroutine())
        throw std::logic_error("weft::exit_goroutine was called on a plain thread; it ends goroutines only");
    // Not on this stack: the landing pads that run meanwhile overwrite this frame.
    auto* const unwind = new exit_unwind{{}, rt::end_of(*rt::current())};
    unwind->exception.exception_class = exit_class;
    unwind->exception.exception_cleanup = &on_swallowed;
    sys::exception_globals& now = *sys::thread_exception_globals();
    if (!unwind->end.kept)
        unwind->handled.caught = std::exchange(now.caught, nullptr);
    ++now.uncaught;
    _Unwind_ForcedUnwind(&unwind->exception, &on_frame, unwind);
    rt::panic("the stack can't be unwound for weft::exit_goroutine(): code without unwind tables is on it");
}

std::uint64_t goroutine_id() noexcept
{
    return rt::on_goroutine() ? rt::this_m()->current->id : 0;
}

std::size_t stack_remaining() noexcept
{
    return rt::stack_remaining();
}

void lock_thread()
{
    rt::lock_thread();
}

void unlock_thread()
{
    if (!rt::unlock_thread())
        throw std::logic_error("weft::unlock_thread without a lock_thread before it in this goroutine");
}

}  // namespace weft
