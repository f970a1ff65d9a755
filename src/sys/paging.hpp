// Paging: takes pages of private memory away and puts them back, so that whoever touches one meanwhile meets SIGSEGV,
// never a page of zeros, and loses no write. The handler (sys/signal.hpp) has them put back.
//
// A page that is away has a guard marker (Linux 6.13) in its place, or lies in a range without access. It comes back
// filled: by userfaultfd's copy, which replaces a marker atomically; where userfaultfd is refused, through
// /proc/self/mem, which writes to memory that has no access. Userfaultfd is opened for faults of user mode only, which
// needs no privilege, and memory is registered for write protection that is never applied: so nobody ever waits for a
// monitor, and pages that were never touched fault in as usual, for system calls too.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::sys {

/// How pages come back.
enum class refill : std::uint8_t {
    none,         ///< they can't: nothing may be taken away
    userfault,    ///< UFFDIO_COPY
    memory_file,  ///< pwrite(2) to /proc/self/mem
};

/// Finds out what works here, by trying it; needs guard markers (init_guards()). `forbid_*`: as if that were refused.
/// `none` leaves the reason in refill_refusal().
refill init_paging(bool forbid_userfault, bool forbid_memory_file) noexcept;
[[nodiscard]] refill refill_in_use() noexcept;
/// Why it is `none`: a text for users.
[[nodiscard]] const char* refill_refusal() noexcept;

/// In the child of a fork(): its memory is another one, so it needs its own /proc/self/mem.
void restart_paging_in_child() noexcept;

/// Once for each mapping, before pages of it are taken away. False: they must not be.
[[nodiscard]] bool allow_paging(void* at, std::size_t bytes) noexcept;

enum class access : std::uint8_t { none, read, all };
/// False, with errno: ENOMEM when the kernel has no more mappings (vm.max_map_count).
[[nodiscard]] bool set_access(void* at, std::size_t bytes, access what) noexcept;

/// Puts pages back in place of markers, while the mapping around them is accessible. `from` is not of that memory.
/// Returns 0 or an errno; after one, what is still missing is still marked. ENOMEM: no memory now.
[[nodiscard]] int put_back(void* at, const void* from, std::size_t bytes) noexcept;

/// Puts pages into a range without access and without markers there; it keeps its access. As put_back() else.
[[nodiscard]] int put_below(void* at, const void* from, std::size_t bytes) noexcept;

}  // namespace weft::sys
