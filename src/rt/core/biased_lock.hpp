// biased_lock: a lock for short sections that costs the M that uses it most no locked instruction.
//
// Two ways to hold it. An M that it is biased to writes a word of its own, `held_[epoch]`, and checks that it still is:
// an asymmetric Dekker as in section_word.hpp. Everybody else takes `word_` and, if it is biased, revokes that first
// and waits until the M is out. So never both at once.
//
//   owner (the M in bias_, with its epoch)   other
//   B1 held_[epoch] = 1                      R1 word_.lock()
//   B2 compiler barrier                     R2 bias_ = nobody
//   B3 bias_ as before? else                R3 heavy fence
//      held_[epoch] = 0, R1                  R4 until held_[epoch_] == 0; by_word_ = true
//   B4 ... section ...                      R5 ... section ...; by_word_ = false
//   B5 held_[epoch_] = 0 (release)           R6 word_.unlock()
//
// Exclusion: after R3 either B3 comes later and sees nobody, or B1 is visible to R4. Only the holder of word_ writes
// bias_, and only its own M into it, before it lets word_ go.
//
// The owner has a second way, which costs nothing where it needs a section of the runtime anyway (section_word.hpp):
// the section is the lock. It begins the section, in place of B1, and then looks at bias_; what it has locked is free
// when the section ends, be that in another goroutine after a switch. So R4 also waits until the M has once been
// outside of its section or at rest in it, on g0: a section that begins after R3 sees nobody. Hence nobody revokes, and
// so nobody waits for such a lock, inside a section: two Ms could wait for each other's.
//
// An M may be late: it saw its bias, was stopped, and goes on with B1 when others have been biased or are inside by the
// word. Hence
//   - each bias has a epoch, a word in held_ that no earlier one had: what late Ms write there nobody looks at. With
//   the
//     last epoch revoked it stays a plain lock, whose word would be its cheapest way by then;
//   - unlock() goes by by_word_ and epoch_, which are written inside sections only, and not by what held_ says.
//
// An M stands for whatever runs on it: between lock and unlock nothing may move to another thread (parking with it held
// is fine: unlock() then runs on the same M, after the switch).
//
// It becomes biased after `patience` sections in a row by the same M, and each epoch is four times as patient as the
// one before: two Ms in epochs soon cost what a plain lock does. Source of the idea: Kawachiya, Koseki, Onodera, "Lock
// Reservation" (OOPSLA 2002); Dice, Moir, Scherer, "Quickly Reacquirable Locks" (2003).
//
// Where the kernel has no membarrier(2) it is never biased.
#pragma once

#include <array>
#include <cstdint>

#include "base/atomic.hpp"
#include "base/cpu.hpp"
#include "rt/core/section_word.hpp"
#include "sys/lock.hpp"
#include "sys/membarrier.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

struct m;

class biased_lock {
public:
    constexpr biased_lock() noexcept = default;
    biased_lock(const biased_lock&) = delete;
    biased_lock& operator=(const biased_lock&) = delete;

    /// `self`: the caller's M, outside of a section; null on a plain thread.
    WEFT_ALWAYS_INLINE void lock(const m* self) noexcept
    {
        if (!try_lock_biased(self))
            lock_slow(self);
    }
    /// The cheap way alone; false: lock_slow() is next.
    [[nodiscard]] WEFT_ALWAYS_INLINE bool try_lock_biased(const m* self) noexcept
    {
        const std::uintptr_t bias = bias_.load(base::memory_order_relaxed);
        const std::uintptr_t epoch = bias - number(self);
        if (epoch >= epochs) [[unlikely]]
            return false;
        held_[epoch].store(1, base::memory_order_relaxed);
        base::light_compiler_fence();
        if (bias_.load(base::memory_order_relaxed) == bias) [[likely]]
            return true;
        held_[epoch].store(0, base::memory_order_release);  // for R4: what this M did inside before
        return false;
    }
    WEFT_NOINLINE void lock_slow(const m* self) noexcept
    {
        word_.lock_patiently();
        if (bias_.load(base::memory_order_relaxed) != nobody)
            revoke();
        by_word_ = true;
        if (self == nullptr || self != last_) {
            last_ = self;
            in_a_row_ = 0;
        } else if (next_epoch_ < epochs && sys::has_membarrier() &&
                   ++in_a_row_ >= first_patience << (2 * next_epoch_)) {
            in_a_row_ = 0;
            epoch_ = next_epoch_++;
            bias_.store(number(self) + epoch_, base::memory_order_relaxed);  // from the next lock() on
        }
    }
    /// By the M or thread that has locked it.
    WEFT_ALWAYS_INLINE void unlock() noexcept
    {
        if (!by_word_) [[likely]] {
            held_[epoch_].store(0, base::memory_order_release);
        } else {
            by_word_ = false;
            word_.unlock();
        }
    }

    /// By `self` itself, in a section that section_word::try_enter_simply() has begun: whether the section has locked
    /// it, until it ends.
    [[nodiscard]] WEFT_ALWAYS_INLINE bool held_by_section_of(const m& self) const noexcept
    {
        return bias_.load(base::memory_order_relaxed) - number(&self) < epochs;
    }

    /// After try_lock_biased().
    WEFT_ALWAYS_INLINE void unlock_biased() noexcept { held_[epoch_].store(0, base::memory_order_release); }

private:
    static constexpr std::uint8_t epochs = 12;
    static constexpr std::uint32_t first_patience = 16;
    static constexpr std::uintptr_t nobody = ~std::uintptr_t{0};  ///< minus an M's address, or minus 0: no epoch

    [[nodiscard]] static std::uintptr_t number(const m* who) noexcept { return reinterpret_cast<std::uintptr_t>(who); }

    void revoke() noexcept
    {
        const section_word& owner = section_of(bias_.load(base::memory_order_relaxed) - epoch_);
        bias_.store(nobody, base::memory_order_relaxed);
        sys::heavy_fence();
        wait_while([this] { return held_[epoch_].load(base::memory_order_acquire) != 0; });  // pairs with unlock()
        wait_while([&owner] { return owner.may_hold_locks(); });
    }
    template <class Condition>
    static void wait_while(Condition condition) noexcept
    {
        constexpr int spins = 200;
        for (int i = 0; condition(); ++i) {
            if (i < spins)
                base::pause();
            else
                sys::yield_thread();
        }
    }
    /// An M begins with its claim.
    [[nodiscard]] static const section_word& section_of(std::uintptr_t m_number) noexcept
    {
        return *reinterpret_cast<const section_word*>(m_number);
    }

    base::atomic<std::uintptr_t> bias_{nobody};              ///< the M's address plus its epoch; written under word_
    std::array<base::atomic<std::uint8_t>, epochs> held_{};  ///< each by the M that had that epoch
    sys::lock_word word_;
    // -- by who is inside
    bool by_word_ = false;    ///< it holds word_
    std::uint8_t epoch_ = 0;  ///< the latest
    std::uint8_t next_epoch_ = 0;
    std::uint32_t in_a_row_ = 0;  ///< sections of last_'s, by the word
    const m* last_ = nullptr;     ///< who was the last inside by the word
};
static_assert(sizeof(biased_lock) == 40);

}  // namespace weft::rt
