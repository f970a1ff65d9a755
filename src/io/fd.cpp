#include "io/fd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>

#include "sys/keep_errno.hpp"
#include "sys/poll.hpp"
#include "sys/thread.hpp"
#include "weft/detail/kept_stack.hpp"

namespace weft::io {

namespace {

constexpr unsigned read_side = 0;
constexpr unsigned write_side = 1;
constexpr unsigned closing = 2;  ///< the queue of close()

constexpr std::size_t write_parts = 16;  ///< of a writev() in one system call: 256 bytes of the stack

/// What a system call has said, on top of what was done before.
void add(outcome& o, ssize_t n) noexcept
{
    if (n < 0)
        o.error = static_cast<int>(-n);
    else
        o.count += static_cast<std::size_t>(n);
}

}  // namespace

std::unique_ptr<fd> fd::take(int number, kind what) noexcept
{
    rt::poll_desc* const desc = rt::netpoll::open(number);
    if (desc == nullptr) {
        sys::close_descriptor(number);
        return nullptr;
    }
    fd* const made = new (std::nothrow) fd(number, *desc, what);
    if (made == nullptr) {
        rt::netpoll::close(*desc);
        sys::close_descriptor(number);
        return nullptr;
    }
    desc->belongs_to(made);
    return std::unique_ptr<fd>(made);
}

fd::~fd()
{
    close();
}

int fd::begin_slow(poll_side s) noexcept
{
    const auto side = static_cast<unsigned>(s);
    rt::sema_waiter me;
    try {
        me.who = rt::current();
    } catch (...) {
        return ENOMEM;  // a plain thread, without what would stand for it
    }
    me.key = key(side);
    rt::sema_bucket& bucket = rt::sema_bucket::of(me.key);
    bucket.lock();
    const fd_word::admission got = word_.begin_or_queue(side);
    if (got != fd_word::admission::busy) {
        bucket.unlock();
        return got == fd_word::admission::mine ? 0 : ECANCELED;
    }
    bucket.push_back(me);
    (void)rt::sema_wait(bucket, me, {}, rt::wait_reason::io);
    if (!me.granted)
        return ECANCELED;
    if (!word_.is_closed())
        return 0;
    end(s);  // handed on while close() was at it
    return ECANCELED;
}

void fd::end_slow(poll_side s) noexcept
{
    const auto side = static_cast<unsigned>(s);
    for (;;) {
        const fd_word::rest left = word_.end(side);
        if (left == fd_word::rest::none)
            return;
        if (left == fd_word::rest::was_last) {
            release();
            return;
        }
        rt::sema_bucket& bucket = rt::sema_bucket::of(key(side));
        bucket.lock();
        rt::sema_waiter* const next = bucket.pop_front(key(side));
        if (next == nullptr) {
            word_.forget_queue(side);
            bucket.unlock();
            continue;
        }
        if (bucket.front(key(side)) == nullptr)
            word_.forget_queue(side);
        next->granted = true;
        rt::g* const who = next->who;
        (void)next->grant();
        bucket.unlock();
        rt::ready(who);
        return;
    }
}

outcome fd::refuse(poll_side s, int error) noexcept
{
    if (error == ETIMEDOUT)
        end(s);
    return {0, error};
}

void fd::send_away(unsigned side) noexcept
{
    rt::g_list woken;
    rt::sema_bucket& bucket = rt::sema_bucket::of(key(side));
    bucket.lock();
    while (rt::sema_waiter* const w = bucket.pop_front(key(side))) {
        rt::g* const who = w->who;
        (void)w->grant();
        woken.push_back(who);
    }
    if (side != closing)
        word_.forget_queue(side);
    bucket.unlock();
    rt::ready(woken);
}

bool fd::close() noexcept
{
    if (!word_.close())
        return false;
    if (path_ != nullptr)
        sys::remove_file(*path_);
    rt::evict_waiters(*desc_);
    send_away(read_side);
    send_away(write_side);
    if (word_.end_use()) {
        release();
        return true;
    }
    // The last call is about to release it. One that waits here is not seen by release() unless it queued before.
    rt::sema_bucket& bucket = rt::sema_bucket::of(key(closing));
    rt::sema_waiter me;
    me.key = key(closing);
    try {
        me.who = rt::current();
    } catch (...) {
        while (released_.load(base::memory_order_acquire) == 0)
            rt::yield();
        return true;
    }
    bucket.lock();
    if (released_.load(base::memory_order_relaxed) != 0) {
        bucket.unlock();
        return true;
    }
    bucket.push_back(me);
    (void)rt::sema_wait(bucket, me, {}, rt::wait_reason::io);
    return true;
}

ssize_t fd::write_at_once(std::span<const std::byte> from) noexcept
{
    // Not a use of the word's: the end of the last one wakes close(), which a signal handler can't.
    at_once_.fetch_add(1, base::memory_order_acq_rel);  // pairs with release(): the later of the two sees the other
    const sys::keep_errno keep;
    ssize_t n = -ECANCELED;
    if (!word_.is_closed()) {
        do
            n = sys::write_some(number_, from.data(), from.size());
        while (n == -EINTR);
    }
    at_once_.fetch_sub(1, base::memory_order_release);
    return n;
}

void fd::release() noexcept
{
    rt::netpoll::close(*desc_);
    // A read-modify-write, as that of write_at_once(): a call that comes later sees the descriptor closed. An earlier
    // one is at a system call that does not block.
    while (at_once_.fetch_add(0, base::memory_order_acq_rel) != 0)
        sys::yield_thread();
    sys::close_descriptor(number_);
    // Under the lock: afterwards close() may return, and this object be gone.
    rt::sema_bucket& bucket = rt::sema_bucket::of(key(closing));
    bucket.lock();
    released_.store(1, base::memory_order_release);
    rt::sema_waiter* const w = bucket.pop_front(key(closing));
    rt::g* const who = w != nullptr ? w->who : nullptr;
    if (w != nullptr)
        (void)w->grant();
    bucket.unlock();
    if (who != nullptr)
        rt::ready(who);
}

namespace {

/// `attempt()` until it has not been interrupted.
template <class Attempt>
ssize_t uninterrupted(Attempt& attempt) noexcept
{
    for (;;)
        if (const ssize_t n = attempt(); n != -EINTR)
            return n;
}

/// `attempt()`, and where it says that memory is missing, once more with all that it is given in memory. A call on a
/// stream that has failed so has done nothing.
template <std::size_t Most, class Attempt>
ssize_t with_memory(const iovec* parts, std::size_t n, Attempt&& attempt) noexcept
{
    if (const ssize_t done = uninterrupted(attempt); done != -EFAULT)
        return done;
    std::array<weft::detail::kept_stack, Most> kept;
    for (std::size_t i = 0; i < n; ++i)
        kept[i].keep(parts[i].iov_base);
    return uninterrupted(attempt);
}

}  // namespace

ssize_t fd::read_file(int number, std::span<std::byte> to) noexcept
{
    const weft::detail::kept_stack kept(to.data());
    return sys::read_some(number, to.data(), to.size());
}

ssize_t fd::read_once(int number, std::span<std::byte> to) const noexcept
{
    const iovec part{to.data(), to.size()};
    return with_memory<1>(&part, 1, [&] { return try_read(number, to); });
}

ssize_t fd::write_once(int number, std::span<const std::byte> from) const noexcept
{
    const iovec part{const_cast<std::byte*>(from.data()), from.size()};
    return with_memory<1>(&part, 1, [&] { return try_write(number, from); });
}

ssize_t fd::after_attempt(poll_side s, ssize_t n) noexcept
{
    if (n == -EAGAIN)
        return -rt::poll_wait(*desc_, s);
    return n == -EINTR || n == -EFAULT ? 0 : n;
}

ssize_t fd::read_on(std::span<std::byte> to, ssize_t n) noexcept
{
    if (const ssize_t end = after_attempt(poll_side::read, n); end != 0)
        return end;
    const auto attempt = [&](int number) { return read_once(number, to); };
    return until_done(poll_side::read, attempt);
}

outcome fd::write_on(std::span<const std::byte> from, ssize_t n) noexcept
{
    outcome o;
    for (add(o, after_attempt(poll_side::write, n)); o.error == 0 && o.count < from.size();) {
        const auto rest = from.subspan(o.count);
        const auto attempt = [&](int number) { return write_once(number, rest); };
        add(o, until_done(poll_side::write, attempt));
    }
    return o;
}

outcome fd::write_all(std::span<const std::span<const std::byte>> parts) noexcept
{
    const side_guard mine(*this, poll_side::write);
    outcome o{0, mine.error()};
    std::size_t done = 0;  // of the first part
    while (o.error == 0) {
        while (!parts.empty() && done == parts.front().size()) {
            parts = parts.subspan(1);
            done = 0;
        }
        if (parts.empty())
            break;
        iovec vectors[write_parts];
        const std::size_t n = std::min(parts.size(), write_parts);
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t skip = i == 0 ? done : 0;
            vectors[i] = {const_cast<std::byte*>(parts[i].data()) + skip, parts[i].size() - skip};
        }
        const ssize_t written = mine.until_done([&](int number) { return write_once(number, vectors, n); });
        add(o, written);
        for (std::size_t left = written > 0 ? static_cast<std::size_t>(written) : 0; left > 0;) {
            const std::size_t here = std::min(left, parts.front().size() - done);
            done += here;
            left -= here;
            if (done == parts.front().size()) {
                parts = parts.subspan(1);
                done = 0;
            }
        }
    }
    return o;
}

ssize_t fd::write_once(int number, iovec* vectors, std::size_t n) const noexcept
{
    const auto attempt = [&]
    {
        if (!socket_)
            return sys::writev_some(number, vectors, static_cast<int>(n));
        msghdr message{};
        message.msg_iov = vectors;
        message.msg_iovlen = n;
        return sys::send_message(number, &message);
    };
    return with_memory<write_parts>(vectors, n, attempt);
}

void fd::set_deadline(poll_side s, std::int64_t when) noexcept
{
    if (!word_.use())
        return;
    rt::set_poll_deadline(*desc_, s, when);
    if (word_.end_use())
        release();
}

}  // namespace weft::io
