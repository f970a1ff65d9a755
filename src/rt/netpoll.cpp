// The protocol is described in docs/design/netpoll.md; steps named as there.
#include "rt/netpoll.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

#include "base/check.hpp"
#include "rt/rt.hpp"
#include "rt/sched.hpp"
#include "sys/clock.hpp"
#include "sys/poll.hpp"

namespace weft::rt {

namespace {

constexpr std::uint32_t slab_descs = 1'024;
constexpr std::uint32_t most_slabs = 65'536;  // 67 million descriptors; the kernel's own limit is 2^20 by default
constexpr std::uint64_t breaker_tag = ~std::uint64_t{0};

struct desc_slab {
    poll_desc descs[slab_descs];
};

/// The pool of descs. Lock order: leaf.
struct desc_pool {
    sys::lock_word lock;
    poll_desc* free = nullptr;  // guarded by lock
    std::uint32_t made = 0;     // guarded by lock; slabs
    base::atomic<desc_slab*> slabs[most_slabs];
};
constinit desc_pool pool{};

sys::lock_word init_lock;
base::atomic<int> poller{-1};   ///< set under init_lock, once
base::atomic<int> breaker{-1};  ///< set under init_lock, before `poller`

/// A plain thread relies on the runtime to poll for it.
int start_runtime() noexcept
{
    try {
        ensure_started(options{});
        return 0;
    } catch (const std::system_error& e) {
        return e.code().value();
    } catch (...) {
        return ENOMEM;
    }
}

}  // namespace

constinit base::atomic<std::uint32_t> netpoll::watched_{0};
constinit base::atomic<std::int64_t> netpoll::polled_at_{1};

// --- poll_desc

void poll_desc::forget(poll_side s) noexcept
{
    // A read-modify-write, so that it is done when the caller's system call begins: an event after that call's look
    // finds nil.
    std::uintptr_t seen = ready_word;
    (void)side(s).word.compare_exchange_strong(seen, nil_word, base::memory_order_seq_cst, base::memory_order_relaxed);
}

bool poll_desc::expired(poll_side s) const noexcept
{
    const std::int64_t when = deadline(s);
    return when != never && when <= now();
}

g* poll_desc::take(poll_side s, std::uintptr_t left) noexcept
{
    base::atomic<std::uintptr_t>& word = side(s).word;
    std::uintptr_t seen = word.load(base::memory_order_seq_cst);
    while (seen > ready_word)
        if (word.compare_exchange_weak(seen, left, base::memory_order_seq_cst, base::memory_order_seq_cst))
            return reinterpret_cast<g*>(seen);
    return nullptr;
}

void poll_desc::wake(poll_side s) noexcept
{
    if (g* const waiter = take(s, nil_word))
        ready(waiter);
}

void poll_desc::set_deadline(poll_side s, std::int64_t when) noexcept
{
    side(s).deadline.store(when, base::memory_order_seq_cst);  // D1; pairs with W3
    wake(s);                                                   // D2
}

void poll_desc::evict() noexcept
{
    evicted_.store(true, base::memory_order_seq_cst);  // C1; pairs with W3
    wake(poll_side::read);                             // C2
    wake(poll_side::write);
}

bool poll_desc::publish(poll_desc& desc, g* who, poll_side s, std::int64_t until) noexcept
{
    direction& d = desc.side(s);
    std::uintptr_t seen = nil_word;
    const auto self = reinterpret_cast<std::uintptr_t>(who);
    if (!d.word.compare_exchange_strong(seen, self, base::memory_order_seq_cst, base::memory_order_relaxed))  // W2
        return false;
    // From here on `who` may run already, and its frame be gone.
    if (desc.evicted_.load(base::memory_order_seq_cst) || d.deadline.load(base::memory_order_seq_cst) != until) {  // W3
        seen = self;
        if (d.word.compare_exchange_strong(seen, nil_word, base::memory_order_seq_cst, base::memory_order_relaxed))
            return false;
    }
    return true;
}

struct poll_desc::parking {
    poll_desc* desc;
    poll_side s;

    static bool commit(g* who, void* argument) noexcept
    {
        const parking p = *static_cast<const parking*>(argument);
        return publish(*p.desc, who, p.s, never);
    }
};

struct poll_desc::timed_parking : deadline_wait {
    poll_desc* desc = nullptr;
    poll_side s = poll_side::read;
    std::int64_t deadline = never;  ///< of the side; the alarm may be set to less

