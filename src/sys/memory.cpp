#include "sys/memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/cpu.hpp"
#include "sys/keep_errno.hpp"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102  // Linux 6.13, <asm-generic/mman-common.h>
#endif
#ifndef MADV_GUARD_REMOVE
#define MADV_GUARD_REMOVE 103
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41  // Linux 5.17, <linux/prctl.h>
#define PR_SET_VMA_ANON_NAME 0
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

void* reserve(std::size_t bytes, std::size_t alignment, pages kind, const char* name) noexcept
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
    // Advice only: a kernel without huge pages, or without names, refuses and nothing is lost; nor may that be seen in
    // the errno of the goroutine that is just being left.
    if (at != nullptr) {
        const keep_errno kept;
        (void)madvise(at, bytes, kind == pages::small ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
        (void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, at, bytes, name);
    }
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

std::uint64_t resident(const void* at, std::size_t bytes) noexcept
{
    std::array<unsigned char, base::page_size> in_memory;  // filled by the kernel
    constexpr std::size_t step = std::tuple_size_v<decltype(in_memory)> * base::page_size;
    std::uint64_t sum = 0;
    for (std::size_t done = 0; done < bytes; done += step) {
        const std::size_t part = std::min(step, bytes - done);
        if (mincore(static_cast<char*>(const_cast<void*>(at)) + done, part, in_memory.data()) != 0)
            return sum;
        const auto pages = static_cast<std::ptrdiff_t>(part / base::page_size);
        for (const unsigned char* page = in_memory.data(); page != in_memory.data() + pages; ++page)
            sum += (*page & 1U) != 0 ? base::page_size : 0;
    }
    return sum;
}

process_memory measure_process() noexcept
{
    std::array<char, 4096> text{};
    const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return {};
    const ssize_t n = read(fd, text.data(), text.size() - 1);  // one read: a consistent picture, and it is shorter
    close(fd);
    const std::string_view status(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
    const auto kib = [&](std::string_view name) -> std::uint64_t
    {
        const std::size_t found = status.find(name);
        return found == std::string_view::npos ? 0
                                               : std::strtoull(status.data() + found + name.size(), nullptr, 10) * 1024;
    };
    return {.resident = kib("\nVmRSS:"), .page_tables = kib("\nVmPTE:")};
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

bool guards_are_markers() noexcept
{
    return guards == guard_kind::marker;
}

bool unguard(void* at, std::size_t bytes) noexcept
{
    return madvise(at, bytes, MADV_GUARD_REMOVE) == 0;
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
