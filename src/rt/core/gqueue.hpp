// gqueue: the queue that all Ps share: what plain threads start or ready, what overflows a P's ring, what a retired P
// leaves. First in, first out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/atomic.hpp"
#include "rt/core/g.hpp"
#include "rt/core/runq.hpp"
#include "rt/core/timer.hpp"
#include "sys/lock.hpp"

namespace weft::rt {

class gqueue {
public:
    /// A hint unless the caller has just made a heavy fence.
    [[nodiscard]] std::size_t size() const noexcept { return counted_.load(base::memory_order_relaxed); }

    void push(g* item) noexcept
    {
        lock_.lock();
        list_.push_back(item);
        counted_.store(list_.size(), base::memory_order_relaxed);
        lock_.unlock();
    }
    /// `fine`: they come from a P that is fine_grained.
    void push(g_list& items, bool fine = false) noexcept
    {
        fine_.store(fine, base::memory_order_relaxed);
        lock_.lock();
        list_.append(items);
        counted_.store(list_.size(), base::memory_order_relaxed);
        lock_.unlock();
    }
    /// Whether what was pushed last is not worth moving to another core.
    [[nodiscard]] bool fine_grained() const noexcept { return fine_.load(base::memory_order_relaxed); }

    /// A fair share for one of `procs` Ps, at least 1.
    [[nodiscard]] std::size_t share(std::uint32_t procs) const noexcept { return size() / procs + 1; }
    /// Takes up to `n`: returns the first, moves the others to the back of `rest`. Null when there is none.
    [[nodiscard]] g* take(std::size_t n, runq<256>& rest) noexcept
    {
        constexpr std::size_t most = runq<256>::capacity / 2;
        if (size() == 0)
            return nullptr;
        lock_.lock();
        n = std::min({n, most, std::size_t{runq<256>::capacity - rest.size()}});
        g* const first = list_.pop_front();
        std::uint32_t moved = 0;
        for (; moved + 1 < n && !list_.empty(); ++moved)
            rest.push_back(list_.pop_front());
        counted_.store(list_.size(), base::memory_order_relaxed);
        lock_.unlock();
        while (moved > 0)
            rest.newest(--moved)->expect_run();
        return first;
    }

private:
    sys::lock_word lock_;
    g_list list_;  // guarded by lock_
    base::atomic<std::size_t> counted_{0};
    base::atomic<bool> fine_{false};
};

}  // namespace weft::rt
