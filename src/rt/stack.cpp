#include "rt/stack.hpp"

#include <utility>

#include "base/atomic.hpp"
#include "base/cpu.hpp"
#include "rt/region.hpp"
#include "sys/lock.hpp"
#include "sys/memory.hpp"
#include "sys/sanitizer.hpp"

#ifdef WEFT_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace weft::rt {

namespace {

// A free stack's link lies in its topmost word: that page is committed anyway.
char*& link_of(char* top) noexcept
{
    return reinterpret_cast<char**>(top)[-1];
}

constexpr std::size_t first_slab(unsigned cls) noexcept
{
    return stack_bytes(cls) * 16 > (std::size_t{64} << 20) ? stack_bytes(cls) : stack_bytes(cls) * 16;
}

struct slab {
    std::uintptr_t low;
    std::uintptr_t high;
    unsigned cls;
};

/// All slabs there are, of all classes: grows only, so that find() needs no lock. A lookup is a scan: a million default
/// stacks lie in some 20 slabs, and the address space has room for 8,192 of the largest.
class slab_list {
public:
    /// False: the table is full.
    [[nodiscard]] bool add(const slab& item) noexcept
    {
        lock_.lock();
        const std::uint32_t n = count_.load(base::memory_order_relaxed);
        const bool room = n < items_.size();
        if (room) {
            items_[n] = item;
            count_.store(n + 1, base::memory_order_release);  // pairs with find()
        }
        lock_.unlock();
        return room;
    }
    [[nodiscard]] const slab* find(std::uintptr_t address) const noexcept
    {
        const std::uint32_t n = count_.load(base::memory_order_acquire);  // pairs with add()
        for (const slab* item = items_.data(); item != items_.data() + n; ++item)
            if (address >= item->low && address < item->high)
                return item;
        return nullptr;
    }

private:
    sys::lock_word lock_;                   // leaf, taken under a class_pool's lock
    base::atomic<std::uint32_t> count_{0};  // written under lock_
    std::array<slab, 16'384> items_{};      // [0, count_) never change again
};
constinit slab_list slabs_of_all;

// Lock order: class_pool::lock, slab_list::lock_.
struct class_pool {
    sys::lock_word lock;
    char* free = nullptr;          // guarded by lock, linked by link_of()
    region slabs;                  // guarded by lock
    const char* listed = nullptr;  // guarded by lock; the low end of the last slab that slabs_of_all knows
    base::counter made;            // written under lock
    base::counter spare;           // length of `free`; written under lock

    explicit constexpr class_pool(unsigned cls) noexcept
        : slabs(first_slab(cls), stack_bytes(cls) > (std::size_t{1} << 34) ? stack_bytes(cls) : std::size_t{1} << 34,
                sys::pages::small)
    {
    }
};

template <std::size_t... I>
constexpr std::array<class_pool, sizeof...(I)> make_pools(std::index_sequence<I...>) noexcept
{
    return {class_pool(I)...};
}
constinit std::array<class_pool, stack_classes> pools = make_pools(std::make_index_sequence<stack_classes>());

/// Precondition: pool.lock is held.
bool list_newest_slab(class_pool& pool, unsigned cls) noexcept
{
    const region::range now = pool.slabs.newest();
    if (now.low == pool.listed)
        return true;
    if (!slabs_of_all.add({reinterpret_cast<std::uintptr_t>(now.low), reinterpret_cast<std::uintptr_t>(now.high), cls}))
        return false;
    pool.listed = now.low;
    return true;
}

enum class shortage : std::uint8_t { none, address_space, guards };
base::atomic<shortage> last_shortage{shortage::none};

/// A stack that was never used. Precondition: pool.lock is held.
char* carve(class_pool& pool, unsigned cls) noexcept
{
    const std::size_t bytes = stack_bytes(cls);
    auto* const low = static_cast<char*>(pool.slabs.carve(bytes, bytes));
    if (low == nullptr || !list_newest_slab(pool, cls)) {
        last_shortage.store(shortage::address_space, base::memory_order_relaxed);
        return nullptr;
    }
    if (!sys::guard(low, stack_guard_bytes(cls))) {
        last_shortage.store(shortage::guards, base::memory_order_relaxed);
        return nullptr;
    }
    (void)sys::register_stack(low, low + bytes);
    pool.made.add();
    return low + bytes;
}

/// Precondition: pool.lock is held.
char* take_locked(class_pool& pool, unsigned cls) noexcept
{
    char* const top = pool.free;
    if (top == nullptr)
        return carve(pool, cls);
    pool.free = link_of(top);
    pool.spare.add(static_cast<std::uint64_t>(-1));
    return top;
}

/// Precondition: pool.lock is held.
void give_locked(class_pool& pool, char* top) noexcept
{
    link_of(top) = pool.free;
    pool.free = top;
    pool.spare.add();
}

/// Frames that were left by a jump, not by returning, are still poisoned.
void unpoison([[maybe_unused]] char* top, [[maybe_unused]] unsigned cls) noexcept
{
#ifdef WEFT_ASAN
    const std::size_t usable = stack_bytes(cls) - stack_guard_bytes(cls);
    __asan_unpoison_memory_region(top - usable, usable);
#endif
}

}  // namespace

