// countdown: the slow ways. The word is in weft/detail/countdown.hpp; test/model/wait_group_test.cpp explores it.
//
// Who brings the counter to zero with has_waiters set comes here and wakes all who are queued. A waiter whose deadline
// comes in between finds zero and itself still queued: then it waits for that one after all, so that the object may be
// destroyed as soon as its waiters have returned.
#include "weft/detail/countdown.hpp"

#include <array>
#include <cstdio>
#include <stdexcept>

#include "rt/rt.hpp"
#include "sync/limit.hpp"
#include "sys/symbol_table.hpp"

namespace weft::detail {

namespace {

[[noreturn]] void refuse(int n, countdown_owner owner)
{
    if (owner == countdown_owner::latch)
        throw std::logic_error("weft::latch: counted down below zero");
    throw std::logic_error(n < 0 ? "weft::wait_group: the counter would become negative: more done() than add()"
                                 : "weft::wait_group: the counter would exceed 2147483647");
}

}  // namespace

struct countdown_queue {
    static constexpr std::uint64_t count_of(std::uint64_t word) noexcept { return word >> 32; }

    /// Sets the bit, unless the counter is zero. All three under the bucket's lock.
    static bool announce(countdown& c) noexcept
    {
        std::uint64_t seen = c.state_.load(base::memory_order_acquire);
        do {
            if (count_of(seen) == 0)
                return false;
        } while (!c.state_.compare_exchange_weak(seen, seen | countdown::has_waiters, base::memory_order_acq_rel,
                                                 base::memory_order_acquire));
        return true;
    }
    /// When a waiter has left early: clears the bit if it was the last, unless the counter is zero: false.
    static bool retract(countdown& c, const rt::sema_bucket& bucket) noexcept
    {
        std::uint64_t seen = c.state_.load(base::memory_order_acquire);
        do {
            if (count_of(seen) == 0)
                return false;
            if (bucket.front(&c) != nullptr)
                return true;
        } while (!c.state_.compare_exchange_weak(seen, seen & ~countdown::has_waiters, base::memory_order_acq_rel,
                                                 base::memory_order_acquire));
        return true;
    }
    /// The counter has come to zero with waiters.
    static void wake_all(countdown& c) noexcept
    {
        rt::g_list woken;
        rt::sema_bucket& bucket = rt::sema_bucket::of(&c);
        bucket.lock();
        grant_all(bucket, &c, woken);
        c.state_.fetch_and(~countdown::has_waiters, base::memory_order_relaxed);
        bucket.unlock();
        // The object may be gone as soon as one of them runs.
        rt::ready(woken);
    }
};

void countdown::add_slow(int n, std::uint64_t now, countdown_owner owner)
{
    if (static_cast<std::int32_t>(now >> 32) < 0) {
        const std::uint64_t delta = static_cast<std::uint64_t>(static_cast<std::int64_t>(n)) << 32;
        const std::uint64_t undone = state_.fetch_sub(delta, base::memory_order_relaxed) - delta;
        if (undone == has_waiters)  // somebody has taken the negative counter for one to wait for
            countdown_queue::wake_all(*this);
        refuse(n, owner);
    }
    countdown_queue::wake_all(*this);
}

bool countdown::wait_slow(wait_bound bound, countdown_owner owner)
{
    const auto why = owner == countdown_owner::latch ? rt::wait_reason::latch : rt::wait_reason::wait_group;
    rt::sema_bucket& bucket = rt::sema_bucket::of(this);
    rt::sema_waiter me;
    me.who = rt::current();
    me.key = this;
    bucket.lock();
    if (!countdown_queue::announce(*this)) {
        bucket.unlock();
        return true;
    }
    bucket.push_back(me);
    if (rt::sema_wait(bucket, me, limit_of(bound), why) == rt::wait_state::granted)
        return true;
    if (!bucket.remove(me)) {
        bucket.unlock();
        return true;  // the counter was zero
    }
    if (countdown_queue::retract(*this, bucket)) {
        bucket.unlock();
        return false;
    }
    bucket.push_back(me);
    (void)rt::sema_wait(bucket, me, {}, why);
    return true;
}

void countdown::abandon() const noexcept
{
    // Static ones end with the process, perhaps before the runtime hears of that.
    if (runtime_stopped() || sys::is_static(this))
        return;
    std::array<char, 160> text;
    const auto left = static_cast<unsigned long>(countdown_queue::count_of(state_.load(base::memory_order_relaxed)));
    (void)std::snprintf(
        text.data(), text.size(),
        "a weft::wait_group was destroyed while its counter was %lu: call wait() before its scope ends, "
        "or let it live longer than what it counts",
        left);
    rt::panic(text.data());
}

}  // namespace weft::detail
