#include "rt/core/g.hpp"

#include <array>

#include "rt/stack/arena.hpp"
#include "sys/lock.hpp"

namespace weft::rt {

namespace {

constexpr const char* name = "weft goroutines";

// Lock order: leaf.
struct {
    sys::lock_word lock;
    g* magazines = nullptr;          // guarded by lock; full ones, linked by their first item's magazine_link()
    g* singles = nullptr;            // guarded by lock; for those without a P, and for all when there is nothing else
    std::uint32_t single_count = 0;  // guarded by lock
    // Small pages first, so that a small program stays small; then whole huge pages, because a burst of a million
    // goroutines would otherwise spend more time in page faults than in everything else.
    arena small{std::size_t{256} << 10, std::size_t{1} << 20, sys::pages::small, name};  // guarded by lock
    arena large{std::size_t{4} << 20, std::size_t{1} << 36, sys::pages::huge, name};     // guarded by lock
    base::counter bytes;                                                                 // written under lock
    std::array<g_row, g_walk::most_rows> rows{};                                         // guarded by lock
    std::size_t row_count = 0;                                                           // guarded by lock
} pool;

g*& magazine_link(g* first) noexcept
{
    return *reinterpret_cast<g**>(first->storage);
}

/// Precondition of these: pool.lock is held.
g* pop_magazine() noexcept
{
    g* const first = pool.magazines;
    if (first != nullptr)
        pool.magazines = magazine_link(first);
    return first;
}
void push_magazine(g* first) noexcept
{
    magazine_link(first) = pool.magazines;
    pool.magazines = first;
}

g* pop_single() noexcept
{
    g* const item = pool.singles;
    if (item != nullptr) {
        pool.singles = item->next;
        --pool.single_count;
    }
    return item;
}

/// Precondition: pool.lock is held. Regions hand out neighbours until a reservation is used up, and those grow, so
/// there are a few dozen rows; beyond the table's end they are left out of reports.
void note_row(g* first, std::uint32_t count) noexcept
{
    for (std::size_t i = pool.row_count; i-- > 0;) {
        if (pool.rows[i].end == first) {
            pool.rows[i].end += count;
            return;
        }
    }
    if (pool.row_count < pool.rows.size())
        pool.rows[pool.row_count++] = g_row{first, first + count};
}

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
    if (at != nullptr) {
        pool.bytes.add(bytes);
        note_row(static_cast<g*>(at), count);
    }
    return static_cast<g*>(at);
}

}  // namespace

g* g_cache::take_slow() noexcept
{
    if (spare_ == nullptr && fresh_count_ == 0) {
        pool.lock.lock();
        spare_ = pop_magazine();
        if (spare_ == nullptr) {
            fresh_ = carve(batch);
            fresh_count_ = fresh_ == nullptr ? 0 : batch;
        }
        g* const last = spare_ == nullptr && fresh_ == nullptr ? pop_single() : nullptr;
        pool.lock.unlock();
        if (last != nullptr)
            return last;
    }
    if (spare_ != nullptr) {
        loaded_ = spare_;
        count_ = magazine;
        spare_ = nullptr;
        return take();
    }
    if (fresh_count_ == 0)
        return nullptr;
    // Zeroed memory is a dead G: nothing to construct, and the line is first touched by its user.
    static_assert(static_cast<std::uint8_t>(g_state::dead) == 0);
    --fresh_count_;
    return fresh_++;
}

void g_cache::unload() noexcept
{
    if (spare_ != nullptr) {
        pool.lock.lock();
        push_magazine(spare_);
        pool.lock.unlock();
    }
    spare_ = loaded_;
    loaded_ = nullptr;
    count_ = 0;
}

g* take_global_g() noexcept
{
    pool.lock.lock();
    if (pool.singles == nullptr) {  // what ends on Ps comes back in magazines
        pool.singles = pop_magazine();
        pool.single_count = pool.singles != nullptr ? g_cache::magazine : 0;
    }
    g* item = pop_single();
    if (item == nullptr)
        item = carve(1);
    pool.lock.unlock();
    return item;
}

void give_global_g(g* item) noexcept
{
    pool.lock.lock();
    if (pool.single_count == g_cache::magazine) {  // back to those who start most
        push_magazine(pool.singles);
        pool.singles = nullptr;
        pool.single_count = 0;
    }
    item->next = pool.singles;
    pool.singles = item;
    ++pool.single_count;
    pool.lock.unlock();
}

g_walk::g_walk() noexcept
{
    pool.lock.lock();
    rows_ = pool.rows;
    count_ = pool.row_count;
    pool.lock.unlock();
    if (count_ != 0)
        at_ = rows_[0].first;
}

void for_each_g(void (*visit)(g&, void*) noexcept, void* argument) noexcept
{
    g_walk all;
    while (g* const item = all.next())
        visit(*item, argument);
}

std::uint64_t resident_gs() noexcept
{
    const g_walk all;
    std::uint64_t sum = 0;
    for (const g_row& row : all.rows())
        sum += sys::resident(row.first, static_cast<std::size_t>(row.end - row.first) * sizeof(g));
    return sum;
}

std::uint64_t g_bytes() noexcept
{
    return pool.bytes.read();
}

void drop_extra(g* item) noexcept
{
    delete item->extra;
    item->extra = nullptr;
}

}  // namespace weft::rt
