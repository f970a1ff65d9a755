// Printing a stack, with what dladdr knows of its functions.
#pragma once

namespace weft::sys {

/// Writes the calling stack to stderr, a line a frame, leaving out the `skip` innermost frames. May allocate (names are
/// demangled): for panics, not for signal handlers.
void print_backtrace(int skip) noexcept;

/// Notes the code addresses of the calling stack, innermost first, leaving out the `skip` innermost frames; at most
/// `most`. Returns how many. Does not allocate.
int note_backtrace(const void** addresses, int most, int skip) noexcept;
/// Writes what note_backtrace() has noted, as print_backtrace() does.
void print_noted(const void* const* addresses, int count) noexcept;

/// Writes one line for a code address: function (if exported), module and offset, for addr2line.
void print_location(const char* prefix, const void* address) noexcept;

}  // namespace weft::sys
