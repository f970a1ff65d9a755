// What the templates of go.hpp need from the compiled core: a goroutine's storage, its start and its release, and the
// word by which a future's two sides meet. Nothing here is for users.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"

namespace weft {

struct attr;

namespace detail {

/// A closure of up to this size (and max_align_t alignment) lives inside the goroutine's control block.
inline constexpr std::size_t inline_closure_bytes = 80;

/// Runs the closure in `storage` and destroys it.
using task_body = void (*)(void* storage);

/// Who releases a goroutine's storage.
enum class storage_life : bool {
    of_run,  ///< the core, when the body has returned
    kept,    ///< somebody calls task_drop() for it, possibly before the body returns
};

/// A new goroutine, not started: returns its closure storage. Throws std::bad_alloc.
WEFT_API void* task_new();
/// Makes the goroutine runnable. `attributes` may be null. Throws std::invalid_argument for bad attributes,
/// std::runtime_error once process exit has begun; the goroutine is then not started and still the caller's.
WEFT_API void task_start(void* storage, task_body run, storage_life life, const attr* attributes);
/// Releases a goroutine that was never started, or one of storage_life::kept whose body has no more use for it.
WEFT_API void task_drop(void* storage) noexcept;

/// Whether `storage`, which is kept, is that of the calling goroutine.
[[nodiscard]] WEFT_API bool task_is_callers(const void* storage) noexcept;

/// Where, before its storage, a goroutine keeps the pointer to what only some have.
inline constexpr std::size_t task_extra_offset = 40;
/// Destroys the caller's local<T> values. The caller is a goroutine that has some, or a name.
WEFT_API void task_end_locals() noexcept;
/// At the end of a goroutine's body (storage_life::kept), before anybody is told: its locals end.
WEFT_ALWAYS_INLINE void end_of_task(void* storage) noexcept
{
    void* extra;
    std::memcpy(&extra, static_cast<const std::byte*>(storage) - task_extra_offset, sizeof extra);
    if (extra != nullptr) [[unlikely]]
        task_end_locals();
}

/// The word by which one completer and at most one waiter meet.
/// pending -> done | abandoned | a waiter's address; a waiter's address -> done | pending (its deadline passed).
class meeting {
public:
    /// Marks completion and wakes the waiter. False: the other side had abandoned it and the caller owns the rest.
    /// The object may be freed by the other side as soon as this is called.
    bool complete() noexcept
    {
        const std::uintptr_t was = word_.exchange(done, base::memory_order_acq_rel);
        if (was > abandoned)
            wake(was);
        return was != abandoned;
    }
    /// Gives up the waiting side. True: completion had come first and the caller owns the rest.
    bool abandon() noexcept
    {
        std::uintptr_t seen = pending;
        return !word_.compare_exchange_strong(seen, abandoned, base::memory_order_acq_rel, base::memory_order_acquire);
    }
    [[nodiscard]] bool ready() const noexcept { return word_.load(base::memory_order_acquire) == done; }
    /// Parks until complete(). Throws std::logic_error when somebody else already waits.
    WEFT_API void wait();
    /// As wait(), until `deadline` on weft::clock at the most; true when completed.
    WEFT_API bool wait_until(std::chrono::nanoseconds deadline);

private:
    enum : std::uintptr_t { pending = 0, done = 1, abandoned = 2 };
    WEFT_API static void wake(std::uintptr_t waiter) noexcept;

    friend struct meeting_park;
    base::atomic<std::uintptr_t> word_{pending};
};

/// A callable whose end somebody waits for: `How::run(*of, f)` calls it, and `How::finish(*of)`, which tells them, goes
/// last: after the callable and the goroutine's locals.
template <class How, class Owner, class F>
struct joined {
    Owner* of;
    F f;
    void operator()() { How::run(*of, std::move(f)); }
};

/// The end of a goroutine that runs `f`, which `destroy()` destroys.
template <class F, class Destroy>
WEFT_ALWAYS_INLINE void end_of_closure(void*, F&, Destroy destroy) noexcept
{
    destroy();
}
template <class How, class Owner, class F, class Destroy>
WEFT_ALWAYS_INLINE void end_of_closure(void* storage, joined<How, Owner, F>& f, Destroy destroy) noexcept
{
    Owner* const of = f.of;
    destroy();
    end_of_task(storage);
    How::finish(*of);
}

template <class F>
struct inline_closure {
    F f;
    static void run(void* storage)
    {
        struct guard {
            inline_closure* self;
            ~guard()
            {
                end_of_closure(self, self->f, [this] { self->~inline_closure(); });
            }
        } const g{static_cast<inline_closure*>(storage)};
        std::invoke(std::move(g.self->f));
    }
};

template <class F>
struct heap_closure {
    F* f;
    static void run(void* storage)
    {
        struct guard {
            heap_closure* self;
            ~guard()
            {
                end_of_closure(self, *self->f, [this] { delete self->f; });
            }
        } const g{static_cast<heap_closure*>(storage)};
        std::invoke(std::move(*g.self->f));
    }
};

template <class C>
inline constexpr bool fits_inline = sizeof(C) <= inline_closure_bytes && alignof(C) <= alignof(std::max_align_t);

/// Starts `f` (a decayed callable of no arguments) as a goroutine.
template <class F>
WEFT_ALWAYS_INLINE void spawn(F&& f, const attr* attributes)
{
    using callable = std::decay_t<F>;
    // Until task_start() has taken the goroutine, an exception (from a copy, a move or bad attributes) gives it back.
    struct owner {
        void* storage;
        void (*destroy)(void*) noexcept = nullptr;
        ~owner()
        {
            if (storage == nullptr)
                return;
            if (destroy != nullptr)
                destroy(storage);
            task_drop(storage);
        }
    } own{task_new()};
    if constexpr (fits_inline<inline_closure<callable>>) {
        using closure = inline_closure<callable>;
        ::new (own.storage) closure{std::forward<F>(f)};
        own.destroy = [](void* s) noexcept { static_cast<closure*>(s)->~closure(); };
        task_start(own.storage, &closure::run, storage_life::of_run, attributes);
    } else {
        using closure = heap_closure<callable>;
        ::new (own.storage) closure{new callable(std::forward<F>(f))};
        own.destroy = [](void* s) noexcept { delete static_cast<closure*>(s)->f; };
        task_start(own.storage, &closure::run, storage_life::of_run, attributes);
    }
    own.storage = nullptr;
}

/// A callable of no arguments that calls `f(args...)` once, with decayed copies.
template <class F, class... Args>
WEFT_ALWAYS_INLINE auto bound_call(F&& f, Args&&... args)
{
    return [fn = std::decay_t<F>(std::forward<F>(f)),
            bound = std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)]() mutable -> decltype(auto)
    { return std::apply(std::move(fn), std::move(bound)); };
}

/// spawn() of what `joined` says; `How::finish(of)` also when nothing was started.
template <class How, class Owner, class F>
WEFT_ALWAYS_INLINE void spawn_joined(Owner& of, F&& f, const attr* attributes = nullptr)
{
    struct undo {
        Owner* of;
        ~undo()
        {
            if (of != nullptr)
                How::finish(*of);
        }
    } failed{&of};
    spawn(joined<How, Owner, std::decay_t<F>>{&of, std::forward<F>(f)}, attributes);
    failed.of = nullptr;
}

}  // namespace detail
}  // namespace weft
