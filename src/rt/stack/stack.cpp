#include "rt/stack/stack.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/atomic.hpp"
#include "base/cpu.hpp"
#include "rt/stack/arena.hpp"
#include "rt/stack/decaying_peak.hpp"
#include "rt/stack/scavenging.hpp"
#include "rt/stack/stack_slab.hpp"
#include "sys/lock.hpp"
#include "sys/memory.hpp"
#include "sys/sanitizer.hpp"

#ifdef WEFT_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace weft::rt {

namespace {

constexpr std::size_t table_span = std::size_t{2} << 20;  // what a page-table page maps
constexpr std::size_t largest_slab = std::size_t{1} << 36;

constexpr std::array<const char*, stack_classes> names{
    "weft stacks",     "weft stacks 128K", "weft stacks 256K", "weft stacks 512K", "weft stacks 1M",
    "weft stacks 2M",  "weft stacks 4M",   "weft stacks 8M",   "weft stacks 16M",  "weft stacks 32M",
    "weft stacks 64M", "weft stacks 128M", "weft stacks 256M", "weft stacks 512M", "weft stacks 1G",
    "weft stacks 2G",  "weft stacks 4G",   "weft stacks 8G"};

/// `each`: stack_bytes() of the class.
constexpr arena slabs_of(std::size_t each, const char* name) noexcept
{
    const std::size_t first = each * 16 > (std::size_t{64} << 20) ? each : each * 16;
    return {first, std::max(each, largest_slab), sys::pages::small, name};
}

/// All slabs there are, of all classes: grows only, so that find() needs no lock. A lookup is a scan: a million default
/// stacks lie in some 20 slabs, and the address space has room for 8,192 of the largest.
class slab_list {
public:
    /// Null: the table is full, or there is no memory for the slab's own.
    [[nodiscard]] stack_slab* add(arena::range memory, unsigned cls) noexcept
    {
        lock_.lock();
        stack_slab* made = nullptr;
        const std::uint32_t n = count_.load(base::memory_order_relaxed);
        if (n < items_.size()) {
            const auto stacks = static_cast<std::size_t>(memory.high - memory.low) / stack_bytes(cls);
            if (void* const table = tables_.carve(stack_slab::table_bytes(stacks), base::page_size); table != nullptr) {
                made = &items_[n];
                made->init(memory.low, memory.high, cls, table);
                count_.store(n + 1, base::memory_order_release);  // pairs with find()
            }
        }
        lock_.unlock();
        return made;
    }
    [[nodiscard]] stack_slab* find(std::uintptr_t address) noexcept
    {
        const std::uint32_t n = count_.load(base::memory_order_acquire);  // pairs with add()
        for (stack_slab* item = items_.data(); item != items_.data() + n; ++item)
            if (item->holds(address))
                return item;
        return nullptr;
    }

private:
    sys::lock_word lock_;                   // leaf, taken under a class_pool's lock
    base::atomic<std::uint32_t> count_{0};  // written under lock_
    // Apart from the members with values, which would carry it into the program's file: 1.7 MB of zeros.
    static inline constinit std::array<stack_slab, 16'384> items_{};  // the constants of [0, count_) never change again
    arena tables_{std::size_t{64} << 10, std::size_t{4} << 20, sys::pages::small,
                  "weft stack tables"};  // guarded by lock_
};
constinit slab_list slabs_of_all;

// Lock order: class_pool::lock, slab_list::lock_.
struct class_pool {
    sys::lock_word lock;
    arena slabs;                   // guarded by lock
    stack_slab* oldest = nullptr;  // guarded by lock
    stack_slab* newest = nullptr;  // guarded by lock; what `slabs` carves from
    stack_slab* last = nullptr;    // guarded by lock; that of the stack given last
    base::counter made;            // written under lock
    base::counter spare;           // of those, not taken; written under lock
    std::uint64_t peak = 0;        // guarded by lock; the most taken since the last look
    std::uint64_t looks = 0;       // guarded by lock
    decaying_peak mark;            // guarded by lock

