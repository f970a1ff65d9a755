// The program's own operator new, which counts.
#include "allocations.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "../support/scale.hpp"

namespace {

std::atomic<std::size_t> count{0};

}  // namespace

std::size_t weft::test::allocations() noexcept
{
    return count;
}

#if !defined(__SANITIZE_ADDRESS__)

void* operator new(std::size_t n)
{
    count.fetch_add(1, std::memory_order_relaxed);
    if (void* const p = std::malloc(n == 0 ? 1 : n))
        return p;
    throw std::bad_alloc();
}
void* operator new(std::size_t n, std::align_val_t align)
{
    count.fetch_add(1, std::memory_order_relaxed);
    const auto a = static_cast<std::size_t>(align);
    if (void* const p = std::aligned_alloc(a, (n + a - 1) / a * a))
        return p;
    throw std::bad_alloc();
}
void operator delete(void* p) noexcept
{
    std::free(p);
}
void operator delete(void* p, std::size_t) noexcept
{
    std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept
{
    std::free(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept
{
    std::free(p);
}

#endif
