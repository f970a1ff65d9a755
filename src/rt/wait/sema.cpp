#include "rt/wait/sema.hpp"

#include <array>

#include "rt/sched/hooks.hpp"

namespace weft::rt {

namespace {

constexpr std::size_t bucket_bits = 10;
constinit std::array<sema_bucket, std::size_t{1} << bucket_bits> table{};

}  // namespace

sema_bucket& sema_bucket::of(const void* key) noexcept
{
    // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4).
    const auto k = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(key));
    return table[static_cast<std::size_t>((k * 0x9e3779b97f4a7c15) >> (64 - bucket_bits))];
}

sema_waiter** sema_bucket::find(const void* key) noexcept
{
    sema_waiter** at = &heads_;
    while (*at != nullptr && (*at)->key != key)
        at = &(*at)->next_key;
    return at;
}

sema_waiter* sema_bucket::front(const void* key) const noexcept
{
    sema_waiter* at = heads_;
    while (at != nullptr && at->key != key)
        at = at->next_key;
    return at;
}

void sema_bucket::push_back(sema_waiter& w) noexcept
{
    w.next = nullptr;
    w.linked = true;
    sema_waiter** const at = find(w.key);
    if (*at == nullptr) {
        w.previous = nullptr;
        w.last = &w;
        w.next_key = nullptr;
        *at = &w;
    } else {
        w.previous = (*at)->last;
        (*at)->last->next = &w;
        (*at)->last = &w;
    }
}

void sema_bucket::push_front(sema_waiter& w) noexcept
{
    sema_waiter** const at = find(w.key);
    sema_waiter* const head = *at;
    w.next = head;
    w.previous = nullptr;
    w.linked = true;
    w.last = head == nullptr ? &w : head->last;
    w.next_key = head == nullptr ? nullptr : head->next_key;
    if (head != nullptr)
        head->previous = &w;
    *at = &w;
}

sema_waiter* sema_bucket::pop_front(const void* key) noexcept
{
    sema_waiter** const at = find(key);
    sema_waiter* const head = *at;
    if (head == nullptr)
        return nullptr;
    if (sema_waiter* const second = head->next; second != nullptr) {
        hooks.expect_to_touch(second);
        second->previous = nullptr;
        second->last = head->last;
        second->next_key = head->next_key;
        *at = second;
    } else {
        *at = head->next_key;
    }
    head->linked = false;
    return head;
}

bool sema_bucket::remove(sema_waiter& w) noexcept
{
    if (!w.linked)
        return false;
    if (w.previous == nullptr)
        return pop_front(w.key) != nullptr;
    w.previous->next = w.next;
    if (w.next != nullptr)
        w.next->previous = w.previous;
    else
        front(w.key)->last = w.previous;
    w.linked = false;
    return true;
}

void sema_bucket::forget(bool (*gone)(const g& who, void*) noexcept, void* argument) noexcept
{
    const auto first_gone = [&]() -> sema_waiter*
    {
        for (sema_waiter* head = heads_; head != nullptr; head = head->next_key)
            for (sema_waiter* w = head; w != nullptr; w = w->next)
                if (gone(*w->who, argument))
                    return w;
        return nullptr;
    };
    while (sema_waiter* const w = first_gone())
        (void)remove(*w);
}

void forget_waiters(bool (*gone)(const g& who, void*) noexcept, void* argument) noexcept
{
    for (sema_bucket& bucket : table) {
        bucket.lock();
        bucket.forget(gone, argument);
        bucket.unlock();
    }
}

}  // namespace weft::rt
