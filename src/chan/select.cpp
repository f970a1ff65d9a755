// select: one wait on many channels. docs/design/select.md
//
//   1  Look at the readiness words, without a lock. Of the cases that look ready choose one at random, lock its channel
//   and
//      carry it out; if somebody was faster, look again.
//   2  None ready: the default case is chosen if the words have not changed since (readiness.hpp: then there was a
//   moment
//      at which none was ready). A deadline that has passed is chosen.
//   3  Lock all channels, in the order of their addresses; try all cases once more, in random order.
//   4  Queue a node on each channel, park, and unlock them all after the switch.
//   5  Woken: whoever won has taken one node out and moved the value. Take out the others.
//
// Under all the locks nothing can become ready between step 3's look and step 4's queueing, and two selects that wait
// for each other on two channels can't miss each other: the second one finds the first one's nodes in step 1 or 3.
#include "weft/select.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include "chan/core.hpp"

namespace weft {

namespace chans {

rt::g* expire(rt::timer& alarm) noexcept
{
    auto& self = static_cast<wait&>(rt::deadline_wait::of_alarm(alarm));
    if (!self.win(wait::by_deadline))
        return nullptr;
    self.timed_out = true;
    return self.waiter;
}

namespace {

using detail::select_case;
using cases_view = std::span<select_case>;

[[nodiscard]] std::uint32_t bit_of(const select_case& sc) noexcept
{
    return sc.what == select_case::kind::recv ? readiness::can_recv : readiness::can_send;
}
[[nodiscard]] queue& queue_of(const select_case& sc) noexcept
{
    core& c = core::of(sc.c);
    return sc.what == select_case::kind::recv ? c.receivers : c.senders;
}
/// Under the channel's lock.
[[nodiscard]] outcome attempt(const select_case& sc, rt::g*& woken) noexcept
{
    core& c = core::of(sc.c);
    return sc.what == select_case::kind::recv ? c.recv_now(sc.slot, woken) : c.send_now(sc.slot, woken);
}

/// A selecting call, with room for `Most` cases.
template <std::size_t Most>
class selection : public wait {
public:
    explicit selection(cases_view cases) noexcept : cases_(cases) {}
    selection(const selection&) = delete;
    selection& operator=(const selection&) = delete;

    std::size_t run(std::chrono::nanoseconds deadline, bool has_default)
    {
        for (;;) {
            std::uint32_t seen = 0;
            const std::size_t ready = look(seen);
            if (ready > 0) {
                if (const std::size_t won = try_ready(ready); won != none)
                    return won;
            } else if (!has_default) {
                break;
            } else if (unchanged(seen)) {
                return detail::select_default;
            }
        }
        if (deadline != detail::no_deadline && deadline <= clock::now().time_since_epoch())
            return detail::select_timeout;
        return wait_for_one(deadline);
    }

private:
    static constexpr std::size_t none = static_cast<std::size_t>(-3);

    /// Step 1. Fills order_ with the ready cases; `seen`: the sum of the rises of all words, for unchanged().
    std::size_t look(std::uint32_t& seen) noexcept
    {
        std::size_t ready = 0;
        for (std::size_t i = 0; i < cases_.size(); ++i) {
            const select_case& sc = cases_[i];
            if (sc.c == nullptr)
                continue;
            const std::uint32_t word = core::of(sc.c).ready.read();
            seen += readiness::rises(word);
            if ((word & bit_of(sc)) != 0)
                order_[ready++] = static_cast<index>(i);
        }
        return ready;
    }
    /// Whether no bit of any word has risen since: the numbers only grow, so their sum is as good as all of them.
    [[nodiscard]] bool unchanged(std::uint32_t seen) const noexcept
    {
        for (const select_case& sc : cases_)
            if (sc.c != nullptr)
                seen -= readiness::rises(core::of(sc.c).ready.read());
        return seen == 0;
    }
    std::size_t try_ready(std::size_t ready) noexcept
    {
        rt::m* const self = rt::begin_section();
        while (ready > 0) {
            const std::size_t at = ready == 1 ? 0 : rt::random_below(self, static_cast<std::uint32_t>(ready));
            const index i = order_[at];
            order_[at] = order_[--ready];
            select_case& sc = cases_[i];
            core& c = core::of(sc.c);
            c.lock.lock(self);
            rt::g* woken = nullptr;
            const outcome o = attempt(sc, woken);
            c.lock.unlock();
            if (o != outcome::blocked) {
                sc.ok = o == outcome::done;
                end(self, woken);
                return i;
            }
        }
        rt::end_section(self);
        return none;
    }

