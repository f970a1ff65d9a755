// Address space: reserving, guarding and giving back.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::sys {

enum class pages {
    small,  ///< never huge: a stack that touches one page must not commit 2 MiB
    huge,   ///< huge where the kernel has them: dense tables that fill up
};

/// Reserves `bytes` (a multiple of the page) of zeroed private memory, aligned to `alignment` (a power of two), without
/// committing any. Null when the address space, RLIMIT_AS or vm.max_map_count does not allow it.
/// `name` (up to 79 printable characters, none of \ ` $ [ ]) is what /proc/self/smaps calls it where the kernel can do
/// that (Linux 5.17, CONFIG_ANON_VMA_NAME): [anon:name].
[[nodiscard]] void* reserve(std::size_t bytes, std::size_t alignment, pages kind, const char* name) noexcept;

/// Gives back what reserve() returned.
void release(void* at, std::size_t bytes) noexcept;

/// Drops the contents; the pages read as zero when touched again. Guards in between stay, of either kind.
void discard(void* at, std::size_t bytes) noexcept;

/// How much of [at, at + bytes), whole pages, is in memory: bytes. The kernel looks at each page, a few ns; 0 where it
/// does not say.
[[nodiscard]] std::uint64_t resident(const void* at, std::size_t bytes) noexcept;

/// What the kernel counts for the whole process, bytes; 0 where it does not say.
struct process_memory {
    std::uint64_t resident;     ///< VmRSS
    std::uint64_t page_tables;  ///< VmPTE, not part of the former
};
[[nodiscard]] process_memory measure_process() noexcept;

/// How guards are made on this kernel.
enum class guard_kind {
    marker,    ///< MADV_GUARD_INSTALL (Linux 6.13): no VMA
    prot_none  ///< mprotect: two VMAs a guard, bounded by vm.max_map_count
};

/// Finds out which kind works; `forbid_markers` forces prot_none.
guard_kind init_guards(bool forbid_markers) noexcept;

/// Makes `bytes` at `at` fault on any access. False, with errno: the kernel refuses (ENOMEM: vm.max_map_count).
[[nodiscard]] bool guard(void* at, std::size_t bytes) noexcept;

/// What init_guards() has found.
[[nodiscard]] bool guards_are_markers() noexcept;

/// Takes the markers in [at, at + bytes) away, so that the kernel (Linux 6.14) can free the page tables of what is
/// discarded next: one marker keeps the table of 2 MiB. The pages are absent then, and accessible as far as their
/// mapping is. False, with errno: no memory for what the kernel needs.
bool unguard(void* at, std::size_t bytes) noexcept;

/// The lowest page in [low, high), both at pages, that has memory: `high` if none has, null where /proc/self/pagemap
/// does not say.
[[nodiscard]] char* first_touched(char* low, char* high) noexcept;

/// Tells valgrind that [low, high) is a stack; no-op elsewhere. Returns its id.
unsigned register_stack(const void* low, const void* high) noexcept;

}  // namespace weft::sys
