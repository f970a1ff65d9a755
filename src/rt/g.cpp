#include "rt/g.hpp"

#include "rt/region.hpp"
#include "sys/lock.hpp"

namespace weft::rt {

namespace {

// Lock order: leaf.
struct {
    sys::lock_word lock;
    g* free = nullptr;  // guarded by lock
    // Small pages first, so that a small program stays small; then whole huge pages, because a burst of a million
    // goroutines would otherwise spend more time in page faults than in everything else.
    region small{std::size_t{256} << 10, std::size_t{1} << 20, sys::pages::small};  // guarded by lock
    region large{std::size_t{4} << 20, std::size_t{1} << 36, sys::pages::huge};     // guarded by lock
    base::counter bytes;                                                            // written under lock
} pool;

constexpr std::uint64_t small_limit = std::uint64_t{2} << 20;

/// `count` Gs in a row. Precondition: pool.lock is held.
g* carve(std::uint32_t count) noexcept
{
    const std::size_t bytes = count * sizeof(g);
    void* at = nullptr;
    if (pool.bytes.read() + bytes <= small_limit)
        at = pool.small.carve(bytes, base::page_size);
    if (at == nullptr)
        at = pool.large.carve(bytes, std::size_t{2} << 20);
    if (at != nullptr)
        pool.bytes.add(bytes);
    return static_cast<g*>(at);
}

}  // namespace

g* g_cache::take_slow() noexcept
{
    if (fresh_count_ == 0) {
        pool.lock.lock();
        for (std::uint32_t i = 0; i < batch && pool.free != nullptr; ++i) {
            g* const item = pool.free;
            pool.free = item->next;
            item->next = free_;
            free_ = item;
            ++count_;
        }
        if (count_ == 0) {
            fresh_ = carve(batch);
            fresh_count_ = fresh_ == nullptr ? 0 : batch;
        }
        pool.lock.unlock();
        if (free_ != nullptr)
            return take();
        if (fresh_count_ == 0)
            return nullptr;
    }
    // Zeroed memory is an idle G: nothing to construct, and the line is first touched by its user.
    static_assert(static_cast<std::uint8_t>(g_state::idle) == 0);
    --fresh_count_;
    return fresh_++;
}

void g_cache::give_back() noexcept
{
    g* const first = free_;
    g* last = first;
    for (std::uint32_t i = 1; i < limit / 2; ++i)
        last = last->next;
    free_ = last->next;
    count_ -= limit / 2;
    pool.lock.lock();
    last->next = pool.free;
    pool.free = first;
    pool.lock.unlock();
}

g* take_global_g() noexcept
{
    pool.lock.lock();
    g* item = pool.free;
    if (item != nullptr)
        pool.free = item->next;
    else
        item = carve(1);
    pool.lock.unlock();
    return item;
}

void give_global_g(g* item) noexcept
{
    pool.lock.lock();
    item->next = pool.free;
    pool.free = item;
    pool.lock.unlock();
}

std::uint64_t g_bytes() noexcept
{
    return pool.bytes.read();
}

}  // namespace weft::rt
