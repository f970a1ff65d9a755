// Something that happens once.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <utility>

#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"

namespace weft {

/// std::once_flag and std::call_once for goroutines and plain threads in any mix. Eight bytes, constant-initialised.
class once {
public:
    constexpr once() noexcept = default;
    once(const once&) = delete;
    once& operator=(const once&) = delete;

    /// Calls `f(args...)` unless a call on this object has returned already; returns when that is so, and what `f` has
    /// done is then visible. Others who come meanwhile park. An exception that leaves `f` leaves call(), and the next
    /// caller, one that waits among them, tries again; so does exit_goroutine() inside `f`. Throws std::logic_error
    /// when it is called inside its own `f`.
    template <class F, class... Args>
        requires std::invocable<F, Args...>
    void call(F&& f, Args&&... args)
    {
        // Acquire: pairs with finish().
        if (word_.load(base::memory_order_acquire) == done || !begin())
            return;
        struct attempt {
            once* self;
            bool succeeded = false;
            ~attempt() { self->finish(succeeded); }
        } now{this};
        std::invoke(std::forward<F>(f), std::forward<Args>(args)...);
        now.succeeded = true;
    }

private:
    /// Else the address that stands for the goroutine or thread inside `f`, and `waiting`.
    enum : std::uintptr_t {
        open = 0,     ///< nobody has succeeded, nobody is at it
        done = 1,     ///< final
        waiting = 2,  ///< others wait for the one inside; set under the sema bucket's lock
    };
    /// True: the caller runs `f`, then calls finish(). False: it is done.
    WEFT_API bool begin();
    WEFT_API void finish(bool succeeded) noexcept;

    base::atomic<std::uintptr_t> word_{open};
};

}  // namespace weft
