// Ending the process when going on would be wrong.
#pragma once

#include <cstdarg>

namespace weft::base {

/// Writes "fatal error: ..." to stderr, with no allocation, and aborts: the runtime is corrupt or can't go on.
[[noreturn]] void fatal(const char* format, ...) noexcept __attribute__((format(printf, 1, 2)));

/// printf to stderr in one write, with no allocation; at most 4 KiB. Usable in signal handlers as far as vsnprintf of
/// integers and strings is.
void report(const char* format, ...) noexcept __attribute__((format(printf, 1, 2)));

/// Ends the process: what is in stdout's buffer is written, unless somebody has locked stdout; no exit handler and no
/// static destructor runs.
[[noreturn]] void end_process(int status) noexcept;

/// An invariant of the runtime. Checked in every build: all uses are off the hot paths.
inline void check(bool holds, const char* what) noexcept
{
    if (!holds) [[unlikely]]
        fatal("broken invariant: %s (a bug in weft, please report it)", what);
}

}  // namespace weft::base
