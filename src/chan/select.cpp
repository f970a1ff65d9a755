// select: one wait on many channels. docs/design/select.md
//
//   1  Look at the readiness words, without a lock. Of the cases that look ready choose one at random, lock its channel
//   and
//      carry it out; if somebody was faster, look again.
//   2  None ready: the default case is chosen if the words have not changed since (readiness.hpp: then there was a
//      moment at which none was ready). Once a deadline has passed it is such a case.
//   3  Lock all channels, in the order of their addresses; of those that are ready now choose one.
//   4  Queue a node on each channel, park, and unlock them all after the switch.
//   5  Woken: whoever won has taken one node out and moved the value. Take out the others.
//
// Under all the locks nothing can become ready between step 3's look and step 4's queueing, and two selects that wait
// for each other on two channels can't miss each other: the second one finds the first one's nodes in step 1 or 3.
#include "weft/select.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>

#include "chan/core.hpp"

namespace weft {

namespace chans {

namespace {

using detail::select_case;
using cases_view = std::span<select_case>;

static_assert(static_cast<std::uint32_t>(select_case::kind::recv) == readiness::can_recv &&
              static_cast<std::uint32_t>(select_case::kind::send) == readiness::can_send);
[[nodiscard]] std::uint32_t bit_of(const select_case& sc) noexcept
{
    return static_cast<std::uint32_t>(sc.what);
}
[[nodiscard]] queue& queue_of(const select_case& sc) noexcept
{
    core& c = core::of(sc.c);
    return sc.what == select_case::kind::recv ? c.receivers : c.senders;
}
/// Under the channel's lock.
[[nodiscard]] WEFT_NOINLINE outcome attempt(const select_case& sc, rt::g*& woken, leftover& left) noexcept
{
    core& c = core::of(sc.c);
    return sc.what == select_case::kind::recv ? c.recv_now(sc.slot, woken, left) : c.send_now(sc.slot, woken);
}

/// Nothing was chosen yet.
constexpr std::size_t none = static_cast<std::size_t>(-3);

/// How many bits are set. std::popcount() is a call where the processors that we compile for may lack the instruction;
/// this is Hacker's Delight, 5-1 (Warren, 2012).
[[nodiscard]] WEFT_ALWAYS_INLINE std::uint32_t count_bits(std::uint64_t x) noexcept
{
    x -= (x >> 1U) & 0x5555'5555'5555'5555U;
    x = (x & 0x3333'3333'3333'3333U) + ((x >> 2U) & 0x3333'3333'3333'3333U);
    x = (x + (x >> 4U)) & 0x0f0f'0f0f'0f0f'0f0fU;
    return static_cast<std::uint32_t>((x * 0x0101'0101'0101'0101U) >> 56U);
}
/// The position of the bit before which `skip` bits are set. Which one that is can't be predicted, so the first few
/// steps are no branches.
[[nodiscard]] WEFT_ALWAYS_INLINE std::size_t nth_bit(std::uint64_t bits, std::uint32_t skip) noexcept
{
    constexpr std::uint32_t without_branch = 3;
    for (std::uint32_t i = 0; i < without_branch; ++i)
        bits &= bits - static_cast<std::uint64_t>(i < skip);
    for (; skip > without_branch; --skip)
        bits &= bits - 1;
    return static_cast<std::size_t>(std::countr_zero(bits));
}

/// What is to be seen of all the cases, at most 64, without a lock.
struct outlook {
    std::uint64_t ready = 0;  ///< a bit for each case that looks ready
    std::uint64_t words = 0;  ///< the sum of the readiness words

    WEFT_ALWAYS_INLINE explicit outlook(cases_view cases) noexcept
    {
        for (std::size_t i = cases.size(); i > 0;) {
            const select_case& sc = cases[--i];
            ready += ready;
            if (sc.c == nullptr) [[unlikely]]
                continue;
            const std::uint32_t word = core::of(sc.c).ready.read();
            words += word;
            ready |= static_cast<std::uint64_t>((word & bit_of(sc)) != 0);
        }
    }
    /// Whether no bit of any word has changed since: words only grow, so their sum is as good as all of them.
    [[nodiscard]] WEFT_ALWAYS_INLINE bool still(cases_view cases) const noexcept
    {
        std::uint64_t now = 0;
        for (const select_case& sc : cases)
            if (sc.c != nullptr) [[likely]]
                now += core::of(sc.c).ready.read();
        return now == words;
    }
};

/// Steps 1 and 2, for up to 64 cases.
class attempts {
public:
    static constexpr std::size_t most = 64;

    explicit attempts(cases_view cases) noexcept : cases_(cases) {}

    std::size_t run(bool has_default) noexcept
    {
        for (;;) {
            const outlook seen(cases_);
            for (std::uint64_t ready = seen.ready; ready != 0;)
                if (const std::size_t won = try_one(ready); won != none)
                    return won;
            if (seen.ready == 0) {
                if (!has_default)
                    return none;
                if (seen.still(cases_))
                    return detail::select_default;
            }
        }
    }

    /// Carries out the case at `i`, if nobody was faster.
    std::size_t try_case(std::size_t i) noexcept
    {
        rt::m* const self = rt::this_m();
        select_case& sc = cases_[i];
        core& c = core::of(sc.c);
        c.lock.lock(self);
        rt::g* woken = nullptr;
        leftover left;
        const outcome o = attempt(sc, woken, left);
        c.lock.unlock();
        if (o == outcome::blocked)
            return none;
        sc.ok = settle(c, o, self, woken, left) == outcome::done;
        return i;
    }

private:
    /// Tries one of the `ready` cases, each with the same chance, and strikes it off.
    std::size_t try_one(std::uint64_t& ready) noexcept
    {
        const bool several = (ready & (ready - 1)) != 0;
        const std::size_t i = nth_bit(ready, several ? rt::random_below(rt::this_m(), count_bits(ready)) : 0);
        ready &= ~(std::uint64_t{1} << i);
        return try_case(i);
    }

    cases_view cases_;
};

/// Steps 3 to 5, with room for `Most` cases.
template <std::size_t Most>
class selection : public timed_wait {
public:
    explicit selection(cases_view cases) : cases_(cases)
    {
        if constexpr (Most > small) {
            order_.reset(new index[cases.size()]);
            nodes_.reset(new node[cases.size()]);
        }
    }
    selection(const selection&) = delete;
    selection& operator=(const selection&) = delete;

    /// `may_wait` false: `none` when nothing is ready.
    std::size_t run(std::chrono::nanoseconds deadline, bool may_wait)
    {
        sort_by_address();
        (void)rt::current();  // may throw on a plain thread: before anything is locked
        rt::m* const self = rt::this_m();
        do {
            lock_all(self);
            rt::g* woken = nullptr;
            leftover left;
            outcome o = outcome::blocked;
            const std::size_t won = try_locked(self, o, woken, left);
            if (won != none || !may_wait) {
                unlock_all();
                if (won != none)
                    cases_[won].ok = settle(core::of(cases_[won].c), o, self, woken, left) == outcome::done;
                return won;
            }
        } while (!enter_locked(self));
        who = self != nullptr ? self->current : rt::current();
        for (std::size_t i = 0; i < used_; ++i)
            enqueue(order_[i]);
        if (deadline == detail::no_deadline) {
            rt::park_in_section(self, who, &unlock_commit, this, rt::wait_reason::select);
        } else {
            arm(who, deadline, &unlock_published);
            (void)rt::park_until_in_section(self, *this, rt::wait_reason::select);
        }
        return woken_by();
    }

private:
    static constexpr std::size_t small = 16;
    using index = std::conditional_t<Most <= small, std::uint8_t, std::uint32_t>;
    template <class T>
    using room = std::conditional_t<Most <= small, std::array<T, Most>, std::unique_ptr<T[]>>;

    void enqueue(index at) noexcept
    {
        const select_case& sc = cases_[at];
        node& n = nodes_[at];
        n.of = this;
        n.slot = sc.slot;
        n.index = at;
        if (sc.what == select_case::kind::recv)
            core::of(sc.c).wait_to_recv(n);
        else
            core::of(sc.c).wait_to_send(n);
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
            c.lock.lock(rt::this_m());
            c.dequeue(queue_of(cases_[at]), n);
            c.lock.unlock();
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
    /// With all locked, before the wait: begins the section. False: nothing is locked any more, try again.
    [[nodiscard]] bool enter_locked(rt::m* self) noexcept
    {
        if (self == nullptr || self->section.try_enter()) [[likely]]
            return true;
        unlock_all();  // the M may be stopped for good now
        rt::enter_slow(*self);
        rt::leave(*self);
        return false;
    }
    /// Step 3.
    std::size_t try_locked(rt::m* self, outcome& o, rt::g*& woken, leftover& left) noexcept
    {
        for (std::uint32_t ready = count_ready(); ready > 0; ready = count_ready()) {
            const std::size_t i = nth_ready(ready == 1 ? 0 : rt::random_below(self, ready));
            // Blocked: only waiters that were won already; they are out of the queue now, and the case is not ready.
            o = attempt(cases_[i], woken, left);
            if (o != outcome::blocked)
                return i;
        }
        return none;
    }
    // By the order of the cases, not of the addresses: a seed of an exploration must mean the same each time.
    [[nodiscard]] bool is_ready(std::size_t i) const noexcept
    {
        const select_case& sc = cases_[i];
        return sc.c != nullptr && (core::of(sc.c).ready.read() & bit_of(sc)) != 0;
    }
    [[nodiscard]] std::uint32_t count_ready() const noexcept
    {
        std::uint32_t n = 0;
        for (std::size_t i = 0; i < cases_.size(); ++i)
            n += is_ready(i) ? 1U : 0U;
        return n;
    }
    [[nodiscard]] std::size_t nth_ready(std::uint32_t n) const noexcept
    {
        std::size_t i = 0;
        while (!is_ready(i) || n-- > 0)
            ++i;
        return i;
    }
    static bool unlock_commit(rt::g*, void* self) noexcept
    {
        static_cast<selection*>(self)->unlock_all();
        return true;
    }

    static bool unlock_published(rt::deadline_wait& self) noexcept
    {
        static_cast<selection&>(self).unlock_all();
        return true;
    }

    cases_view cases_;
    std::size_t used_ = 0;  ///< of order_
    room<index> order_;     ///< the cases with a channel, by the addresses of their channels
    room<node> nodes_;
};

}  // namespace
}  // namespace chans

namespace detail {

namespace {

using cases_view = std::span<select_case>;

/// Steps 3 to 5, after the others. With up to 64 cases there is no default: it would have been chosen.
WEFT_NOINLINE std::size_t select_slow(cases_view cases, std::chrono::nanoseconds deadline, bool has_default)
{
    using chans::selection;
    const bool late = deadline != no_deadline && deadline <= clock::now().time_since_epoch();
    std::size_t won;
    if (cases.size() > chans::attempts::most) {
        won = selection<static_cast<std::size_t>(-1)>(cases).run(deadline, !has_default && !late);
        return won != chans::none ? won : has_default ? select_default : select_timeout;
    }
    if (late) {  // a default, from here on
        won = chans::attempts(cases).run(true);
        return won != select_default ? won : select_timeout;
    }
    if (cases.size() <= 4)
        return selection<4>(cases).run(deadline, true);
    if (cases.size() <= 16)
        return selection<16>(cases).run(deadline, true);
    return selection<static_cast<std::size_t>(-1)>(cases).run(deadline, true);
}

/// select_run() in any case.
WEFT_NOINLINE std::size_t select_any(cases_view cases, std::chrono::nanoseconds deadline, bool has_default)
{
    explore_point();
    if (cases.size() <= chans::attempts::most) [[likely]]
        if (const std::size_t won = chans::attempts(cases).run(has_default); won != chans::none)
            return won;
    return select_slow(cases, deadline, has_default);
}

/// select_run() when the choice has fallen on the case at `i`. Another draw would favour the cases that select_word()
/// can carry out itself.
WEFT_NOINLINE std::size_t select_drawn(cases_view cases, std::chrono::nanoseconds deadline, bool has_default,
                                       std::size_t i)
{
    if (const std::size_t won = chans::attempts(cases).try_case(i); won != chans::none)
        return won;
    return select_any(cases, deadline, has_default);
}

/// Ends the section of `self` and readies `woken`, where that is not simple.
WEFT_NOINLINE std::size_t chosen(std::size_t i, rt::m* self, rt::g* woken) noexcept
{
    rt::leave(*self);
    chans::ready_one(self, woken);
    return i;
}

/// Step 1 as it nearly always ends: with a word, on a channel whose lock is biased to the M. Some are `ready`.
WEFT_NOINLINE std::size_t select_word(cases_view cases, std::chrono::nanoseconds deadline, bool has_default,
                                      std::uint64_t ready)
{
    using chans::core;
    rt::m* const self = rt::this_m_inline();
    if (self == nullptr) [[unlikely]]
        return select_any(cases, deadline, has_default);
    if (!self->section.try_enter_simply()) [[unlikely]] {
        rt::leave(*self);
        return select_any(cases, deadline, has_default);
    }
    const std::size_t i = chans::nth_bit(ready, self->random.below(chans::count_bits(ready)));
    select_case& sc = cases[i];
    core& c = core::of(sc.c);
    if (!c.lock.held_by_section_of(*self) || !c.of_words()) [[unlikely]] {
        rt::leave(*self);
        return select_drawn(cases, deadline, has_default, i);
    }
    rt::g* woken;
    switch (sc.what == select_case::kind::recv ? c.recv_word(sc.slot, woken) : c.send_word(sc.slot, woken)) {
        case core::word_end::handed:
            sc.ok = true;
            if (!rt::try_ready_in_section(*self, woken)) [[unlikely]]
                return chosen(i, self, woken);
            break;
        case core::word_end::done:
            sc.ok = true;
            break;
        default:  // somebody was faster, it is closed, or whoever waits there may be won by others
            rt::leave(*self);
            return select_drawn(cases, deadline, has_default, i);
    }
    rt::leave(*self);
    return i;
}

}  // namespace

// It needs no stack until it is clear that there is more to do than to look.
std::size_t select_run(std::span<select_case> cases, std::chrono::nanoseconds deadline, bool has_default)
{
    if (base::exploring() || cases.size() > chans::attempts::most) [[unlikely]]
        return select_any(cases, deadline, has_default);
    const chans::outlook seen(cases);
    if (seen.ready != 0)
        return select_word(cases, deadline, has_default, seen.ready);
    if (!has_default)
        return select_slow(cases, deadline, false);
    if (!seen.still(cases)) [[unlikely]]
        return select_any(cases, deadline, true);
    return select_default;
}

}  // namespace detail
}  // namespace weft