    std::size_t wait_for_one(std::chrono::nanoseconds deadline)
    {
        sort_by_address();
        rt::m* const self = begin();
        lock_all(self);
        rt::g* woken = nullptr;
        if (const std::size_t won = try_locked(self, woken); won != none) {
            unlock_all();
            end(self, woken);
            return won;
        }
        waiter = caller(self);
        for (std::size_t i = 0; i < used_; ++i) {
            const index at = order_[i];
            node& n = nodes_[at];
            n.of = this;
            n.slot = cases_[at].slot;
            n.index = at;
            core::of(cases_[at].c).enqueue(queue_of(cases_[at]), n);
        }
        if (deadline == detail::no_deadline) {
            rt::park_inside(self, waiter, &unlock_commit, this, rt::wait_reason::select);
        } else {
            alarm.when = deadline.count();
            alarm.expire = &expire;
            publish = [](rt::deadline_wait& w) noexcept
            {
                static_cast<selection&>(w).unlock_all();
                return true;
            };
            (void)rt::park_until_inside(self, *this, rt::wait_reason::select);
        }
        return woken_by();
    }
    std::size_t woken_by() noexcept
    {
        const std::uint32_t by = winner.load(base::memory_order_acquire);
        for (std::size_t i = 0; i < used_; ++i) {
            const index at = order_[i];
            node& n = nodes_[at];
            if (at == by || !n.queued.load(base::memory_order_acquire))  // pairs with queue::remove()
                continue;
            core& c = core::of(cases_[at].c);
            rt::m* const self = rt::begin_section();
            c.lock.lock(self);
            c.dequeue(queue_of(cases_[at]), n);
            c.lock.unlock();
            rt::end_section(self);
        }
        if (by == wait::by_deadline)
            return detail::select_timeout;
        cases_[by].ok = ok;
        return by;
    }

    /// order_ becomes the cases with a channel, those of one channel side by side.
    void sort_by_address() noexcept
    {
        used_ = 0;
        for (std::size_t i = 0; i < cases_.size(); ++i) {
            if (cases_[i].c == nullptr)
                continue;
            std::size_t at = used_++;
            if constexpr (Most <= small) {
                for (; at > 0 && std::less<>()(cases_[i].c, cases_[order_[at - 1]].c); --at)
                    order_[at] = order_[at - 1];
            }
            order_[at] = static_cast<index>(i);
        }
        if constexpr (Most > small)
            std::sort(&order_[0], &order_[0] + used_,
                      [&](index a, index b) { return std::less<>()(cases_[a].c, cases_[b].c); });
    }
    [[nodiscard]] bool same_as_before(std::size_t i) const noexcept
    {
        return i > 0 && cases_[order_[i]].c == cases_[order_[i - 1]].c;
    }
    void lock_all(rt::m* self) noexcept
    {
        std::size_t first = 0;
        for (std::size_t i = 0; i < used_; ++i) {
            if (!same_as_before(i)) {
                first = i;
                core::of(cases_[order_[i]].c).lock.lock(self);
            } else {
                // Who comes takes the first in the queue: of several cases on one channel that is each with the same
                // chance.
                const std::size_t other = first + rt::random_below(self, static_cast<std::uint32_t>(i - first + 1));
                std::swap(order_[i], order_[other]);
            }
        }
    }
    /// When the last one is unlocked a waker may already run the waiter, and its frame be gone.
    void unlock_all() noexcept
    {
        for (std::size_t i = used_; i > 0;) {
            --i;
            core* const c = &core::of(cases_[order_[i]].c);
            const bool same = same_as_before(i);
            if (!same)
                c->lock.unlock();
        }
    }
    /// Step 3.
    std::size_t try_locked(rt::m* self, rt::g*& woken) noexcept
    {
        if (used_ == 0)
            return none;
        const std::size_t first = rt::random_below(self, static_cast<std::uint32_t>(used_));
        for (std::size_t k = 0; k < used_; ++k) {
            const index i = order_[(first + k) % used_];
            if (const outcome o = attempt(cases_[i], woken); o != outcome::blocked) {
                cases_[i].ok = o == outcome::done;
                return i;
            }
        }
        return none;
    }
    static bool unlock_commit(rt::g*, void* self) noexcept
    {
        static_cast<selection*>(self)->unlock_all();
        return true;
    }

    static constexpr std::size_t small = 16;
    using index = std::conditional_t<Most <= small, std::uint8_t, std::uint32_t>;
    template <class T>
    using room = std::conditional_t<Most <= small, std::array<T, Most>, std::unique_ptr<T[]>>;
    template <class T>
    static room<T> make_room(std::size_t n)
    {
        if constexpr (Most > small)
            return std::unique_ptr<T[]>(new T[n]);
        else
            return {};
    }

    cases_view cases_;
    std::size_t used_ = 0;  ///< of order_, from sort_by_address() on
    room<index> order_ = make_room<index>(cases_.size());
    room<node> nodes_ = make_room<node>(cases_.size());
};

}  // namespace
}  // namespace chans

namespace detail {

std::size_t select_run(std::span<select_case> cases, std::chrono::nanoseconds deadline, bool has_default)
{
    if (cases.size() <= 4)
        return chans::selection<4>(cases).run(deadline, has_default);
    if (cases.size() <= 16)
        return chans::selection<16>(cases).run(deadline, has_default);
    return chans::selection<static_cast<std::size_t>(-1)>(cases).run(deadline, has_default);
}

}  // namespace detail
}  // namespace weft
