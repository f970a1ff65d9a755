// Channels: one operation at a time. docs/design/channels.md
#include "weft/chan.hpp"

#include <limits>
#include <new>
#include <string>

#include "chan/core.hpp"

namespace weft {

closed_channel::~closed_channel() = default;

namespace chans {
namespace {

bool unlock_commit(rt::g*, void* channel) noexcept
{
    static_cast<core*>(channel)->lock.unlock();
    return true;
}

/// A wait on one channel.
struct single_wait : wait {
    core* on;
    node in{};

    single_wait(core& c, void* slot, rt::g* who) noexcept : on(&c)
    {
        waiter = who;
        in.of = this;
        in.slot = slot;
    }
};

enum class direction : bool { send, recv };

template <direction Way>
[[nodiscard]] WEFT_ALWAYS_INLINE outcome attempt(core& c, void* slot, rt::g*& woken) noexcept
{
    if constexpr (Way == direction::send)
        return c.send_now(slot, woken);
    else
        return c.recv_now(slot, woken);
}
template <direction Way>
[[nodiscard]] queue& queue_of(core& c) noexcept
{
    return Way == direction::send ? c.senders : c.receivers;
}
template <direction Way>
constexpr rt::wait_reason reason = Way == direction::send ? rt::wait_reason::chan_send : rt::wait_reason::chan_recv;

/// Inside the section, with the channel locked, when the caller has to wait. False: the channel was closed.
template <direction Way>
WEFT_NOINLINE bool wait_for_other(core& c, void* slot, rt::m* self) noexcept
{
    single_wait me(c, slot, caller(self));
    me.alone = true;
    c.enqueue(queue_of<Way>(c), me.in);
    rt::park_inside(self, me.waiter, &unlock_commit, &c, reason<Way>);
    return me.ok;
}

/// Waits for as long as it takes. False: the channel is closed.
template <direction Way>
WEFT_ALWAYS_INLINE bool run(core& c, void* slot)
{
    rt::m* const self = begin();
    c.lock.lock(self);
    rt::g* woken = nullptr;
    const outcome o = attempt<Way>(c, slot, woken);
    if (o == outcome::blocked)
        return wait_for_other<Way>(c, slot, self);
    c.lock.unlock();
    end(self, woken);
    return o == outcome::done;
}

template <direction Way>
outcome run_once(core& c, void* slot) noexcept
{
    rt::explore_point();
    rt::m* const self = rt::begin_section();
    c.lock.lock(self);
    rt::g* woken = nullptr;
    const outcome o = attempt<Way>(c, slot, woken);
    c.lock.unlock();
    end(self, woken);
    return o;
}

bool publish_single(rt::deadline_wait& w) noexcept
{
    static_cast<single_wait&>(w).on->lock.unlock();
    return true;
}

template <direction Way>
chan_status run_until(core& c, void* slot, std::chrono::nanoseconds deadline)
{
    rt::m* const self = begin();
    c.lock.lock(self);
    rt::g* woken = nullptr;
    const outcome o = attempt<Way>(c, slot, woken);
    if (o != outcome::blocked || deadline <= clock::now().time_since_epoch()) {
        c.lock.unlock();
        end(self, woken);
        if (o == outcome::blocked)
            return chan_status::timeout;
        return o == outcome::done ? chan_status::success : chan_status::closed;
    }
    single_wait me(c, slot, caller(self));
    me.alarm.when = deadline.count();
    me.alarm.expire = &expire;
    me.publish = &publish_single;
    c.enqueue(queue_of<Way>(c), me.in);
    if (rt::park_until_inside(self, me, reason<Way>))
        return me.ok ? chan_status::success : chan_status::closed;
    rt::m* const again = rt::begin_section();
    c.lock.lock(again);
    c.dequeue(queue_of<Way>(c), me.in);
    c.lock.unlock();
    rt::end_section(again);
    return chan_status::timeout;
}

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
    c.destroy_elements();
    const std::size_t align = c.kind->align > alignof(core) ? c.kind->align : alignof(core);
    c.~core();
    ::operator delete(&c, std::align_val_t{align});
}

bool chan_send(chan_shared* c, void* value)
{
    return chans::run<direction::send>(core::of(c), value);
}

bool chan_recv(chan_shared* c, void* to)
{
    return chans::run<direction::recv>(core::of(c), to);
}

chan_status chan_try_send(chan_shared* shared, void* value) noexcept
{
    core& c = core::of(shared);
    if ((c.ready.read() & chans::readiness::can_send) == 0)
        return chan_status::full;
    switch (chans::run_once<direction::send>(c, value)) {
        case outcome::done:
            return chan_status::success;
        case outcome::closed:
            return chan_status::closed;
        default:
            return chan_status::full;
    }
}

chan_status chan_try_recv(chan_shared* shared, void* to) noexcept
{
    core& c = core::of(shared);
    if ((c.ready.read() & chans::readiness::can_recv) == 0)
        return chan_status::empty;
    switch (chans::run_once<direction::recv>(c, to)) {
        case outcome::done:
            return chan_status::success;
        case outcome::closed:
            return chan_status::closed;
        default:
            return chan_status::empty;
    }
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
    rt::m* const self = rt::begin_section();
    c.lock.lock(self);
    if (c.is_closed()) {
        c.lock.unlock();
        rt::end_section(self);
        return false;
    }
    rt::g_list woken;
    c.close(woken);
    c.lock.unlock();
    rt::end_section(self);
    rt::ready(woken);
    return true;
}

std::size_t chan_size(const chan_shared* c) noexcept
{
    return core::of(c).counted.load(base::memory_order_relaxed);
}

std::size_t chan_capacity(const chan_shared* c) noexcept
{
    return core::of(c).capacity;
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
