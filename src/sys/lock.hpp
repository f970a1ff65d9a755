// The runtime's own lock, for short sections: spins a little, then sleeps. It blocks the OS thread, so nothing that
// parks or runs user code may happen under it.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/cpu.hpp"
#include "sys/futex.hpp"

namespace weft::sys {

/// Four bytes, constant-initialised, Lockable. May be unlocked by another thread or goroutine than the one that locked.
/// Source of the three states: Drepper, "Futexes are tricky" (2011), mutex2.
class lock_word {
public:
    void lock() noexcept
    {
        if (!try_lock()) [[unlikely]]
            lock_slow();
    }
    /// lock() where sections follow each other closely: who meets the lock held stays away from it for longer and
    /// longer (up to some us), so that its holder can go on for many sections with the cache lines to itself. Each
    /// change of hands costs more than such a section does.
    void lock_patiently() noexcept
    {
        if (!try_lock()) [[unlikely]]
            lock_patiently_slow();
    }
    [[nodiscard]] bool try_lock() noexcept
    {
        std::uint32_t seen = open;
        return word_.compare_exchange_strong(seen, held, base::memory_order_acquire, base::memory_order_relaxed);
    }
    void unlock() noexcept
    {
        if (word_.exchange(open, base::memory_order_release) == contended) [[unlikely]]
            futex_wake(&word_, 1);
    }

private:
    enum : std::uint32_t {
        open = 0,
        held = 1,
        contended = 2,  ///< held, and somebody may sleep: unlock wakes
    };

    WEFT_NOINLINE void lock_patiently_slow() noexcept
    {
        constexpr int shortest = 8;
        constexpr int longest = 512;
        constexpr int rounds = 16;  // about 60 us: by then the holder is likely to be off its CPU
        int pauses = shortest;
        for (int round = 0; round < rounds; ++round) {
            for (int i = 0; i < pauses; ++i)
                base::pause();
            if (word_.load(base::memory_order_relaxed) == open && try_lock())
                return;
            pauses = pauses < longest ? pauses * 2 : longest;
        }
        lock_slow();
    }

    void lock_slow() noexcept
    {
        constexpr int spins = 100;  // about 2-4 us: longer than nearly all sections under this lock
        for (int i = 0; i < spins; ++i) {
            base::pause();
            if (word_.load(base::memory_order_relaxed) == open && try_lock())
                return;
        }
        while (word_.exchange(contended, base::memory_order_acquire) != open)
            futex_wait(word_, contended);
    }

    base::atomic<std::uint32_t> word_{open};
};

}  // namespace weft::sys
