// Channels: one operation at a time. docs/design/channels.md
#include "weft/chan.hpp"

#include <array>
#include <limits>
#include <new>
#include <string>

#include "base/cpu.hpp"
#include "chan/core.hpp"
#include "sys/lock.hpp"

namespace weft {

closed_channel::~closed_channel() = default;

namespace chans {
namespace {

bool unlock_commit(rt::g*, void* channel) noexcept
{
    static_cast<core*>(channel)->lock.unlock();
    return true;
}

[[nodiscard]] chan_status status_of(outcome o, chan_status when_blocked) noexcept
{
    if (o == outcome::blocked)
        return when_blocked;
    return o == outcome::done ? chan_status::success : chan_status::closed;
}

enum class direction : bool { send, recv };

template <direction Way>
[[nodiscard]] WEFT_ALWAYS_INLINE outcome attempt(core& c, void* slot, rt::g*& woken, leftover& left) noexcept
{
    if constexpr (Way == direction::send)
        return c.send_now(slot, woken);
    else
        return c.recv_now(slot, woken, left);
}
template <direction Way>
[[nodiscard]] WEFT_ALWAYS_INLINE core::word_end attempt_word(core& c, void* slot, rt::g*& woken) noexcept
{
    if constexpr (Way == direction::send)
        return c.send_word(slot, woken);
    else
        return c.recv_word(slot, woken);
}
template <direction Way>
WEFT_ALWAYS_INLINE void enqueue(core& c, node& n) noexcept
{
    if constexpr (Way == direction::send)
        c.wait_to_send(n);
    else
        c.wait_to_recv(n);
}
template <direction Way>
[[nodiscard]] queue& queue_of(core& c) noexcept
{
    return Way == direction::send ? c.senders : c.receivers;
}
template <direction Way>
constexpr rt::wait_reason reason = Way == direction::send ? rt::wait_reason::chan_send : rt::wait_reason::chan_recv;

[[nodiscard]] rt::g* caller(const rt::m* self) noexcept
{
    return self != nullptr ? self->current : rt::current();
}

/// With the channel locked, before a wait: begins the section. False: the channel is not locked any more, try again.
[[nodiscard]] WEFT_ALWAYS_INLINE bool enter_locked(core& c, rt::m* self) noexcept
{
    if (self == nullptr || self->section.try_enter()) [[likely]]
        return true;
    c.lock.unlock();  // the M may be stopped for good now
    rt::enter_slow(*self);
    rt::leave(*self);
    return false;
}

/// run(), with the channel locked.
template <direction Way>
WEFT_NOINLINE bool run_locked(core& c, void* slot, rt::m* self)
{
    for (;;) {
        rt::g* woken = nullptr;
        leftover left;
        const outcome o = attempt<Way>(c, slot, woken, left);
        if (o != outcome::blocked) {
            c.lock.unlock();
            return settle(c, o, self, woken, left) == outcome::done;
        }
        if (enter_locked(c, self)) [[likely]]
            break;
        c.lock.lock(self);
    }
    wait me;
    me.who = caller(self);
    me.alone = true;
    node in;
    in.of = &me;
    in.slot = slot;
    in.index = 0;
    enqueue<Way>(c, in);
    rt::park_in_section(self, me.who, &unlock_commit, &c, reason<Way>);
    return me.ok;
}

/// run() where its own ways will not do.
template <direction Way>
WEFT_NOINLINE bool run_any(core& c, void* slot)
{
    rt::explore_point();
    rt::m* const self = rt::this_m();  // perhaps another one now
    if (self == nullptr)
        (void)rt::current();  // may throw: before anything is locked
    c.lock.lock(self);
    return run_locked<Way>(c, slot, self);
}

/// The same out of a section, begun or not.
template <direction Way>
WEFT_NOINLINE bool run_outside(core& c, void* slot, rt::m* self)
{
    rt::leave(*self);
    return run_any<Way>(c, slot);
}

// From here on the section of `self` has the channel locked (biased_lock::held_by_section_of()).

/// Waits. The switch to the next goroutine ends the section, and with it the lock.
template <direction Way>
WEFT_NOINLINE bool wait_in_section(core& c, void* slot, rt::m* self) noexcept
{
    wait me;
    me.who = self->current;
    me.alone = true;
    node in;
    in.of = &me;
    in.slot = slot;
    in.index = 0;
    enqueue<Way>(c, in);
    rt::park_published(self, me.who, reason<Way>);
    return me.ok;
}

/// What readies `woken` when something else is to run next already, or it is special.
WEFT_NOINLINE bool done_with(rt::m* self, rt::g* woken) noexcept
{
    rt::leave(*self);
    ready_one(self, woken);
    return true;
}

/// run() for what it does not do itself.
template <direction Way>
WEFT_NOINLINE bool run_in_section(core& c, void* slot, rt::m* self)
{
    if (c.by == transport::function)  // an element's own code does not run in a section
        return run_outside<Way>(c, slot, self);
    rt::g* woken = nullptr;
    leftover left;  // of elements with code of their own alone
    const outcome o = attempt<Way>(c, slot, woken, left);
    if (o == outcome::blocked) {
        if ((self->current->flags & rt::g::special) != 0) [[unlikely]]
            return run_outside<Way>(c, slot, self);
        return wait_in_section<Way>(c, slot, self);
    }
    if (woken != nullptr)
        return done_with(self, woken);
    rt::leave(*self);
    return o == outcome::done;
}

/// Waits for as long as it takes. False: the channel is closed.
///
/// What it does itself needs no call but the last one of all, and so no stack: words, on a channel whose lock is biased
/// to the M. The section is the lock.
template <direction Way>
WEFT_ALWAYS_INLINE bool run(core& c, void* slot)
{
    rt::m* const self = rt::this_m_inline();
    if (self == nullptr) [[unlikely]]
        return run_any<Way>(c, slot);
    if (!self->section.try_enter_simply() || !c.lock.held_by_section_of(*self)) [[unlikely]]
        return run_outside<Way>(c, slot, self);
    if (!c.of_words()) [[unlikely]]
        return run_in_section<Way>(c, slot, self);
    rt::g* woken;
    switch (attempt_word<Way>(c, slot, woken)) {
        case core::word_end::handed:
            if (!rt::try_ready_in_section(*self, woken)) [[unlikely]]
                return done_with(self, woken);
            [[fallthrough]];
        case core::word_end::done:
            rt::leave(*self);
            return true;
        case core::word_end::blocked:
            if ((self->current->flags & rt::g::special) == 0) [[likely]]
                return wait_in_section<Way>(c, slot, self);
            [[fallthrough]];
        default:
            return run_in_section<Way>(c, slot, self);
    }
}

// Which of them are on the stack of a waiter depends on how the channel was locked: nothing for reports.
WEFT_HIDDEN_FRAME(run_locked<direction::send>);
WEFT_HIDDEN_FRAME(run_outside<direction::send>);
WEFT_HIDDEN_FRAME(run_in_section<direction::send>);
WEFT_HIDDEN_FRAME(run_any<direction::send>);
WEFT_HIDDEN_FRAME(wait_in_section<direction::send>);
WEFT_HIDDEN_FRAME(run_locked<direction::recv>);
WEFT_HIDDEN_FRAME(run_outside<direction::recv>);
WEFT_HIDDEN_FRAME(run_in_section<direction::recv>);
WEFT_HIDDEN_FRAME(run_any<direction::recv>);
WEFT_HIDDEN_FRAME(wait_in_section<direction::recv>);

template <direction Way>
WEFT_NOINLINE outcome run_once(core& c, void* slot) noexcept
{
    rt::explore_point();
    rt::m* const self = rt::this_m();
    c.lock.lock(self);
    rt::g* woken = nullptr;
    leftover left;
    const outcome o = attempt<Way>(c, slot, woken, left);
    c.lock.unlock();
    return settle(c, o, self, woken, left);
}

/// A wait on one channel with a deadline.
struct single_wait : timed_wait {
    core* on = nullptr;
    node in;

