// The runtime as the layers above see it (src/rt/rt.hpp), so that shipped code above it can be explored. Park and
// ready, deadlines, the clock and the runtime's own locks are modelled; the sema table is the shipped one. To be
// included before anything of src/.
//
// Each model thread has a g, which stands for a goroutine or a plain thread. The modelled waist checks how it is used:
// one ready() a park(), by somebody who has the waiter's state from before it parked; park_until() says what has ended
// the wait. Sections are not modelled: nobody has an M, so the forms with a section do what they do on plain threads.
#pragma once

#include <array>
#include <cstdint>
#include <source_location>

#include "model/explore.hpp"

// Shipped, these two spin and read the time; here they are one step, and a choice.
#define lock_word shipped_lock_word
#define monotonic_now shipped_monotonic_now
#include "sys/clock.hpp"
#include "sys/lock.hpp"
#undef lock_word
#undef monotonic_now

namespace weft::sys {

class lock_word {
public:
    void lock(const std::source_location& at = std::source_location::current()) noexcept { lock_.acquire(at); }
    void lock_patiently(const std::source_location& at = std::source_location::current()) noexcept
    {
        lock_.acquire(at);
    }
    [[nodiscard]] bool try_lock(const std::source_location& at = std::source_location::current()) noexcept
    {
        return lock_.try_acquire(at);
    }
    void unlock(const std::source_location& at = std::source_location::current()) noexcept { lock_.release(at); }

private:
    model::lock lock_;
};

std::int64_t monotonic_now() noexcept;

}  // namespace weft::sys

namespace weft::base {

inline void spin() noexcept
{
    model::yield_hint();
}

}  // namespace weft::base

#include "rt/core/section_word.hpp"

// The biased lock as one that works; it has a test of its own (biased_lock_test.cpp), in which its spinning is not
// followed round by round.
#define biased_lock shipped_biased_lock
#define pause spin
#include "rt/core/biased_lock.hpp"
#undef pause
#undef biased_lock

namespace weft::rt {

class biased_lock {
public:
    void lock(const m*, const std::source_location& at = std::source_location::current()) noexcept
    {
        lock_.acquire(at);
    }
    void unlock(const std::source_location& at = std::source_location::current()) noexcept { lock_.release(at); }
    [[nodiscard]] bool try_lock_biased(const m*,
                                       const std::source_location& at = std::source_location::current()) noexcept
    {
        lock_.acquire(at);
        return true;
    }
    void unlock_biased(const std::source_location& at = std::source_location::current()) noexcept { lock_.release(at); }
    void lock_slow(const m*, const std::source_location& at = std::source_location::current()) noexcept
    {
        lock_.acquire(at);
    }
    [[nodiscard]] bool held_by_section_of(const m&) const noexcept { return false; }

private:
    model::lock lock_;
};

}  // namespace weft::rt

#include "rt/rt.hpp"

namespace weft::model {

/// Base of a program over the waist.
class runtime {
public:
    runtime();
    runtime(const runtime&) = delete;
    runtime& operator=(const runtime&) = delete;
    ~runtime();

    /// Time may jump once, by 2 ms, whenever somebody looks at the clock.
    bool time_may_jump = false;
    /// What rt::worth_spinning() says.
    bool spinning_pays = false;
    /// A deadline passes as for a goroutine, by the hand of a thread in fire_timers(); false: as for a plain thread,
    /// which sees to that itself.
    bool timers_fire = true;
    /// Of plain threads: a deadline passes for certain, at any time; else perhaps.
    bool deadlines_pass = false;

    [[nodiscard]] int thread_of(const rt::g* g) const noexcept { return static_cast<int>(g - gs_.data()); }
    /// The body of the thread that fires timers, each at any time after it was armed.
    void fire_timers();

    // The waist.
    [[nodiscard]] rt::g* current() noexcept;
    void park(rt::g* self, rt::commit_fn commit, void* argument) noexcept;
    bool park_until(rt::deadline_wait& wait) noexcept;
    void ready(rt::g* item) noexcept;
    [[nodiscard]] std::int64_t now() noexcept;

    static runtime& get() noexcept;

private:
    void sleep(rt::g* self) noexcept;
    void park_until_fired(rt::deadline_wait& wait) noexcept;
    void park_until_given_up(rt::deadline_wait& wait) noexcept;

    std::array<rt::g, max_threads> gs_{};
    std::array<ghost<bool>, max_threads> parked_{};  ///< and not readied yet
    std::array<ghost<bool>, max_threads> expired_{};
    /// What a switch saves: written by who parks, used by who makes it run again.
    std::array<plain<int>, max_threads> contexts_{};
    ghost<std::int64_t> now_{1};
    lock heap_;  ///< a heap of one timer
    base::atomic<rt::deadline_wait*> armed_{nullptr};
};

}  // namespace weft::model
