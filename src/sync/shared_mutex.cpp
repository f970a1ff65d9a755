// shared_mutex: the slow ways. docs/design/sync.md; the word is in weft/detail/shared_word.hpp;
// test/model/shared_mutex_test.cpp explores it. The order of readers and writers is that of Go's sync.RWMutex.
//
// Two queues in one bucket: the readers who wait for the phase to end, and the writer (one at most: it holds writers_)
// that waits for the readers who came before it. How many of them are left is in the writer's own `amount`. Under the
// bucket's lock: that number, both queues, and every change of the phase while somebody is counted.
#include "weft/shared_mutex.hpp"

#include <mutex>
#include <stdexcept>

#include "rt/rt.hpp"
#include "sync/limit.hpp"

namespace weft {

struct shared_mutex_queue {
    using view = detail::shared_word::view;

    shared_mutex& sm;
    rt::sema_bucket& bucket = rt::sema_bucket::of(&sm.word_);

    [[nodiscard]] const void* readers() const noexcept { return &sm.word_; }
    [[nodiscard]] const void* writer() const noexcept { return reinterpret_cast<const char*>(&sm.word_) + 1; }

    /// Ends the phase of the writer: all readers are inside. Unlocks the bucket.
    void end_phase() noexcept
    {
        rt::g_list woken;
        sm.word_.end_writer();
        grant_all(bucket, readers(), woken);
        bucket.unlock();
        rt::ready(woken);
    }
    /// One of those for whom `w` waits has left. Unlocks the bucket.
    void leave_to(rt::sema_waiter& w, std::uint32_t by) noexcept
    {
        w.amount = static_cast<std::uint32_t>(w.amount - by);
        rt::g* woken = nullptr;
        if (w.amount == 0) {
            (void)bucket.remove(w);
            rt::g* const who = w.who;
            if (w.grant() != rt::wait_word::won::no)
                woken = who;  // else it finds out by itself that it waits for nobody any more
        }
        bucket.unlock();
        if (woken != nullptr)
            rt::ready(woken);
    }
    /// Takes a misused unlock_shared() back. Unlocks the bucket.
    void undo_leave(view before) noexcept
    {
        const view now = sm.word_.add_reader();
        rt::sema_waiter* const w = bucket.front(writer());
        // A writer that has come since has counted the reader that we took off as one of minus one.
        if (w != nullptr && now.phase() != before.phase()) {
            leave_to(*w, std::uint32_t{0} - 1);
            return;
        }
        // A writer that has left meanwhile may have overlooked the reader whose count we had taken.
        rt::g_list woken;
        if (!now.writer())
            grant_all(bucket, readers(), woken);
        bucket.unlock();
        rt::ready(woken);
    }
};

/// With writers_ held: waits for the readers. False: the bound has come first, and writers_ is free again.
bool shared_mutex::drain(detail::wait_bound bound)
{
    std::unique_lock held(writers_, std::adopt_lock);
    shared_mutex_queue q{*this};
    rt::sema_waiter me;
    me.who = rt::current();
    me.key = q.writer();
    q.bucket.lock();
    me.amount = word_.begin_writer();
    if (me.amount == 0) {
        q.bucket.unlock();
        held.release();
        return true;
    }
    q.bucket.push_back(me);
    if (rt::sema_wait(q.bucket, me, limit_of(bound), rt::wait_reason::shared_mutex) != rt::wait_state::granted) {
        (void)q.bucket.remove(me);
        if (me.amount != 0) {
            q.end_phase();
            return false;
        }
        q.bucket.unlock();  // the last reader has left before we could
    }
    held.release();
    return true;
}

bool shared_mutex::lock_slow(detail::wait_bound bound)
{
    if (!writers_.try_lock() && !writers_.lock_slow(bound))
        return false;
    return word_.try_begin_writer() || drain(bound);
}

void shared_mutex::unlock_slow()
{
    shared_mutex_queue q{*this};
    q.bucket.lock();
    if (!word_.look().writer() || q.bucket.front(q.writer()) != nullptr) {
        q.bucket.unlock();
        throw std::logic_error("weft::shared_mutex::unlock: no writer is inside");
    }
    q.end_phase();
}

bool shared_mutex::lock_shared_slow(detail::shared_word::view before, detail::wait_bound bound)
{
    shared_mutex_queue q{*this};
    rt::sema_waiter me;
    me.key = q.readers();
    try {
        me.who = rt::current();
    } catch (...) {
        q.bucket.lock();
        const bool inside = word_.look().phase() != before.phase();
        if (!inside)
            (void)word_.remove_reader();
        q.bucket.unlock();
        if (inside)
            unlock_shared();
        throw;
    }
    q.bucket.lock();
    if (word_.look().phase() != before.phase()) {
        q.bucket.unlock();
        return true;
    }
    q.bucket.push_back(me);
    if (rt::sema_wait(q.bucket, me, limit_of(bound), rt::wait_reason::shared_mutex) == rt::wait_state::granted)
        return true;
    (void)q.bucket.remove(me);
    const bool inside = word_.look().phase() != before.phase();
    if (!inside)
        (void)word_.remove_reader();
    q.bucket.unlock();
    return inside;
}

void shared_mutex::unlock_shared_slow(detail::shared_word::view before)
{
    shared_mutex_queue q{*this};
    q.bucket.lock();
    if (before.readers() != 0) {
        if (word_.look().phase() != before.phase()) {
            q.bucket.unlock();  // the writer has given up
            return;
        }
        if (rt::sema_waiter* const w = q.bucket.front(q.writer()); w != nullptr && w->amount != 0) {
            q.leave_to(*w, 1);
            return;
        }
    }
    q.undo_leave(before);
    throw std::logic_error("weft::shared_mutex::unlock_shared: no reader is inside");
}

}  // namespace weft