    static bool unlock(rt::deadline_wait& w) noexcept
    {
        static_cast<single_wait&>(w).on->lock.unlock();
        return true;
    }
};

template <direction Way>
chan_status run_until(core& c, void* slot, std::chrono::nanoseconds deadline)
{
    rt::explore_point();
    rt::m* const self = rt::this_m();
    if (self == nullptr)
        (void)rt::current();
    do {
        c.lock.lock(self);
        rt::g* woken = nullptr;
        leftover left;
        const outcome o = attempt<Way>(c, slot, woken, left);
        if (o != outcome::blocked || deadline <= clock::now().time_since_epoch()) {
            c.lock.unlock();
            return status_of(settle(c, o, self, woken, left), chan_status::timeout);
        }
    } while (!enter_locked(c, self));
    single_wait me;
    me.on = &c;
    me.in.of = &me;
    me.in.slot = slot;
    me.in.index = 0;
    me.arm(caller(self), deadline, &single_wait::unlock);
    enqueue<Way>(c, me.in);
    if (rt::park_until_in_section(self, me, reason<Way>))
        return me.ok ? chan_status::success : chan_status::closed;
    c.lock.lock(rt::this_m());
    c.dequeue(queue_of<Way>(c), me.in);
    c.lock.unlock();
    return chan_status::timeout;
}

void give_back(core& c) noexcept
{
    const std::size_t align = c.kind->align > alignof(core) ? c.kind->align : alignof(core);
    c.~core();
    ::operator delete(&c, std::align_val_t{align});
}

/// Channels that lie in each other are freed one after the other: one inside the other would take stack for each. One
/// that an element's destructor drops is left to the caller's freeing that runs that destructor.
class freeing {
public:
    /// Precondition: c.holds_what_needs_destroying().
    static void run(core& c) noexcept
    {
        const void* const caller = rt::caller();
        list& of = lists[reinterpret_cast<std::uintptr_t>(caller) / base::cache_line % lists.size()];
        of.lock.lock();
        for (freeing* f = of.first; f != nullptr; f = f->next_) {
            if (f->caller_ == caller) {
                c.next_to_free = f->waiting_;
                f->waiting_ = &c;
                of.lock.unlock();
                return;
            }
        }
        freeing self(caller, of.first);
        of.first = &self;
        of.lock.unlock();
        for (core* now = &c; now != nullptr;) {
            now->destroy_elements();
            give_back(*now);
            of.lock.lock();
            now = self.waiting_;
            if (now != nullptr)
                self.waiting_ = now->next_to_free;
            else
                of.remove(self);
            of.lock.unlock();
        }
    }

private:
    struct list {
        sys::lock_word lock;
        freeing* first = nullptr;

