#include "sys/membarrier.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

#include "base/atomic.hpp"

namespace weft::sys {

namespace {

long membarrier(int command) noexcept
{
    return syscall(SYS_membarrier, command, 0, 0);
}

/// Whether threads take turns on one virtual processor: then each change of turns is a barrier for all.
bool on_valgrind() noexcept
{
#ifdef RUNNING_ON_VALGRIND
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

}  // namespace

void init_membarrier(bool forbid) noexcept
{
    const bool works = !forbid && (on_valgrind() || membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0);
    if (works)
        base::unusual.fetch_and(~base::fence_needed, base::memory_order_seq_cst);
    else
        base::unusual.fetch_or(base::fence_needed, base::memory_order_seq_cst);
}

bool has_membarrier() noexcept
{
    return (base::unusual.load(base::memory_order_relaxed) & base::fence_needed) == 0;
}

void heavy_fence() noexcept
{
    if (has_membarrier())
        membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    else
        base::light_fence();
}

}  // namespace weft::sys
