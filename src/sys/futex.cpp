#include "sys/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "sys/keep_errno.hpp"

namespace weft::sys {

static_assert(sizeof(base::atomic<std::uint32_t>) == 4, "the kernel sees a plain 32-bit word");

// A plain thread keeps its errno over a wait, as a goroutine does.

void futex_wait(const base::atomic<std::uint32_t>& word, std::uint32_t expected) noexcept
{
    const keep_errno kept;
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

bool futex_wait_until(const base::atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t deadline) noexcept
{
    const keep_errno kept;
    constexpr std::int64_t second = 1'000'000'000;
    if (deadline < 0)
        deadline = 0;
    const timespec at{deadline / second, deadline % second};
    // WAIT_BITSET is the form that takes an absolute time.
    return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected, &at, nullptr, FUTEX_BITSET_MATCH_ANY) == 0 ||
           errno != ETIMEDOUT;
}

void futex_wake(const base::atomic<std::uint32_t>* word, int count) noexcept
{
    const keep_errno kept;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

}  // namespace weft::sys
