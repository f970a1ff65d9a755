// timer: deadlines, in one 4-ary heap per P.
//
// A timer lies in its waiter's frame. States, under the heap's lock unless said otherwise:
//   idle -> armed            by arm()
//   armed -> idle            by disarm()
//   armed -> armed           by put_off()
//   armed -> firing          by take_expired(); the lock is then dropped, so that `expire` may take other locks
//   firing -> idle           by whoever fired it, without the lock, with release order; from then on the owner may free
//   it
// disarm() on a firing one waits for that last step: afterwards nobody touches the timer any more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/atomic.hpp"
#include "base/list.hpp"
#include "rt/core/g.hpp"
#include "sys/lock.hpp"

namespace weft::rt {

using g_list = base::fifo<g, &g::next>;

inline constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

class timer_heap;

struct timer {
    enum class status : std::uint8_t { idle, armed, firing };

    std::int64_t when = never;  ///< nanoseconds of the monotonic clock
    /// Takes the waiter back from what it waits on. The goroutine to make runnable, or null: something else woke it.
    g* (*expire)(timer&) noexcept = nullptr;
    /// Set under the heap's lock before anybody can wake the waiter, which may be before arm(): so disarm() always
    /// goes through that lock.
    timer_heap* heap = nullptr;
    std::size_t index = 0;  ///< in the heap, while armed; not kept for one that stays
    base::atomic<status> state{status::idle};
    /// It ends by firing alone: nobody disarms it while it is armed. Then the heap need not tell it where it is, and
    /// sifting touches no memory but its own. With a million sleepers, telling them was most of a sleep.
    bool only_fires = false;
};

class timer_heap {
public:
    constexpr timer_heap() noexcept = default;
    timer_heap(const timer_heap&) = delete;
    timer_heap& operator=(const timer_heap&) = delete;
    ~timer_heap();

    /// The earliest deadline, or `never`; may be looked at by anybody.
    [[nodiscard]] std::int64_t earliest() const noexcept { return earliest_.load(base::memory_order_relaxed); }
    [[nodiscard]] std::size_t size() const noexcept { return counted_.load(base::memory_order_relaxed); }

    void lock() noexcept { lock_.lock(); }
    void unlock() noexcept { lock_.unlock(); }
    /// Precondition: locked, and `t` is idle. True: it is now the earliest.
    bool arm(timer& t) noexcept;
    /// Afterwards nobody refers to `t`. True: it was armed, and does not fire. Must not be called with any lock held
    /// that `t.expire` takes. One that stays must have been taken to be fired.
    static bool disarm(timer& t) noexcept;
    /// As disarm() and arm() at `when`, in one step and for a deadline that is not earlier alone. False: it is not
    /// armed, or `when` is earlier; nothing has been done. Precondition: it is not one that stays.
    static bool put_off(timer& t, std::int64_t when) noexcept;
    /// Takes the earliest out, which does not fire then; null: there is none. For a heap without waiters' timers.
    [[nodiscard]] timer* disarm_earliest() noexcept;
    /// Fires what has expired at `now`; appends the goroutines to make runnable to `out`.
    void run_expired(std::int64_t now, g_list& out) noexcept;

private:
    class entry {
    public:
        explicit entry(timer& t) noexcept
            : when(t.when), t_(reinterpret_cast<std::uintptr_t>(&t) | (t.only_fires ? only_fires : 0))
        {
        }
        [[nodiscard]] timer& get() const noexcept { return *reinterpret_cast<timer*>(t_ & ~only_fires); }
        void tell(std::size_t at) const noexcept
        {
            if ((t_ & only_fires) == 0)
                get().index = at;
        }

        std::int64_t when;

    private:
        static constexpr std::uintptr_t only_fires = 1;  // of the address: what stays is not even looked at
        std::uintptr_t t_;
    };
    void grow() noexcept;
    void place(std::size_t at, entry e) noexcept;
    void sift_up(std::size_t at, entry e) noexcept;
    void sift_down(std::size_t at, entry e) noexcept;
    void remove(std::size_t at) noexcept;
    void publish() noexcept;

    sys::lock_word lock_;
    std::size_t size_ = 0;      // guarded by lock_
    std::size_t capacity_ = 0;  // guarded by lock_
    entry* entries_ = nullptr;  // guarded by lock_
    base::atomic<std::int64_t> earliest_{never};
    base::atomic<std::size_t> counted_{0};
};

}  // namespace weft::rt
