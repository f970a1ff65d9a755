// Printing a stack, with what is known of its functions: by dladdr(), or by the symboliser of weft::debug where that is
// in the process.
#pragma once

#include "base/printer.hpp"

namespace weft::sys {

/// Which means are used for names.
enum class naming {
    full,   ///< weft::debug if it is there; reads files
    plain,  ///< dladdr() alone, as the linker knows them, without an allocation: where malloc's lock may be held
};

/// Writes the calling stack to stderr, a line a frame, leaving out the `skip` innermost frames. May allocate (names are
/// demangled): for panics, not for signal handlers.
void print_backtrace(int skip) noexcept;

/// Writes a line for a code address: function (if exported), module and offset, for addr2line. With weft::debug: any
/// function, file and line, and a line more for each function that was inlined there.
void print_location(base::printer& out, const char* prefix, const void* address, naming names = naming::full) noexcept;
/// Writes "  started at " and print_location() of a call, for the address after it.
void print_origin(base::printer& out, const void* return_address, naming names = naming::full) noexcept;
/// print_location() for frame `number` of a stack.
void print_frame(base::printer& out, unsigned number, const void* address, naming names = naming::full) noexcept;

}  // namespace weft::sys
