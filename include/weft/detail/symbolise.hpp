// How the runtime asks libweft_debug.so for names: C, since it is found by its name at run time. Not for users.
#pragma once

extern "C" {

/// A function at a code address.
struct weft_debug_symbol {
    const char* function;  ///< as the linker has it, or as the source has it; null: unknown
    const char* file;      ///< null: unknown
    int line;
};

/// Calls `visit` for the innermost function at `address`, then for those that it was inlined into. Not in signal
/// handlers: it allocates, reads files and takes a lock.
using weft_debug_symbolise_fn = void (*)(const void* address,
                                         void (*visit)(const weft_debug_symbol* symbol, void* argument) noexcept,
                                         void* argument);

/// How many mutexes of the system the calling thread holds, as far as it is known; then counts from 0 again.
using weft_debug_take_locks_fn = unsigned (*)();
}

/// The names under which libweft_debug.so has them.
#define WEFT_DEBUG_SYMBOLISE "weft_debug_symbolise"
#define WEFT_DEBUG_TAKE_LOCKS "weft_debug_take_locks"
