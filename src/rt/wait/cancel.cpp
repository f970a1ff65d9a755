#include "rt/wait/cancel.hpp"

#include "rt/core/current.hpp"
#include "rt/core/explore.hpp"
#include "rt/sched/facts.hpp"
#include "sys/thread.hpp"

namespace weft::rt {

bool cancel_list::add(cancel_hook& hook) noexcept
{
    lock_.lock();
    const bool open = reason_.load(base::memory_order_relaxed) == cancel_reason::none;
    if (open) {
        hook.next = nullptr;
        hook.previous = last_;
        (last_ != nullptr ? last_->next : first_) = &hook;
        last_ = &hook;
        hook.queued = true;
    }
    lock_.unlock();
    return open;
}

void cancel_list::unlink(cancel_hook& hook) noexcept
{
    (hook.previous != nullptr ? hook.previous->next : first_) = hook.next;
    (hook.next != nullptr ? hook.next->previous : last_) = hook.previous;
    hook.queued = false;
}

void cancel_list::remove(cancel_hook& hook) noexcept
{
    lock_.lock();
    if (hook.queued) {
        unlink(hook);
    } else {
        while (firing_ == &hook && fired_by_ != caller()) {
            lock_.unlock();
            sys::yield_thread();
            lock_.lock();
        }
    }
    lock_.unlock();
}

bool cancel_list::fire_all(cancel_reason why, void (*record)(void*) noexcept, void* argument) noexcept
{
    lock_.lock();
    if (reason_.load(base::memory_order_relaxed) != cancel_reason::none) {
        lock_.unlock();
        return false;
    }
    if (record != nullptr)
        record(argument);
    reason_.store(why, base::memory_order_release);  // pairs with reason()
    fired_by_ = caller();
    {
        // An owner that is woken waits for the end of fire(), so nobody else may have the turn before that.
        const no_explore_points keep_turn;
        while (cancel_hook* const hook = first_) {
            unlink(*hook);
            firing_ = hook;
            lock_.unlock();
            hook->fire(*hook);
            lock_.lock();
            firing_ = nullptr;
        }
        lock_.unlock();
    }
    explore_point();
    return true;
}

}  // namespace weft::rt
