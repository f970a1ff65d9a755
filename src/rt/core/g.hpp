// g: a goroutine's control block, 192 bytes, and where they come from.
//
// Gs lie in dense slabs and are never given back to the kernel, so a stale pointer to one can always be looked at.
// The first line is what a switch touches; the closure begins in the second.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/atomic.hpp"
#include "base/check.hpp"
#include "base/cpu.hpp"
#include "rt/core/wait_reason.hpp"
#include "sys/context.hpp"
#include "weft/detail/task.hpp"

namespace weft::rt {

struct m;
struct bubble_member;

enum class g_state : std::uint8_t {
    dead,      ///< in a free list, never used, or not started yet: whoever holds the pointer owns it
    runnable,  ///< in exactly one run queue (runnext, a P's rings, the global queue): the queue's owner owns it
    running,   ///< curg of one M
    waiting,   ///< parked, or about to be when the section ends: owned by what it waits on; whoever takes its waiter
               ///< makes it runnable
};

class local_values;

/// What only some goroutines have; on the heap.
struct g_extra {
    /// The name again, in a form for those who look on while the goroutine may end (dump.cpp): the first member.
    struct name_at {
        const char* text;
        std::size_t bytes;
    };
    name_at seen{};
    std::string name{};
    local_values* locals = nullptr;        ///< rt/core/local.hpp; by the goroutine itself, null again when it ends
    detail::task_body measured = nullptr;  ///< what stack_depth.cpp calls in place of g::body
};

struct alignas(base::cache_line) g {
    enum : std::uint8_t {
        no_stack = 1,                  ///< has not run yet: needs a stack first
        locked = 2,                    ///< lock_thread() is on: runs on `home` alone
        a_thread = 4,                  ///< stands for a plain thread; never in a run queue
        pinned = 8,                    ///< attr::pinned: locks itself before its function begins
        kept = 16,                     ///< detail::storage_life::kept
        bubbled = 32,                  ///< belongs to a bubble: `member` is set (bubble.hpp)
        explored = 64,                 ///< and to one whose order of running is drawn
        not_hibernated = 128,          ///< attr::hibernate is false
        special = a_thread | bubbled,  ///< parks and is readied in another way
    };

    sys::context ctx;             ///< valid while not running
    g* next;                      ///< links free lists, the global queue and wake lists
    char* stack_top;              ///< end of the stack's memory; null without one
    detail::task_body body;       ///< the function
    std::uint64_t id;             ///< given at the start, never reused
    base::atomic<g_state> state;  ///< changed by move_to() alone
    std::uint8_t flags;           ///< by the owner (see g_state)
    std::uint8_t stack_class;     ///< rt/stack/stack.hpp
    base::atomic<wait_reason>
        why;  ///< while waiting, with seen_waiting; of a plain thread `none` when it waits with a deadline
    std::uint32_t lock_depth;  ///< lock_thread() calls not yet undone; by the goroutine itself
    // -- second cache line
    const void* started_at;             ///< code address of the go()
    g_extra* extra;                     ///< name; null for most, and while dead
    m* home;                            ///< while `locked`
    void* fiber;                        ///< TSan's
    std::uint8_t resume_note;           ///< what the waker tells the sleeper, e.g. that its deadline has passed
    std::uint8_t seen_at[3];            ///< guarded by the dump's lock: when `why` was marked as seen (dump.cpp)
    base::atomic<std::uint32_t> awake;  ///< a_thread: futex word, 1 = readied
    bubble_member* member;              ///< while `bubbled`
    alignas(std::max_align_t) std::byte storage[detail::inline_closure_bytes];

    /// The one place where states change. `from` is what the caller knows it to be.
    void move_to(g_state from, g_state to, base::memory_order order = base::memory_order_relaxed) noexcept
    {
#ifndef NDEBUG
        base::check(state.load(base::memory_order_relaxed) == from, "state of a goroutine");
#else
        (void)from;
#endif
        state.store(to, order);
    }

    /// For each of many that are queued together: no cache knows their stacks any more, and the walk through the page
    /// tables to one takes longer than a switch. Begun for all of them, one behind the other, walks overlap.
    /// Precondition: nobody else can take it meanwhile.
    WEFT_ALWAYS_INLINE void expect_run() const noexcept { base::prefetch_lines(ctx.sp, 4); }

    [[nodiscard]] static g* of_storage(void* s) noexcept
    {
        return reinterpret_cast<g*>(static_cast<std::byte*>(s) - offsetof(g, storage));
    }
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(sizeof(g) == 192, "1,000,000 of them must fit beside their stacks: docs/design/memory.md");
static_assert(offsetof(g, started_at) == 64 && offsetof(g, storage) == 112);
static_assert(offsetof(g, storage) - offsetof(g, extra) == detail::task_extra_offset);
#pragma GCC diagnostic pop

/// A P's stock of free Gs: two lists of used ones, hottest first, and a run of never used ones. Owned as the P's queues
/// are. Lists go to and from the shared pool whole (the magazines of Bonwick and Adams, "Magazines and Vmem", 2001).
class g_cache {
public:
    static constexpr std::uint32_t magazine = 512;  ///< so many make a full one
    /// Null when no memory is to be had.
    [[nodiscard]] WEFT_ALWAYS_INLINE g* take() noexcept
    {
        if (g* const item = loaded_; item != nullptr) [[likely]] {
            loaded_ = item->next;
            --count_;
            return item;
        }
        return take_slow();
    }
    WEFT_ALWAYS_INLINE void give(g* item) noexcept
    {
        if (count_ == magazine) [[unlikely]]
            unload();
        item->next = loaded_;
        loaded_ = item;
        ++count_;
    }

private:
    static constexpr std::uint32_t batch = 64;
    [[nodiscard]] g* take_slow() noexcept;
    void unload() noexcept;

    g* loaded_ = nullptr;
    std::uint32_t count_ = 0;  ///< in loaded_
    std::uint32_t fresh_count_ = 0;
    g* spare_ = nullptr;  ///< null or `magazine` items
    g* fresh_ = nullptr;
};

/// Frees what few goroutines have: the name, the locals.
void drop_extra(g* item) noexcept;

/// A G for a caller without a P. Null when no memory is to be had.
[[nodiscard]] g* take_global_g() noexcept;
void give_global_g(g* item) noexcept;

/// Memory of all slabs handed out so far, in bytes.
[[nodiscard]] std::uint64_t g_bytes() noexcept;

/// How much of that is in memory, as the kernel counts it; some ns a page.
[[nodiscard]] std::uint64_t resident_gs() noexcept;

/// Control blocks side by side.
struct g_row {
    g* first;
    g* end;
};

/// Goes through every control block there is, in use or not, slab by slab; those of slabs that are made meanwhile may
/// be left out. What they say is for the caller to judge: nothing stops meanwhile.
class g_walk {
public:
    g_walk() noexcept;
    /// Null: that was all.
    [[nodiscard]] g* next() noexcept
    {
        while (row_ != count_) {
            if (at_ != rows_[row_].end)
                return at_++;
            if (++row_ != count_)
                at_ = rows_[row_].first;
        }
        return nullptr;
    }

    /// All that it goes through.
    [[nodiscard]] std::span<const g_row> rows() const noexcept { return {rows_.data(), count_}; }

    static constexpr std::size_t most_rows = 128;

private:
    std::array<g_row, most_rows> rows_;
    std::size_t count_;
    std::size_t row_ = 0;
    g* at_ = nullptr;
};

/// Calls `visit` with each of them.
void for_each_g(void (*visit)(g&, void*) noexcept, void* argument) noexcept;

}  // namespace weft::rt
