// The reports of what ends the process: an exception that is not caught, a stack overflow, a wild pointer.
#pragma once

namespace weft::rt {

/// Once, when the runtime starts.
void install_reports() noexcept;

/// Around a run(), in its thread: what leaves the main goroutine without a handler outside is reported as its panic.
void begin_run_reports() noexcept;
void end_run_reports() noexcept;

/// A panic of the calling goroutine: reports `what` and terminates.
[[noreturn]] void panic(const char* what) noexcept;

}  // namespace weft::rt