    explicit constexpr class_pool(unsigned cls) noexcept
        : slabs(slabs_of(
              cls == default_stack_class ? stack_reserve(default_stack_size) : std::size_t{1} << sized_stack_shift(cls),
              names[cls]))
    {
    }

    [[nodiscard]] std::uint64_t taken() const noexcept { return made.read() - spare.read(); }
    [[nodiscard]] std::uint64_t warm() const noexcept
    {
        std::uint64_t sum = 0;
        for (const stack_slab* s = oldest; s != nullptr; s = s->next)
            sum += s->warm();
        return sum;
    }
};

template <std::size_t... I>
constexpr std::array<class_pool, sizeof...(I)> make_pools(std::index_sequence<I...>) noexcept
{
    return {class_pool(I)...};
}
constinit std::array<class_pool, stack_classes> pools = make_pools(std::make_index_sequence<stack_classes>());

enum class shortage : std::uint8_t { none, address_space, guards };
base::atomic<shortage> last_shortage{shortage::none};

/// Precondition: pool.lock is held.
bool list_newest_slab(class_pool& pool, unsigned cls) noexcept
{
    const arena::range now = pool.slabs.newest();
    if (pool.newest != nullptr && pool.newest->low() == now.low)
        return true;
    stack_slab* const made = slabs_of_all.add(now, cls);
    if (made == nullptr)
        return false;
    made->previous = pool.newest;
    (pool.newest != nullptr ? pool.newest->next : pool.oldest) = made;
    pool.newest = made;
    return true;
}

/// A stack as it comes out of the pool. Its guard is for who has taken it, without the lock.
struct taken_stack {
    char* top;
    bool bare;
};

/// A stack that was never used. Precondition: pool.lock is held.
taken_stack carve(class_pool& pool, unsigned cls) noexcept
{
    const std::size_t bytes = stack_bytes(cls);
    auto* const low = static_cast<char*>(pool.slabs.carve(bytes, std::max(bytes, table_span)));
    if (low == nullptr || !list_newest_slab(pool, cls)) {
        last_shortage.store(shortage::address_space, base::memory_order_relaxed);
        return {nullptr, false};
    }
    (void)sys::register_stack(low, low + bytes);
    pool.made.add();
    return {low + bytes, true};
}

/// Warm ones first, low addresses first: so what is not needed gathers at the high ones, whole 2 MiB of it.
/// Precondition: pool.lock is held.
taken_stack take_free(class_pool& pool) noexcept
{
    for (stack_slab* s = pool.oldest; s != nullptr; s = s->next)
        if (s->has_warm())
            return {s->take_warm(), false};
    for (stack_slab* s = pool.oldest; s != nullptr; s = s->next) {
        if (s->has_cold()) {
            const stack_slab::cold_stack found = s->take_cold();
            return {found.top, found.bare};
        }
    }
    return {nullptr, false};
}

/// Precondition: pool.lock is held.
taken_stack take_locked(class_pool& pool, unsigned cls) noexcept
{
    taken_stack out{nullptr, false};
    if (pool.spare.read() != 0)
        out = take_free(pool);
    if (out.top != nullptr)
        pool.spare.add(static_cast<std::uint64_t>(-1));
    else
        out = carve(pool, cls);
    pool.peak = std::max(pool.peak, pool.taken());
    return out;
}

/// Precondition: pool.lock is held.
stack_slab& slab_of(class_pool& pool, const char* top) noexcept
{
    const auto address = reinterpret_cast<std::uintptr_t>(top) - 1;
    if (pool.last == nullptr || !pool.last->holds(address)) {
        pool.last = pool.oldest;
        while (!pool.last->holds(address))
            pool.last = pool.last->next;
    }
    return *pool.last;
}

/// Precondition: pool.lock is held.
void give_locked(class_pool& pool, const char* top, bool shallow) noexcept
{
    slab_of(pool, top).give(top, shallow);
    pool.spare.add();
}

/// Null: there is no guard to be had, and the stack is back in the pool.
char* finish_taking(class_pool& pool, unsigned cls, taken_stack stack) noexcept
{
    if (!stack.bare || sys::guard(stack.top - stack_bytes(cls), stack_guard))
        return stack.top;
    last_shortage.store(shortage::guards, base::memory_order_relaxed);
    pool.lock.lock();
    slab_of(pool, stack.top).give_bare(stack.top);
    pool.spare.add();
    pool.lock.unlock();
    return nullptr;
}

/// Gives memory back, without the lock: nobody else can take these stacks.
void work_on(const stack_slab& slab, std::size_t row, const row_work& work) noexcept
{
    const std::size_t bytes = stack_bytes(slab.cls());
    for_each_run(work.released,
                 [&](unsigned first, unsigned count)
                 {
                     sys::unguard(slab.low_of(row, first), count * bytes);
                     sys::discard(slab.low_of(row, first), count * bytes);
                 });
    for_each_run(work.dropped & ~work.released,
                 [&](unsigned first, unsigned count) { sys::discard(slab.low_of(row, first), count * bytes); });
    for_each_run(work.trimmed,
                 [&](unsigned first, unsigned count)
                 {
                     for (unsigned bit = first; bit != first + count; ++bit) {
                         char* const top = slab.low_of(row, bit) + bytes;
                         trim_stack(top, slab.cls(), top);
                     }
                 });
}

/// False: nothing is left that has memory.
bool look_at_pool(class_pool& pool) noexcept
{
    pool.lock.lock();
    const std::uint64_t taken = pool.taken();
    const std::uint64_t mark = pool.mark.look(pool.peak, taken);
    const std::uint64_t warm = pool.warm();
    stack_slab::aims aim{.surplus = warm - std::min(warm, mark - taken),
                         .trim = ++pool.looks % decaying_peak::window == 0,  // as late as the mark falls
                         .tables = sys::guards_are_markers()};
    pool.peak = taken;
    for (stack_slab* slab = pool.newest; slab != nullptr; slab = slab->previous) {
        for (std::size_t row = slab->row_count(); slab->next_warm_row(row);) {
            const row_work work = slab->begin_look(row, aim);
            if (!work.any())
                continue;
            pool.lock.unlock();
            work_on(*slab, row, work);
            pool.lock.lock();
            slab->end_look(row, work);
        }
        pool.lock.unlock();  // others get their turn: a slab has thousands of rows
        pool.lock.lock();
    }
    const bool any = pool.warm() != 0;
    pool.lock.unlock();
    return any;
}

/// Frames that were left by a jump, not by returning, are still poisoned.
void unpoison([[maybe_unused]] char* top, [[maybe_unused]] unsigned cls) noexcept
{
#ifdef WEFT_ASAN
    const std::size_t usable = usable_stack_bytes(cls);
    __asan_unpoison_memory_region(top - usable, usable);
#endif
}

}  // namespace

