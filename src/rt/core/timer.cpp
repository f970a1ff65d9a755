#include "rt/core/timer.hpp"

#include <cstdlib>
#include <memory>

#include "base/check.hpp"
#include "base/cpu.hpp"

namespace weft::rt {

namespace {

constexpr std::size_t arity = 4;  // shallower than a binary heap, and the children share a cache line
// Entry 0 comes last in its cache line, so that the children of each entry have one of their own.
constexpr std::size_t before_first = arity - 1;

}  // namespace

timer_heap::~timer_heap()
{
    if (entries_ != nullptr)
        std::free(entries_ - before_first);
}

void timer_heap::place(std::size_t at, entry e) noexcept
{
    entries_[at] = e;
    e.tell(at);
}

void timer_heap::sift_up(std::size_t at, entry e) noexcept
{
    while (at > 0) {
        const std::size_t parent = (at - 1) / arity;
        if (entries_[parent].when <= e.when)
            break;
        place(at, entries_[parent]);
        at = parent;
    }
    place(at, e);
}

void timer_heap::sift_down(std::size_t at, entry e) noexcept
{
    for (;;) {
        const std::size_t first = at * arity + 1;
        if (first >= size_)
            break;
        const std::size_t end = first + arity < size_ ? first + arity : size_;
        // With a million timers the lower levels are in no cache: they are asked for one level ahead.
        if (const std::size_t below = first * arity + 1; below < size_)
            base::prefetch_lines(entries_ + below, arity);
        std::size_t best = first;
        for (std::size_t child = first + 1; child < end; ++child)
            if (entries_[child].when < entries_[best].when)
                best = child;
        if (entries_[best].when >= e.when)
            break;
        place(at, entries_[best]);
        at = best;
    }
    place(at, e);
}

void timer_heap::remove(std::size_t at) noexcept
{
    const entry last = entries_[--size_];
    if (at == size_)
        return;
    if (at > 0 && entries_[(at - 1) / arity].when > last.when)
        sift_up(at, last);
    else
        sift_down(at, last);
}

void timer_heap::publish() noexcept
{
    earliest_.store(size_ == 0 ? never : entries_[0].when, base::memory_order_relaxed);
    counted_.store(size_, base::memory_order_relaxed);
}

void timer_heap::grow() noexcept
{
    const std::size_t capacity = capacity_ == 0 ? 64 : capacity_ * 2;
    void* const made = std::aligned_alloc(base::cache_line, (capacity + arity) * sizeof(entry));
    if (made == nullptr)
        base::fatal("out of memory for %zu timers", capacity);
    auto* const grown = static_cast<entry*>(made) + before_first;
    if (entries_ != nullptr) {
        std::uninitialized_copy_n(entries_, size_, grown);
        std::free(entries_ - before_first);
    }
    entries_ = grown;
    capacity_ = capacity;
}

bool timer_heap::arm(timer& t) noexcept
{
    if (size_ == capacity_) [[unlikely]]
        grow();
    if (t.heap != this)
        t.heap = this;  // else set before its waiter could be woken, and read by disarm() without the lock
    t.state.store(timer::status::armed, base::memory_order_relaxed);
    sift_up(size_++, entry(t));
    publish();
    return &entries_[0].get() == &t;
}

bool timer_heap::disarm(timer& t) noexcept
{
    if (t.heap == nullptr)
        return false;
    bool armed = false;
    if (!t.only_fires) {
        timer_heap& heap = *t.heap;
        heap.lock_.lock();
        armed = t.state.load(base::memory_order_relaxed) == timer::status::armed;
        if (armed) {
            heap.remove(t.index);
            heap.publish();
            t.state.store(timer::status::idle, base::memory_order_relaxed);
        }
        heap.lock_.unlock();
    }
    while (t.state.load(base::memory_order_acquire) != timer::status::idle)  // pairs with run_expired()
        base::pause();
    return armed;
}

bool timer_heap::put_off(timer& t, std::int64_t when) noexcept
{
    if (t.heap == nullptr)
        return false;
    timer_heap& heap = *t.heap;
    heap.lock_.lock();
    const bool can = t.state.load(base::memory_order_relaxed) == timer::status::armed && when >= t.when;
    if (can) {
        t.when = when;
        heap.sift_down(t.index, entry(t));
        heap.publish();
    }
    heap.lock_.unlock();
    return can;
}

timer* timer_heap::disarm_earliest() noexcept
{
    timer* t = nullptr;
    lock_.lock();
    if (size_ != 0) {
        t = &entries_[0].get();
        remove(0);
        publish();
        t->state.store(timer::status::idle, base::memory_order_relaxed);
    }
    lock_.unlock();
    return t;
}

void timer_heap::run_expired(std::int64_t now, g_list& out) noexcept
{
    constexpr std::size_t batch = 64;  // bounds the time under the lock
    timer* expired[batch];
    std::size_t n = batch;
    while (n == batch) {
        n = 0;
        lock_.lock();
        while (n < batch && size_ > 0 && entries_[0].when <= now) {
            expired[n++] = &entries_[0].get();
            base::prefetch(expired[n - 1]);  // in a frame that slept
            remove(0);
        }
        for (std::size_t i = 0; i < n; ++i)
            expired[i]->state.store(timer::status::firing, base::memory_order_relaxed);
        publish();
        lock_.unlock();
        // Its waiter may free a timer once it is idle, unless we hold the waiter ourselves.
        g* woken[batch];
        for (std::size_t i = 0; i < n; ++i) {
            woken[i] = expired[i]->expire(*expired[i]);
            expired[i]->state.store(timer::status::idle, base::memory_order_release);
            base::prefetch(woken[i]);
        }
        for (std::size_t i = 0; i < n; ++i)
            if (woken[i] != nullptr)
                out.push_back(woken[i]);
    }
}

}  // namespace weft::rt
