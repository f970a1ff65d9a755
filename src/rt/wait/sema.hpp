// sema: queues of waiters, keyed by address, under everything in sync/: the object itself needs no room for a queue.
//
// A table of buckets, each with a lock and a list of distinct keys; the first waiter of a key heads the FIFO of that
// key, so that a million waiters of one key cost its neighbours nothing (the layout is Go's semaRoot with a list in
// place of its treap; the idea of parking by address is from WebKit's WTF::ParkingLot).
//
// A waiter with a deadline may be taken out of the middle, hence the links back. Who takes a waiter out of its queue
// to wake it must win its wait_word first; see sema_wait.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rt/core/g.hpp"
#include "rt/wait/wait_word.hpp"
#include "sys/lock.hpp"

namespace weft::rt {

/// Lies in the waiter's frame. Guarded by the bucket's lock while queued, except for `word`.
struct sema_waiter {
    g* who = nullptr;
    const void* key = nullptr;
    std::int64_t since = 0;           ///< when it began to wait; for the owner of the key
    std::uint64_t amount = 0;         ///< how much it waits for; for the owner of the key
    void* object = nullptr;           ///< for the owner of the key
    wait_word word;                   ///< who ends the wait
    bool granted = false;             ///< for the owner of the key: woken with what it waited for
    bool linked = false;              ///< in a queue
    sema_waiter* next = nullptr;      ///< of the same key
    sema_waiter* previous = nullptr;  ///< of the same key; null at the head
    sema_waiter* last = nullptr;      ///< head only: the last of the same key
    sema_waiter* next_key = nullptr;  ///< head only: head of another key

    /// For the queue's owner, under its lock, with the waiter out of the queue. Afterwards only one who has won a
    /// parked one may touch it.
    [[nodiscard]] wait_word::won grant() noexcept { return word.take(wait_state::granted); }
};

class alignas(base::cache_line) sema_bucket {
public:
    /// The bucket of `key`.
    [[nodiscard]] static sema_bucket& of(const void* key) noexcept;

    void lock() noexcept { lock_.lock(); }
    void unlock() noexcept { lock_.unlock(); }

    // All under the lock:
    void push_back(sema_waiter& w) noexcept;
    void push_front(sema_waiter& w) noexcept;
    [[nodiscard]] sema_waiter* front(const void* key) const noexcept;
    /// The first waiter of `key`, taken out; null without one.
    sema_waiter* pop_front(const void* key) noexcept;
    /// Takes `w` out. False: it was not queued.
    bool remove(sema_waiter& w) noexcept;

    /// A commit_fn: drops the lock of the bucket that `argument` points to.
    static bool unlock_commit(g*, void* argument) noexcept
    {
        static_cast<sema_bucket*>(argument)->unlock();
        return true;
    }

    /// Takes the waiters out for whom `gone` says true.
    void forget(bool (*gone)(const g& who, void*) noexcept, void* argument) noexcept;

private:
    /// The link that points to the head of `key`'s queue, or the null at the end.
    [[nodiscard]] sema_waiter** find(const void* key) noexcept;

    sys::lock_word lock_;
    sema_waiter* heads_ = nullptr;
};

/// forget() in all buckets.
void forget_waiters(bool (*gone)(const g& who, void*) noexcept, void* argument) noexcept;

}  // namespace weft::rt
