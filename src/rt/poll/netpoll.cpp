// The protocol is described in docs/design/netpoll.md; steps named as there.
#include "rt/poll/netpoll.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <span>

#include "base/check.hpp"
#include "sys/clock.hpp"

namespace weft::rt {

namespace {

constexpr std::uint32_t slab_descs = 1'024;
constexpr std::uint32_t most_slabs = 65'536;  // 67 million descriptors; the kernel's own limit is 2^20 by default
// How many events are taken from the kernel at a time.
constexpr std::size_t many_events = 128;
constexpr std::size_t few_events = 16;
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

}  // namespace

constinit base::atomic<std::uint32_t> netpoll::registered_{0};
constinit base::atomic<std::int64_t> netpoll::polled_at_{1};

// --- poll_desc

void poll_desc::forget(poll_side s) noexcept
{
    // A read-modify-write, so that it is done when the caller's system call begins: an event after that call's look
    // finds nil.
    std::uintptr_t seen = ready_word;
    (void)side(s).word.compare_exchange_strong(seen, nil_word, base::memory_order_seq_cst, base::memory_order_relaxed);
}

g* poll_desc::take(poll_side s) noexcept
{
    base::atomic<std::uintptr_t>& word = side(s).word;
    std::uintptr_t seen = word.load(base::memory_order_seq_cst);
    while (seen > ready_word)
        if (word.compare_exchange_weak(seen, nil_word, base::memory_order_seq_cst, base::memory_order_seq_cst))
            return reinterpret_cast<g*>(seen);
    return nullptr;
}

bool poll_desc::take_back(g* waiter, poll_side s) noexcept
{
    auto self = reinterpret_cast<std::uintptr_t>(waiter);
    return side(s).word.compare_exchange_strong(self, nil_word, base::memory_order_seq_cst, base::memory_order_relaxed);
}

poll_desc::answer poll_desc::ask(poll_side s) noexcept
{
    if (const int error = netpoll::init(); error != 0)
        return {error, false};
    lock_.lock();
    const std::uint8_t before = asked_.load(base::memory_order_relaxed);
    const auto wanted = static_cast<std::uint8_t>(before | event_of(s));
    const std::uint64_t tag = (std::uint64_t{generation_.load(base::memory_order_relaxed)} << 32) | index_;
    const int at = poller.load(base::memory_order_relaxed);
    const int error = before == 0 ? sys::poller_add(at, fd_, wanted, tag) : sys::poller_change(at, fd_, wanted, tag);
    if (error == 0)
        asked_.store(wanted, base::memory_order_relaxed);
    lock_.unlock();
    const bool first = error == 0 && before == 0 && netpoll::registered_.fetch_add(1, base::memory_order_seq_cst) == 0;
    return {-error, first};
}

// --- netpoll

int netpoll::init() noexcept
{
    if (poller.load(base::memory_order_acquire) >= 0)
        return 0;
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

bool netpoll::is_open() noexcept
{
    return poller.load(base::memory_order_acquire) >= 0;
}

poll_desc* netpoll::open(int fd) noexcept
{
    pool.lock.lock();
    if (pool.free == nullptr && pool.made < most_slabs) {
        if (auto* const fresh = new (std::nothrow) desc_slab; fresh != nullptr) {
            for (std::uint32_t i = slab_descs; i-- > 0;) {
                fresh->descs[i].index_ = pool.made * slab_descs + i;
                fresh->descs[i].link_.store(pool.free, base::memory_order_relaxed);
                pool.free = &fresh->descs[i];
            }
            pool.slabs[pool.made++].store(fresh, base::memory_order_release);
        }
    }
    poll_desc* const desc = pool.free;
    if (desc != nullptr)
        pool.free = static_cast<poll_desc*>(desc->link_.load(base::memory_order_relaxed));
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
        registered_.fetch_sub(1, base::memory_order_relaxed);
    }
    desc.fd_ = -1;
    pool.lock.lock();
    desc.link_.store(pool.free, base::memory_order_relaxed);
    pool.free = &desc;
    pool.lock.unlock();
}

WEFT_ALWAYS_INLINE void poll_desc::expect_report() const noexcept
{
    const std::uintptr_t waiter = side(poll_side::read).word.load(base::memory_order_relaxed);
    if (waiter > ready_word)
        base::prefetch_lines(reinterpret_cast<const void*>(waiter), sizeof(g) / base::cache_line);
    base::prefetch(link_.load(base::memory_order_relaxed));
}

/// R1. Null: nobody waits.
WEFT_ALWAYS_INLINE g* poll_desc::report(poll_side s) noexcept
{
    base::atomic<std::uintptr_t>& word = side(s).word;
    std::uintptr_t seen = word.load(base::memory_order_acquire);
    for (;;) {
        if (seen == ready_word)
            return nullptr;
        // A waiter looks again by itself: nothing need be left for it.
        const std::uintptr_t left = seen == nil_word ? ready_word : nil_word;
        if (word.compare_exchange_weak(seen, left, base::memory_order_seq_cst, base::memory_order_acquire))
            return left == nil_word ? reinterpret_cast<g*>(seen) : nullptr;
    }
}

namespace {

/// Null: the breaker's.
WEFT_ALWAYS_INLINE poll_desc* desc_of(const sys::poll_report& r) noexcept
{
    const auto index = static_cast<std::uint32_t>(r.tag());
    return r.tag() == breaker_tag
               ? nullptr
               : &pool.slabs[index / slab_descs].load(base::memory_order_acquire)->descs[index % slab_descs];
}

}  // namespace

WEFT_ALWAYS_INLINE void netpoll::deliver(const sys::poll_report& r, g_list& out) noexcept
{
    poll_desc* const desc = desc_of(r);
    if (desc == nullptr ||
        desc->generation_.load(base::memory_order_relaxed) != static_cast<std::uint32_t>(r.tag() >> 32))
        return;  // the descriptor has been closed since
    const std::uint8_t what = r.what();
    if ((what & sys::poll_event::hangup) != 0) [[unlikely]]
        desc->hung_up_.store(true, base::memory_order_release);  // pairs with may_have_more()
    if ((what & sys::poll_event::readable) != 0)
        if (g* const waiter = desc->report(poll_side::read))
            out.push_back(waiter);
    if ((what & sys::poll_event::writable) != 0)
        if (g* const waiter = desc->report(poll_side::write))
            out.push_back(waiter);
}

/// Returns how many events there were. Up to `Most` at a time, which are on the stack.
template <std::size_t Most>
WEFT_NOINLINE int netpoll::wait_and_deliver(std::int64_t until, g_list& out) noexcept
{
    const int at = poller.load(base::memory_order_acquire);
    if (at < 0)
        return 0;
    std::array<sys::poll_report, Most> found;
    const int n = sys::poller_wait(at, until, found);
    if (n < 0)
        base::fatal(
            "the poller's descriptor %d is not usable any more (%s): something in this process closes "
            "descriptors that it has not opened",
            at, std::strerror(-n));
    const std::span reports = std::span(found).first(static_cast<std::size_t>(n));
    // With many connections nothing of one is in a cache: all are asked for before the first one is needed.
    for (const sys::poll_report& r : reports)
        base::prefetch(desc_of(r));
    for (const sys::poll_report& r : reports)
        if (const poll_desc* const desc = desc_of(r); desc != nullptr)
            desc->expect_report();
    for (const sys::poll_report& r : reports)
        deliver(r, out);
    return n;
}

bool netpoll::poll(std::int64_t until, g_list& out) noexcept
{
    polled_at_.store(0, base::memory_order_relaxed);
    const int n = wait_and_deliver<many_events>(until, out);
    polled_at_.store(sys::monotonic_now(), base::memory_order_relaxed);
    return n != 0;
}

void netpoll::poll_again(std::int64_t last, std::int64_t now, bool few, g_list& out) noexcept
{
    if (!polled_at_.compare_exchange_strong(last, now, base::memory_order_relaxed, base::memory_order_relaxed))
        return;  // another one does
    const int n = few ? wait_and_deliver<few_events>(0, out) : wait_and_deliver<many_events>(0, out);
    if (few && n == static_cast<int>(few_events)) {
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
