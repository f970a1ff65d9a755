// p: the right to run goroutines, and all that belongs to it. Ps are made as max_procs asks for them and never freed.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/cpu.hpp"
#include "rt/core/g.hpp"
#include "rt/core/runq.hpp"
#include "rt/core/timer.hpp"
#include "rt/stack/stack.hpp"
#include "sys/lock.hpp"

namespace weft::rt {

struct m;

enum class p_state : std::uint8_t {
    dead,     ///< beyond max_procs: on no list, its queues are empty
    idle,     ///< on the scheduler's idle list, its queues are empty; its timers may not be
    running,  ///< owned by one M
};

struct alignas(base::cache_line) p {
    explicit p(std::uint32_t number) noexcept : id(number) {}

    // -- by the owner M inside its claim, or a thief that has claimed the owner
    base::atomic<g*> runnext{nullptr};    ///< runs before everything else: just readied, its data is hot
    base::atomic<std::uint64_t> tick{0};  ///< scheduling decisions. Both are looked at by sysmon
    const std::uint32_t id;
    /// Whose turn it is when both rings have work. Not by the parity of `tick`: runnext counts there too, and a
    /// goroutine that starts another one and waits for it would always meet the same one.
    bool fresh_is_next = false;
    /// By the owner, read by anybody: goroutines that have parked: their commit_fn has run.
    base::counter parks;
    runq<256> ready;  ///< readied and yielded ones: first in, first out
    runq<1024>
        fresh;  ///< never run yet: the owner takes the newest (its data is hot, and forked work stays depth-first),
                ///< thieves the oldest (the largest part of a divided task), the owner too from time to time
    g_cache gs;
    stack_cache stacks;
    std::int64_t fair_at = 0;       ///< when the shared queues last had their turn; ns
    std::int64_t oldest_taken = 0;  ///< when the oldest of `fresh` last had its turn; ns
    std::int64_t slice_began = 0;   ///< when runnext was last passed over; ns
    std::uint64_t next_id = 0;      ///< goroutine ids in stock: [next_id, end_id)
    std::uint64_t end_id = 0;

    // -- by the owner, read by anybody
    /// Its goroutines take less time than moving one to another core does: thieves take one, not half (find.cpp).
    base::atomic<bool> fine_grained{false};
    base::counter started;
    base::counter finished;
    base::counter readies;  ///< parked ones made runnable, counted before anybody can run them
    base::counter steals;
    base::counter stolen;

    // -- shared
    alignas(base::cache_line) sys::lock_word steal_lock;  ///< held by a thief, and to change `owner`
    base::atomic<m*> owner{nullptr};                      ///< written under steal_lock; read without it by sysmon
    /// sysmon's word: runnext may be stolen while `tick` still has this value. Written by sysmon, read by thieves.
    base::atomic<std::uint64_t> stale_next{no_tick};
    base::atomic<p_state> state{p_state::dead};  ///< guarded by the scheduler's lock; read by anybody
    p* next_idle = nullptr;                      ///< guarded by the scheduler's lock
    timer_heap timers;                           ///< has its own lock

    static constexpr std::uint64_t no_tick = ~std::uint64_t{0};

    [[nodiscard]] WEFT_ALWAYS_INLINE bool has_next() const noexcept
    {
        return runnext.load(base::memory_order_relaxed) != nullptr;
    }
    [[nodiscard]] WEFT_ALWAYS_INLINE g* take_next() noexcept
    {
        g* const item = runnext.load(base::memory_order_relaxed);
        if (item != nullptr)
            runnext.store(nullptr, base::memory_order_relaxed);
        return item;
    }
    WEFT_ALWAYS_INLINE std::uint64_t next_tick() noexcept
    {
        const std::uint64_t now = tick.load(base::memory_order_relaxed) + 1;
        tick.store(now, base::memory_order_relaxed);
        return now;
    }

    /// Goroutines in the rings; a hint unless called by the owner.
    [[nodiscard]] std::uint32_t queued() const noexcept { return ready.size() + fresh.size(); }
    /// A hint likewise.
    [[nodiscard]] bool has_work() const noexcept { return has_next() || queued() != 0; }
};

}  // namespace weft::rt
