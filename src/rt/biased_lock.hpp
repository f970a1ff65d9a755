// biased_lock: a lock for short sections that costs the M that uses it most no locked instruction.
//
// Two ways to hold it. An M that it is biased to writes `held_`, a word of its own, and checks that it still is: an
// asymmetric Dekker as in claim.hpp. Everybody else takes `word_` and, if it is biased, revokes that first and waits
// until the M is out. So never both at once.
//
//   owner (the M in bias_)                  other
//   B1 held_ = 1                            R1 word_.lock()
//   B2 light barrier                        R2 bias_ = null
//   B3 bias_ == me? else held_ = 0, R1      R3 heavy barrier
//   B4 ... section ...                      R4 until held_ == 0
//   B5 held_ = 0 (release)                  R5 ... section ...; word_.unlock()
//
// Exclusion: after R3 either B3 comes later and sees null, or B1 is visible to R4. Only the holder of word_ writes
// bias_, and only its own M into it, before it lets word_ go. An M stands for whatever runs on it: between lock and
// unlock nothing may move to another thread (parking with it held is fine: unlock() then runs on the same M, after the
// switch).
//
// It becomes biased after `patience_` sections in a row by the same M, and each revocation makes it four times as
// patient: two Ms in turns soon cost what a plain lock does. Source of the idea: Kawachiya, Koseki, Onodera, "Lock
// Reservation" (OOPSLA 2002); Dice, Moir, Scherer, "Quickly Reacquirable Locks" (2003).
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/cpu.hpp"
#include "sys/barrier.hpp"
#include "sys/lock.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

struct m;

class biased_lock {
public:
    constexpr biased_lock() noexcept = default;
    biased_lock(const biased_lock&) = delete;
    biased_lock& operator=(const biased_lock&) = delete;

    /// `self`: the caller's M; null on a plain thread.
    WEFT_ALWAYS_INLINE void lock(const m* self) noexcept
    {
        if (self != nullptr && bias_.load(base::memory_order_relaxed) == self) [[likely]] {
            held_.store(1, base::memory_order_relaxed);
            base::light_barrier();
            if (bias_.load(base::memory_order_relaxed) == self) [[likely]]
                return;
            held_.store(0, base::memory_order_release);
        }
        lock_slow(self);
    }
    /// By the M or thread that has locked it.
    WEFT_ALWAYS_INLINE void unlock() noexcept
    {
        if (held_.load(base::memory_order_relaxed) != 0) [[likely]]
            held_.store(0, base::memory_order_release);
        else
            word_.unlock();
    }

private:
    static constexpr std::uint32_t first_patience = 16;
    static constexpr std::uint32_t most_patience = 1U << 30;

    WEFT_NOINLINE void lock_slow(const m* self) noexcept
    {
        word_.lock();
        if (bias_.load(base::memory_order_relaxed) != nullptr)
            revoke();
        if (self == nullptr || self != last_) {
            last_ = self;
            in_a_row_ = 0;
        } else if (++in_a_row_ >= patience_) {
            in_a_row_ = 0;
            bias_.store(self, base::memory_order_relaxed);  // from the next lock() on
        }
    }
    void revoke() noexcept
    {
        bias_.store(nullptr, base::memory_order_relaxed);
        sys::heavy_barrier();
        constexpr int spins = 200;
        for (int i = 0; held_.load(base::memory_order_acquire) != 0; ++i) {  // pairs with unlock()
            if (i < spins)
                base::pause();
            else
                sys::yield_thread();
        }
        patience_ = patience_ < most_patience ? patience_ * 4 : most_patience;
    }

    base::atomic<const m*> bias_{nullptr};  ///< written under word_
    base::atomic<std::uint32_t> held_{0};   ///< by the M in bias_
    sys::lock_word word_;
    const m* last_ = nullptr;                  ///< under word_: who locked it last that way
    std::uint32_t in_a_row_ = 0;               ///< under word_
    std::uint32_t patience_ = first_patience;  ///< under word_
};

}  // namespace weft::rt