void set_default_stack(std::size_t size) noexcept
{
    const std::size_t reserve = stack_reserve(size);
    if (reserve == stack_bytes(default_stack_class))
        return;
    default_stack_shift = static_cast<unsigned>(std::countr_zero(reserve));
    pools[default_stack_class].slabs = slabs_of(reserve, names[default_stack_class]);
}

char* take_stack(unsigned cls) noexcept
{
    relieve();
    class_pool& pool = pools[cls];
    pool.lock.lock();
    const taken_stack stack = take_locked(pool, cls);
    pool.lock.unlock();
    return stack.top == nullptr ? nullptr : finish_taking(pool, cls, stack);
}

void give_stack(char* top, unsigned cls) noexcept
{
    unpoison(top, cls);
    const bool shallow = cls != default_stack_class;  // what may be gigabytes does not wait for the look
    if (shallow)
        trim_stack(top, cls, top);
    class_pool& pool = pools[cls];
    pool.lock.lock();
    give_locked(pool, top, shallow);
    pool.lock.unlock();
    wake_scavenger();
}

void trim_stack(char* top, unsigned cls, const char* sp) noexcept
{
    constexpr std::size_t red_zone = 128;  // bytes below the stack pointer that a leaf function may use
    char* const low = top - usable_stack_bytes(cls);
    const auto used = static_cast<std::size_t>(top - sp) + red_zone;
    const std::size_t kept = (used + base::page_size - 1) / base::page_size * base::page_size;
    if (const auto usable = static_cast<std::size_t>(top - low); kept < usable)
        sys::discard(low, usable - kept);
}

