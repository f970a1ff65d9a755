// deferred_goroutine: a goroutine that somebody will start later, when nothing may fail or wait any more.
//
// A timer's `expire` may run no code but the runtime's and take no lock that somebody parks with. What a timer does
// beyond waking a waiter (send to a channel, call a function, cancel a context) is therefore done by a goroutine, which
// is made when the timer is armed, where memory may run out and say so; expire returns it as it would return a waiter.
//
// Made in a bubble (rt/services/bubble/bubble.hpp) it has its place there from the beginning, g::member, but counts as
// a member only when it starts.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "rt/core/g.hpp"
#include "weft/detail/task.hpp"

namespace weft::rt {

/// Owns the goroutine until start(). Empty when default-constructed or moved from.
class deferred_goroutine {
public:
    deferred_goroutine() noexcept = default;
    /// `started_at`: a code address, for reports. Throws as detail::task_new().
    template <class F>
    static deferred_goroutine make(F f, const void* started_at)
    {
        using closure = detail::inline_closure<F>;
        static_assert(detail::fits_inline<closure> && std::is_nothrow_move_constructible_v<F>);
        deferred_goroutine made;
        made.storage_ = detail::task_new();
        ::new (made.storage_) closure{std::move(f)};
        made.destroy_ = [](void* s) noexcept { static_cast<closure*>(s)->~closure(); };
        prepare(made.storage_, &closure::run, started_at);
        return made;
    }
    deferred_goroutine(deferred_goroutine&& other) noexcept
        : storage_(std::exchange(other.storage_, nullptr)), destroy_(other.destroy_)
    {
    }
    deferred_goroutine& operator=(deferred_goroutine&& other) noexcept
    {
        std::swap(storage_, other.storage_);
        std::swap(destroy_, other.destroy_);
        return *this;
    }
    deferred_goroutine(const deferred_goroutine&) = delete;
    deferred_goroutine& operator=(const deferred_goroutine&) = delete;
    /// Destroys the closure: not under a lock, nor inside a section.
    ~deferred_goroutine()
    {
        if (storage_ == nullptr)
            return;
        destroy_(storage_);
        drop(storage_);
    }

    /// Gives it away, as a goroutine that waits: to be passed to ready(), or returned by expire. Not empty before.
    [[nodiscard]] g* start() noexcept;

private:
    static void prepare(void* storage, detail::task_body body, const void* started_at);
    static void drop(void* storage) noexcept;

    void* storage_ = nullptr;
    void (*destroy_)(void*) noexcept = nullptr;
};

}  // namespace weft::rt