    static bool publish_it(deadline_wait& self) noexcept
    {
        const auto& w = static_cast<const timed_parking&>(self);
        return poll_desc::publish(*w.desc, w.waiter, w.s, w.deadline);
    }
    static g* expire_it(timer& alarm) noexcept
    {
        auto& w = static_cast<timed_parking&>(deadline_wait::of_alarm(alarm));
        std::uintptr_t self = reinterpret_cast<std::uintptr_t>(w.waiter);
        if (!w.desc->side(w.s).word.compare_exchange_strong(self, nil_word, base::memory_order_seq_cst,
                                                            base::memory_order_relaxed))
            return nullptr;
        w.timed_out = true;
        return w.waiter;
    }
};

int poll_desc::settled(poll_side s, std::int64_t until) noexcept
{
    if (evicted())
        return ECANCELED;
    if (side(s).word.load(base::memory_order_acquire) == ready_word) {
        forget(s);
        return 0;
    }
    return until != never && until <= now() ? ETIMEDOUT : -1;
}

int poll_desc::ask(poll_side s) noexcept
{
    const auto what =
        s == poll_side::read ? std::uint8_t{sys::poll_event::readable} : std::uint8_t{sys::poll_event::writable};
    if ((asked_.load(base::memory_order_relaxed) & what) != 0)
        return 0;
    if (const int error = netpoll::init(); error != 0)
        return error;
    lock_.lock();
    const std::uint8_t before = asked_.load(base::memory_order_relaxed);
    const auto wanted = static_cast<std::uint8_t>(before | what);
    const std::uint64_t tag = (std::uint64_t{generation_.load(base::memory_order_relaxed)} << 32) | index_;
    const int at = poller.load(base::memory_order_relaxed);
    const int error = before == 0 ? sys::poller_add(at, fd_, wanted, tag) : sys::poller_change(at, fd_, wanted, tag);
    if (error == 0)
        asked_.store(wanted, base::memory_order_relaxed);
    lock_.unlock();
    if (error == 0 && before == 0 && netpoll::watched_.fetch_add(1, base::memory_order_seq_cst) == 0)
        poke_timekeeper();
    return -error;
}

int poll_desc::wait(poll_side s) noexcept
{
    return wait_until(s, never);
}

int poll_desc::wait_for(poll_side s, std::int64_t time) noexcept
{
    return wait_until(s, now() + time);
}

int poll_desc::wait_until(poll_side s, std::int64_t end) noexcept
{
    g* me = nullptr;
    try {
        me = current();
    } catch (...) {
        return ENOMEM;
    }
    for (;;) {
        const std::int64_t until = side(s).deadline.load(base::memory_order_seq_cst);
        if (const int how = settled(s, until); how >= 0)  // W1
            return how;
        if (end != never && now() >= end)
            return 0;
        if (const int error = ask(s); error != 0)
            return error;
        park_until(me, s, until, std::min(until, end));
    }
}

int poll_desc::pause(poll_side s, std::int64_t time) noexcept
{
    g* me = nullptr;
    try {
        me = current();
    } catch (...) {
        return ENOMEM;
    }
    for (const std::int64_t end = now() + time;;) {
        const std::int64_t until = side(s).deadline.load(base::memory_order_seq_cst);
        const int how = settled(s, until);
        if (how > 0)
            return how;
        if (now() >= end)
            return 0;
        park_until(me, s, until, std::min(until, end));
    }
}

void poll_desc::park_until(g* me, poll_side s, std::int64_t deadline, std::int64_t end) noexcept
{
    if (end == never) {
        parking p{this, s};
        park(me, &parking::commit, &p, wait_reason::io);
        return;
    }
    timed_parking w;
    w.waiter = me;
    w.desc = this;
    w.s = s;
    w.deadline = deadline;
    w.alarm.when = end;
    w.alarm.expire = &timed_parking::expire_it;
    w.publish = &timed_parking::publish_it;
    (void)rt::park_until(w, wait_reason::io);
}

// --- netpoll

int netpoll::init() noexcept
{
    if (poller.load(base::memory_order_acquire) >= 0)
        return 0;
    if (!on_goroutine())
        if (const int error = start_runtime(); error != 0)
            return error;
    int error = 0;
    init_lock.lock();
    if (poller.load(base::memory_order_relaxed) < 0) {
        const int opened = sys::poller_open();
        const int event = opened < 0 ? opened : sys::event_open();
        error = event < 0 ? -event : -sys::poller_add_level(opened, event, sys::poll_event::readable, breaker_tag);
        if (error == 0) {
            breaker.store(event, base::memory_order_relaxed);
            poller.store(opened, base::memory_order_release);
        } else {
            if (opened >= 0)
                sys::close_descriptor(opened);
            if (event >= 0)
                sys::close_descriptor(event);
        }
    }
    init_lock.unlock();
    return error;
}

poll_desc* netpoll::open(int fd) noexcept
{
    pool.lock.lock();
    if (pool.free == nullptr && pool.made < most_slabs) {
        if (auto* const fresh = new (std::nothrow) desc_slab; fresh != nullptr) {
            for (std::uint32_t i = slab_descs; i-- > 0;) {
                fresh->descs[i].index_ = pool.made * slab_descs + i;
                fresh->descs[i].next_ = pool.free;
                pool.free = &fresh->descs[i];
            }
            pool.slabs[pool.made++].store(fresh, base::memory_order_release);
        }
    }
    poll_desc* const desc = pool.free;
    if (desc != nullptr)
        pool.free = desc->next_;
    pool.lock.unlock();
    if (desc == nullptr)
        return nullptr;
    desc->fd_ = fd;
    desc->evicted_.store(false, base::memory_order_relaxed);
    desc->hung_up_.store(false, base::memory_order_relaxed);
    for (poll_desc::direction& d : desc->sides_) {
        d.word.store(poll_desc::nil_word, base::memory_order_relaxed);
        d.deadline.store(never, base::memory_order_relaxed);
    }
    return desc;
}

void netpoll::close(poll_desc& desc) noexcept
{
    // From here on an event that a poller still holds is not meant for the next owner.
    desc.generation_.fetch_add(1, base::memory_order_relaxed);
    if (desc.asked_.load(base::memory_order_relaxed) != 0) {
        // Not left to close(2): the kernel keeps what a child process or a dup() still has open.
        sys::poller_remove(poller.load(base::memory_order_relaxed), desc.fd_);
        desc.asked_.store(0, base::memory_order_relaxed);
        watched_.fetch_sub(1, base::memory_order_relaxed);
    }
    desc.fd_ = -1;
    pool.lock.lock();
    desc.next_ = pool.free;
    pool.free = &desc;
    pool.lock.unlock();
}

void netpoll::deliver(std::uint64_t tag, std::uint8_t what, void* argument) noexcept
{
    if (tag == breaker_tag)
        return;
    const auto index = static_cast<std::uint32_t>(tag);
    poll_desc& desc = pool.slabs[index / slab_descs].load(base::memory_order_acquire)->descs[index % slab_descs];
    if (desc.generation_.load(base::memory_order_relaxed) != static_cast<std::uint32_t>(tag >> 32))
        return;  // the descriptor has been closed since
    if ((what & sys::poll_event::hangup) != 0)
        desc.hung_up_.store(true, base::memory_order_release);  // pairs with may_have_more()
    for (const poll_side s : {poll_side::read, poll_side::write}) {
        if ((what & (s == poll_side::read ? sys::poll_event::readable : sys::poll_event::writable)) == 0)
            continue;
        base::atomic<std::uintptr_t>& word = desc.side(s).word;
        std::uintptr_t seen = word.load(base::memory_order_acquire);
        while (seen != poll_desc::ready_word &&
               !word.compare_exchange_weak(seen, poll_desc::ready_word, base::memory_order_seq_cst,  // R1
                                           base::memory_order_acquire)) {
        }
        if (seen > poll_desc::ready_word)
            static_cast<g_list*>(argument)->push_back(reinterpret_cast<g*>(seen));
    }
}

int netpoll::wait_and_deliver(std::int64_t until, bool few, g_list& out) noexcept
{
    const int at = poller.load(base::memory_order_acquire);
    if (at < 0)
        return 0;
    const int n = sys::poller_wait(at, until, few, &deliver, &out);
    if (n < 0)
        base::fatal(
            "the poller's descriptor %d is not usable any more (%s): something in this process closes "
            "descriptors that it has not opened",
            at, std::strerror(-n));
    return n;
}

bool netpoll::poll(std::int64_t until, g_list& out) noexcept
{
    polled_at_.store(0, base::memory_order_relaxed);
    const int n = wait_and_deliver(until, false, out);
    polled_at_.store(sys::monotonic_now(), base::memory_order_relaxed);
    return n != 0;
}

void netpoll::poll_again(std::int64_t last, std::int64_t now, bool few, g_list& out) noexcept
{
    if (!polled_at_.compare_exchange_strong(last, now, base::memory_order_relaxed, base::memory_order_relaxed))
        return;  // another one does
    const int n = wait_and_deliver(0, few, out);
    if (few && n == sys::few_events) {
        std::int64_t mine = now;  // there may be more: whoever asks next polls at once
        (void)polled_at_.compare_exchange_strong(mine, last, base::memory_order_relaxed, base::memory_order_relaxed);
    }
}

void netpoll::interrupt() noexcept
{
    sys::event_signal(breaker.load(base::memory_order_relaxed));
}

void netpoll::take_interrupt() noexcept
{
    sys::event_take(breaker.load(base::memory_order_relaxed));
}

}  // namespace weft::rt
