// Names of functions from the symbol tables of the files that the process has mapped, the functions that are not
// exported included. No lock and no allocation but mmap: good in signal handlers.
#pragma once

namespace weft::sys {

/// The function at `address`, as the linker has it; null: its object is stripped, or its file is not there any more.
/// Good for the life of the process.
[[nodiscard]] const char* symbol_at(const void* address) noexcept;

/// Whether `address` is in memory that the program or a library of it was loaded into, as static variables are.
[[nodiscard]] bool is_static(const void* address) noexcept;

}  // namespace weft::sys
