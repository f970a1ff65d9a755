// The reports of what ends the process: an exception that is not caught, a stack overflow, a wild pointer.
#pragma once

namespace weft::rt {

/// Once, when the runtime starts.
void install_reports() noexcept;

/// A panic of the calling goroutine: reports `what` and terminates.
[[noreturn]] void panic(const char* what) noexcept;

}  // namespace weft::rt
