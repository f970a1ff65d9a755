// Printing a stack, with what is known of its functions: by the symbol tables of its files, or by the symboliser of
// weft::debug where that is in the process.
#pragma once

#include "base/printer.hpp"

namespace weft::sys {

/// Which means are used for names.
enum class naming {
    full,   ///< weft::debug if it is there; reads files
    plain,  ///< symbol tables alone, as the linker knows them, without an allocation: where malloc's lock may be held
};

/// Writes the calling stack to stderr, a line a frame, leaving out the `skip` innermost frames. May allocate (names are
/// demangled): for panics, not for signal handlers.
void print_backtrace(int skip) noexcept;

/// Writes a line for a code address: function (if its object has a symbol for it), module and offset, for addr2line.
/// With weft::debug: file and line too, and a line more for each function that was inlined there. False: nothing but
/// std::invoke is there, and nothing is written.
bool print_location(base::printer& out, const char* prefix, const void* address, naming names = naming::full) noexcept;
/// Writes "  started at " and print_location() of a call, for the address after it.
void print_origin(base::printer& out, const void* return_address, naming names = naming::full) noexcept;
/// print_location() for frame `number` of a stack.
bool print_frame(base::printer& out, unsigned number, const void* address, naming names = naming::full) noexcept;
/// Says, once in the life of the process, what reports would have with weft::debug, if it is not there. Not for signal
/// handlers.
void print_hint(base::printer& out) noexcept;

}  // namespace weft::sys