bool look_at_free_stacks() noexcept
{
    bool any = false;
    for (class_pool& pool : pools)
        any |= look_at_pool(pool);
    return any;
}

slab_info* find_slab(std::uintptr_t address) noexcept
{
    stack_slab* const in = slabs_of_all.find(address);
    return in == nullptr ? nullptr : &in->memory();
}

stack_at find_stack(std::uintptr_t address) noexcept
{
    const stack_slab* const in = slabs_of_all.find(address);
    if (in == nullptr)
        return {nullptr, 0};
    const std::uintptr_t low = address & ~(std::uintptr_t{stack_bytes(in->cls())} - 1);  // carve() aligns them
    return {reinterpret_cast<char*>(low + stack_bytes(in->cls())), in->cls()};
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
    relieve();
    constexpr std::uint32_t want = 16;
    class_pool& pool = pools[default_stack_class];
    std::array<taken_stack, want> taken;
    std::uint32_t found = 0;
    pool.lock.lock();
    while (found < want) {
        taken[found] = take_locked(pool, default_stack_class);
        if (taken[found].top == nullptr)
            break;
        ++found;
    }
    pool.lock.unlock();
    std::uint32_t n = 0;
    while (found > 0)  // the lowest last, so that it is used first
        if (char* const top = finish_taking(pool, default_stack_class, taken[--found]); top != nullptr)
            tops_[n++] = top;
    if (n == 0)
        return nullptr;
    cold_ = n - 1;
    count_.store(n - 1, base::memory_order_relaxed);
    return tops_[n - 1];
}

void stack_cache::give_back(std::uint32_t n) noexcept
{
    class_pool& pool = pools[default_stack_class];
    pool.lock.lock();
    for (std::uint32_t i = 0; i < n; ++i)
        give_locked(pool, tops_[i], false);
    pool.lock.unlock();
}

void stack_cache::flush() noexcept
{
    constexpr std::uint32_t half = 32;
    static_assert(2 * half == std::tuple_size_v<decltype(tops_)>);
    give_back(half);  // the coldest
    std::copy_n(tops_.begin() + half, half, tops_.begin());
    cold_ -= std::min(cold_, half);
    count_.store(half, base::memory_order_relaxed);
    wake_scavenger();
}

void stack_cache::drain() noexcept
{
    give_back(size());
    cold_ = 0;
    count_.store(0, base::memory_order_relaxed);
}

stack_counts count_stacks() noexcept
{
    stack_counts sum{};
    for (class_pool& pool : pools) {
        pool.lock.lock();
        sum.made += pool.made.read();
        sum.free += pool.spare.read();
        for (const stack_slab* s = pool.oldest; s != nullptr; s = s->next)
            sum.cold += s->cold();
        sum.reserved += pool.slabs.reserved();
        pool.lock.unlock();
    }
    return sum;
}

std::uint64_t resident_stacks() noexcept
{
    std::uint64_t sum = 0;
    for (class_pool& pool : pools) {
        pool.lock.lock();
        const stack_slab* slab = pool.oldest;
        const stack_slab* const newest = pool.newest;
        const char* const end = pool.slabs.at();
        pool.lock.unlock();
        for (; slab != nullptr; slab = slab == newest ? nullptr : slab->next) {
            const char* const high = slab == newest ? end : slab->high();
            sum += sys::resident(slab->low(), static_cast<std::size_t>(high - slab->low()));
        }
    }
    return sum;
}

}  // namespace weft::rt