        void remove(const freeing& which) noexcept
        {
            freeing** at = &first;
            while (*at != &which)
                at = &(*at)->next_;
            *at = which.next_;
        }
    };
    static constinit std::array<list, 16> lists;  ///< a few, so that few callers meet

    freeing(const void* caller, freeing* next) noexcept : caller_(caller), next_(next) {}

    const void* caller_;
    freeing* next_;
    core* waiting_ = nullptr;
};
constinit std::array<freeing::list, 16> freeing::lists{};

}  // namespace
}  // namespace chans

namespace detail {

using chans::core;
using chans::direction;
using chans::outcome;

chan_shared* chan_new(const chan_element& element, std::size_t capacity)
{
    const std::size_t align = element.align > alignof(core) ? element.align : alignof(core);
    const std::size_t head = (sizeof(core) + align - 1) / align * align;
    constexpr std::size_t most = std::numeric_limits<std::uint32_t>::max() / 2;
    constexpr auto most_bytes = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
    if (capacity > most || (element.size != 0 && capacity > (most_bytes - head) / element.size))
        throw std::length_error("weft::chan: a capacity of " + std::to_string(capacity) + " is too large; at most " +
                                std::to_string(most) + " elements, and no more than the address space holds");
    void* const room = ::operator new(head + capacity * element.size, std::align_val_t{align});
    return ::new (room) core(element, static_cast<std::uint32_t>(capacity), static_cast<std::byte*>(room) + head);
}

void chan_free(chan_shared* shared) noexcept
{
    core& c = core::of(shared);
    if (c.holds_what_needs_destroying())
        chans::freeing::run(c);
    else
        chans::give_back(c);
}

// Begins a cache line. Elsewhere a value through a buffer takes a tenth more time.
#define ON_LINE __attribute__((aligned(base::cache_line)))

// Not inlined, for this_m_inline(): not by link-time optimisation either.
WEFT_HOT ON_LINE WEFT_NOINLINE bool chan_send(chan_shared* c, void* value)
{
    return chans::run<direction::send>(core::of(c), value);
}

WEFT_HOT ON_LINE WEFT_NOINLINE bool chan_recv(chan_shared* c, void* to)
{
    return chans::run<direction::recv>(core::of(c), to);
}

chan_status chan_try_send(chan_shared* shared, void* value) noexcept
{
    core& c = core::of(shared);
    if ((c.ready.read() & chans::readiness::can_send) == 0)
        return chan_status::full;
    return chans::status_of(chans::run_once<direction::send>(c, value), chan_status::full);
}

chan_status chan_try_recv(chan_shared* shared, void* to) noexcept
{
    core& c = core::of(shared);
    if ((c.ready.read() & chans::readiness::can_recv) == 0)
        return chan_status::empty;
    return chans::status_of(chans::run_once<direction::recv>(c, to), chan_status::empty);
}

chan_status chan_send_until(chan_shared* c, void* value, std::chrono::nanoseconds deadline)
{
    return chans::run_until<direction::send>(core::of(c), value, deadline);
}

chan_status chan_recv_until(chan_shared* c, void* to, std::chrono::nanoseconds deadline)
{
    return chans::run_until<direction::recv>(core::of(c), to, deadline);
}

chan_status chan_can_send(const chan_shared* shared) noexcept
{
    const core& c = core::of(shared);
    if (c.closed_now.load(base::memory_order_acquire))
        return chan_status::closed;
    return (c.ready.read() & chans::readiness::can_send) == 0 ? chan_status::full : chan_status::success;
}

bool chan_close(chan_shared* shared) noexcept
{
    core& c = core::of(shared);
    c.lock.lock(rt::this_m());
    rt::g_list woken;
    const bool first = !c.is_closed();
    if (first)
        c.close(woken);
    c.lock.unlock();
    rt::ready(woken);
    return first;
}

std::size_t chan_size(const chan_shared* c) noexcept
{
    return core::of(c).kind->hides_buffer ? 0 : core::of(c).count.load(base::memory_order_relaxed);
}

std::size_t chan_capacity(const chan_shared* c) noexcept
{
    return core::of(c).kind->hides_buffer ? 0 : core::of(c).capacity;
}

bool chan_closed(const chan_shared* c) noexcept
{
    return core::of(c).closed_now.load(base::memory_order_acquire);
}

void throw_closed_channel(const char* what)
{
    throw closed_channel(what);
}

void throw_bad_capacity(long long capacity)
{
    throw std::invalid_argument("weft::chan: a capacity of " + std::to_string(capacity) +
                                " is negative; 0 makes an unbuffered channel");
}

void park_for_ever()
{
    rt::park(rt::current(), [](rt::g*, void*) noexcept { return true; }, nullptr, rt::wait_reason::for_ever);
    __builtin_unreachable();
}

}  // namespace detail
}  // namespace weft
