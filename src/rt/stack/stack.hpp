// Stacks: reserved in slabs by size class, committed a page at a time by the page fault, guarded at the low end. Free
// ones are kept for reuse, by each P the hottest first, in the pool of all of them those with low addresses first, and
// lose their memory when they are not wanted for some seconds. docs/design/stacks.md has the layout, the protocols and
// the measurements behind the numbers.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/atomic.hpp"
#include "weft/go.hpp"

namespace weft::rt {

// What attr::stack_size may be.
inline constexpr std::size_t min_stack = std::size_t{16} << 10;
inline constexpr std::size_t max_stack = std::size_t{8} << 30;

/// Bytes at the low end of each stack that fault. Libraries are built without stack probes, and their frames of up to
/// 33 KiB must not reach over it.
inline constexpr std::size_t stack_guard = std::size_t{64} << 10;
/// Address space of a stack of `size` bytes, guard included: a power of two, so that any address in it tells where it
/// begins. A guard that is at most a sixteenth of `size` counts as part of `size`: sizes from 1 MiB on are not doubled.
[[nodiscard]] constexpr std::size_t stack_reserve(std::size_t size) noexcept
{
    std::size_t reserve = 2 * stack_guard;
    while (reserve < size || reserve - stack_guard < size - size / 16)
        reserve *= 2;
    return reserve;
}

// Class 0 is that of goroutines without attr::stack_size, whose size is chosen when the runtime starts; the others are
// 128 KiB << 0 to 128 KiB << 16.
inline constexpr unsigned stack_classes = 18;
inline constexpr std::uint8_t default_stack_class = 0;

/// The reserve of class `cls`, which is not the default one, is 1 << this.
[[nodiscard]] constexpr unsigned sized_stack_shift(unsigned cls) noexcept
{
    return static_cast<unsigned>(std::countr_zero(stack_guard)) + cls;
}
static_assert(std::size_t{1} << sized_stack_shift(1) == stack_reserve(min_stack));
static_assert(std::size_t{1} << sized_stack_shift(stack_classes - 1) == stack_reserve(max_stack));
/// The same for the default class. Written by set_default_stack() alone.
inline constinit unsigned default_stack_shift =
    static_cast<unsigned>(std::countr_zero(stack_reserve(default_stack_size)));

/// Address space of a stack of that class, guard included.
[[nodiscard]] inline std::size_t stack_bytes(unsigned cls) noexcept
{
    return std::size_t{1} << (cls == default_stack_class ? default_stack_shift : sized_stack_shift(cls));
}
/// What goroutines can use of it.
[[nodiscard]] inline std::size_t usable_stack_bytes(unsigned cls) noexcept
{
    return stack_bytes(cls) - stack_guard;
}
/// The largest attr::stack_size of that class: see stack_reserve().
[[nodiscard]] inline std::size_t largest_stack_size(unsigned cls) noexcept
{
    const std::size_t reserve = stack_bytes(cls);
    return stack_reserve(reserve) == reserve ? reserve : reserve - stack_guard;
}

/// The class whose stacks have room for `size`, which is in [min_stack, max_stack]; default_stack_size stands for what
/// set_default_stack() says.
[[nodiscard]] inline std::uint8_t stack_class_of(std::size_t size) noexcept
{
    const std::size_t reserve = stack_reserve(size);
    if (size == default_stack_size || reserve == stack_bytes(default_stack_class))
        return default_stack_class;
    return static_cast<std::uint8_t>(std::countr_zero(reserve / stack_guard));
}

/// Stacks of the default class have room for `size`, which is in [min_stack, max_stack]. Another size than before only
/// while none has been taken.
void set_default_stack(std::size_t size) noexcept;

/// Where the first frame goes. Stacks lie at equal distances, so without an offset the hot frames of all of them would
/// compete for the same few sets of the L1 cache.
[[nodiscard]] inline char* first_frame(char* top, unsigned cls) noexcept
{
    const auto index = reinterpret_cast<std::uintptr_t>(top) / stack_bytes(cls);
    return top - (index % 16) * 64;
}

/// A stack of class `cls` from the pool that all Ps share: its top, null when none is to be had (stack_shortage() then
/// says why).
[[nodiscard]] char* take_stack(unsigned cls) noexcept;
void give_stack(char* top, unsigned cls) noexcept;
/// Gives the memory of whole pages back that lie below those of a stack in use: what it needs at `sp` (the red zone
/// included) and the guard stay. Costs a system call that has little to do when nothing is there. Precondition: nobody
/// runs on the stack meanwhile, nor begins to.
void trim_stack(char* top, unsigned cls, const char* sp) noexcept;

/// One look at the stacks in the pools: gives back the memory of those that are more than are likely to be needed, and
/// what the others have below their top page when they were not needed since the last look. False: no free stack has
/// memory any more. By one thread at a time; no lock that others want is held in the kernel.
bool look_at_free_stacks() noexcept;

/// A slab of stacks of one class: their memory, of which the first ones are handed out so far.
struct slab_info {
    std::uintptr_t low = 0;
    std::uintptr_t high = 0;
    unsigned cls = 0;
    base::atomic<void*> notes{nullptr};  ///< rt/services/hibernate/hibernate.cpp's
    bool unpageable = false;             ///< guarded by the hibernation lock
};
/// The slab with that address; null: there is none. Anybody may ask at any time, a signal handler on any thread too.
[[nodiscard]] slab_info* find_slab(std::uintptr_t address) noexcept;

/// Where an address lies. Anybody may ask at any time, a signal handler on any thread too: takes no lock.
struct stack_at {
    char* top;  ///< of the stack, whose guard counts as part of it; null: the address is in no slab of stacks
    unsigned cls;
};
/// The stack may be in use, free or not made yet. A slab is known from before its first stack is handed out, for good.
[[nodiscard]] stack_at find_stack(std::uintptr_t address) noexcept;

/// Why take_stack() last returned null, and what to do.
[[nodiscard]] const char* stack_shortage() noexcept;

/// A P's stock of free stacks of the default class, hottest last. Owned as the P's queues are.
class stack_cache {
public:
    [[nodiscard]] char* take() noexcept
    {
        const std::uint32_t n = size();
        if (n == 0) [[unlikely]]
            return refill();
        cold_ = std::min(cold_, n - 1);
        count_.store(n - 1, base::memory_order_relaxed);
        return tops_[n - 1];
    }
    /// The caller may still run on the stack that it gives: that one is not passed on to others before the next call.
    void give(char* top) noexcept
    {
        if (size() == tops_.size()) [[unlikely]]
            flush();
        const std::uint32_t n = size();
        tops_[n] = top;
        count_.store(n + 1, base::memory_order_relaxed);
    }
    /// Whether the next one that take() gives is out of the pool, and so probably yet without memory.
    [[nodiscard]] bool comes_cold() const noexcept { return size() <= cold_; }
    /// All of them go to the pool. For others only while nobody owns the P.
    void drain() noexcept;
    /// May be looked at by others.
    [[nodiscard]] std::uint32_t size() const noexcept { return count_.load(base::memory_order_relaxed); }

private:
    [[nodiscard]] char* refill() noexcept;
    void flush() noexcept;
    /// The `n` coldest go to the pool; they stay in `tops_`.
    void give_back(std::uint32_t n) noexcept;

    base::atomic<std::uint32_t> count_{0};
    std::uint32_t cold_ = 0;  ///< of tops_: the first so many came from the pool
    std::array<char*, 64> tops_{};
};

struct stack_counts {
    std::uint64_t made;      ///< stacks carved from slabs, ever
    std::uint64_t free;      ///< of those, in the shared pool
    std::uint64_t cold;      ///< of those, without memory
    std::uint64_t reserved;  ///< address space of all slabs, bytes
};
[[nodiscard]] stack_counts count_stacks() noexcept;

/// Memory of all stacks, in use or not, as the kernel counts it: bytes. Takes some ns for each page of the stacks'
/// address space.
[[nodiscard]] std::uint64_t resident_stacks() noexcept;

}  // namespace weft::rt