char* take_stack(unsigned cls) noexcept
{
    class_pool& pool = pools[cls];
    pool.lock.lock();
    char* const top = take_locked(pool, cls);
    pool.lock.unlock();
    return top;
}

void give_stack(char* top, unsigned cls) noexcept
{
    unpoison(top, cls);
    if (cls > default_stack_class) {
        const std::size_t usable = stack_bytes(cls) - stack_guard_bytes(cls);
        sys::discard(top - usable, usable - base::page_size);
    }
    class_pool& pool = pools[cls];
    pool.lock.lock();
    give_locked(pool, top);
    pool.lock.unlock();
}

stack_at find_stack(std::uintptr_t address) noexcept
{
    const slab* const in = slabs_of_all.find(address);
    if (in == nullptr)
        return {nullptr, 0};
    const std::uintptr_t low = address & ~(std::uintptr_t{stack_bytes(in->cls)} - 1);  // carve() aligns them
    return {reinterpret_cast<char*>(low + stack_bytes(in->cls)), in->cls};
}

const char* stack_shortage() noexcept
{
    return last_shortage.load(base::memory_order_relaxed) == shortage::guards
               ? "no more guard pages: this kernel needs a mapping for each (vm.max_map_count); raise that limit, or "
                 "use "
                 "Linux 6.13 or later, which needs none"
               : "no more address space: raise ulimit -v (RLIMIT_AS) or vm.overcommit_memory, or use smaller "
                 "attr::stack_size";
}

char* stack_cache::refill() noexcept
{
    constexpr std::uint32_t want = 16;
    class_pool& pool = pools[default_stack_class];
    std::uint32_t n = 0;
    pool.lock.lock();
    while (n < want) {
        char* const top = take_locked(pool, default_stack_class);
        if (top == nullptr)
            break;
        tops_[n++] = top;
    }
    pool.lock.unlock();
    if (n == 0)
        return nullptr;
    count_.store(n - 1, base::memory_order_relaxed);
    return tops_[n - 1];
}

void stack_cache::flush() noexcept
{
    constexpr std::uint32_t half = 32;
    static_assert(2 * half == std::tuple_size_v<decltype(tops_)>);
    class_pool& pool = pools[default_stack_class];
    pool.lock.lock();
    for (std::uint32_t i = 0; i < half; ++i)
        give_locked(pool, tops_[i]);  // the coldest
    pool.lock.unlock();
    std::copy_n(tops_.begin() + half, half, tops_.begin());
    count_.store(half, base::memory_order_relaxed);
}

stack_counts count_stacks() noexcept
{
    stack_counts sum{};
    for (class_pool& pool : pools) {
        sum.made += pool.made.read();
        sum.free += pool.spare.read();
        pool.lock.lock();
        sum.reserved += pool.slabs.reserved();
        pool.lock.unlock();
    }
    return sum;
}

}  // namespace weft::rt
