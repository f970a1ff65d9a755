#include "sys/memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/cpu.hpp"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102  // Linux 6.13, <asm-generic/mman-common.h>
#endif

namespace weft::sys {

namespace {

guard_kind guards = guard_kind::prot_none;

void* map(std::size_t bytes) noexcept
{
    void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? nullptr : at;
}

}  // namespace

void* reserve(std::size_t bytes, std::size_t alignment, pages kind) noexcept
{
    void* at = map(bytes);
    if (at != nullptr && (reinterpret_cast<std::uintptr_t>(at) & (alignment - 1)) != 0) {
        // Not aligned by luck: map more and cut both ends.
        munmap(at, bytes);
        at = map(bytes + alignment);
        if (at != nullptr) {
            auto* const raw = static_cast<char*>(at);
            const std::size_t skip = (0 - reinterpret_cast<std::uintptr_t>(raw)) & (alignment - 1);
            if (skip != 0)
                munmap(raw, skip);
            munmap(raw + skip + bytes, alignment - skip);
            at = raw + skip;
        }
    }
    // Advice only: a kernel without huge pages refuses both and nothing is lost.
    if (at != nullptr)
        (void)madvise(at, bytes, kind == pages::small ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
    return at;
}

void release(void* at, std::size_t bytes) noexcept
{
    munmap(at, bytes);
}

void discard(void* at, std::size_t bytes) noexcept
{
    (void)madvise(at, bytes, MADV_DONTNEED);
}

guard_kind init_guards(bool forbid_markers) noexcept
{
    guards = guard_kind::prot_none;
    void* const probe = forbid_markers ? nullptr : map(base::page_size);
    if (probe != nullptr) {
        // An emulator (qemu-user) may answer every advice with success and do nothing: such a one also takes nonsense.
        constexpr int nonsense = 9999;
        if (madvise(probe, base::page_size, nonsense) != 0 && madvise(probe, base::page_size, MADV_GUARD_INSTALL) == 0)
            guards = guard_kind::marker;
        munmap(probe, base::page_size);
    }
    return guards;
}

bool guard(void* at, std::size_t bytes) noexcept
{
    return guards == guard_kind::marker ? madvise(at, bytes, MADV_GUARD_INSTALL) == 0
                                        : mprotect(at, bytes, PROT_NONE) == 0;
}

char* first_touched(char* low, char* high) noexcept
{
    static const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    constexpr std::uint64_t has_memory = std::uint64_t{3} << 62U;  // here, or swapped out; proc(5)
    std::array<std::uint64_t, 256> entries;
    while (low < high) {
        const std::size_t wanted = std::min(static_cast<std::size_t>(high - low) / base::page_size, entries.size());
        const auto at = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(low) / base::page_size * sizeof entries[0]);
        const ssize_t n = pread(pagemap, entries.data(), wanted * sizeof entries[0], at);
        const std::size_t got = n > 0 ? static_cast<std::size_t>(n) / sizeof entries[0] : 0;
        if (got == 0)
            return nullptr;
        for (std::size_t i = 0; i < got; ++i)
            if ((entries[i] & has_memory) != 0)
                return low + i * base::page_size;
        low += got * base::page_size;
    }
    return high;
}

unsigned register_stack([[maybe_unused]] const void* low, [[maybe_unused]] const void* high) noexcept
{
#ifdef VALGRIND_STACK_REGISTER
    return VALGRIND_STACK_REGISTER(low, high);
#else
    return 0;
#endif
}

}  // namespace weft::sys
