// gqueue: the queue that all Ps share: what plain threads start or ready, what overflows a P's ring, what a retired P
// leaves. First in, first out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atomic.hpp"
#include "rt/g.hpp"
#include "rt/runq.hpp"
#include "rt/timer.hpp"
#include "sys/lock.hpp"

namespace weft::rt {

class gqueue {
public:
    /// A hint unless the caller has just made a heavy barrier.
    [[nodiscard]] std::size_t size() const noexcept { return counted_.load(base::memory_order_relaxed); }

    void push(g* item) noexcept
    {
        lock_.lock();
        list_.push_back(item);
        counted_.store(list_.size(), base::memory_order_relaxed);
        lock_.unlock();
    }
    void push(g_list& items) noexcept
    {
        lock_.lock();
        list_.append(items);
        counted_.store(list_.size(), base::memory_order_relaxed);
        lock_.unlock();
    }
    /// Takes a fair share for one of `procs` Ps: returns the first, moves the others to the back of `rest`.
    [[nodiscard]] g* take_share(std::uint32_t procs, runq& rest) noexcept
    {
        constexpr std::size_t most = runq::capacity / 2;
        if (size() == 0)
            return nullptr;
        lock_.lock();
        std::size_t n = list_.size() / procs + 1;
        if (n > most)
            n = most;
        if (n > runq::capacity - rest.size())
            n = runq::capacity - rest.size();
        g* const first = list_.pop_front();
        for (std::size_t i = 1; i < n && !list_.empty(); ++i)
            rest.push_back(list_.pop_front());
        counted_.store(list_.size(), base::memory_order_relaxed);
        lock_.unlock();
        return first;
    }

private:
    sys::lock_word lock_;
    g_list list_;  // guarded by lock_
    base::atomic<std::size_t> counted_{0};
};

}  // namespace weft::rt
