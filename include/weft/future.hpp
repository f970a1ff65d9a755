// async and future: a goroutine with a result.
#pragma once

#include <chrono>
#include <concepts>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/clock.hpp"
#include "weft/detail/task.hpp"
#include "weft/go.hpp"

namespace weft {

template <class R>
class future;

namespace detail {

/// What a goroutine with a result shares with its future. It lives in the goroutine's own storage when it fits there,
/// so that async() allocates nothing; else on the heap. Whoever comes second, the completion or the future's end,
/// releases it.
template <class R>
struct result_base {
    using value_type = std::conditional_t<std::is_void_v<R>, std::monostate,
                                          std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, R>>;

    meeting met;
    void* storage = nullptr;  ///< of the goroutine
    void (*release)(result_base*) noexcept = nullptr;
    std::variant<std::monostate, value_type, std::exception_ptr> result;

    R take()
    {
        if (result.index() == 2)
            std::rethrow_exception(std::get<2>(std::move(result)));
        if (result.index() == 0)
            throw std::future_error(std::future_errc::broken_promise);
        if constexpr (std::is_void_v<R>)
            return;
        else if constexpr (std::is_reference_v<R>)
            return static_cast<R>(*std::get<1>(result));
        else
            return std::get<1>(std::move(result));
    }
};

/// `Capture`: an exception that leaves the function goes to the future; otherwise it is the goroutine's panic.
template <class R, class F, bool Capture>
struct result_of : result_base<R> {
    std::optional<F> f;

    template <class G>
    explicit result_of(G&& fn) : f(std::in_place, std::forward<G>(fn))
    {
    }

    static constexpr bool is_inline = sizeof(result_base<R>) + sizeof(std::optional<F>) <= inline_closure_bytes &&
                                      alignof(F) <= alignof(std::max_align_t) &&
                                      alignof(typename result_base<R>::value_type) <= alignof(std::max_align_t);

    static void dispose(result_base<R>* base) noexcept { task_drop(destroy(static_cast<result_of*>(base))); }

    /// Returns the goroutine's storage, which is left.
    static void* destroy(result_of* self) noexcept
    {
        void* const storage = self->storage;
        if constexpr (is_inline)
            self->~result_of();
        else
            delete self;
        return storage;
    }

    static void run(void* storage)
    {
        // The guard completes also when exit_goroutine() unwinds: the future then finds neither value nor exception.
        struct guard {
            result_of* self;
            ~guard()
            {
                self->f.reset();
                end_of_task(self->storage);
                if (self->met.complete())
                    return;
                void* const left = destroy(self);
                end_of_task(left);  // again: the result's destructor may have used locals
                task_drop(left);
            }
        } const g{is_inline ? static_cast<result_of*>(storage) : *static_cast<result_of**>(storage)};
        if constexpr (Capture) {
            try {
                g.self->call();
            } catch (...) {
                if (std::exception_ptr e = std::current_exception())
                    g.self->result.template emplace<2>(std::move(e));
                else
                    throw;  // exit_goroutine(): a forced unwind is no exception object and goes on
            }
        } else {
            g.self->call();
        }
    }

private:
    void call()
    {
        if constexpr (std::is_void_v<R>) {
            std::invoke(std::move(*f));
            this->result.template emplace<1>();
        } else if constexpr (std::is_reference_v<R>) {
            this->result.template emplace<1>(std::addressof(std::invoke(std::move(*f))));
        } else {
            this->result.template emplace<1>(std::invoke(std::move(*f)));
        }
    }
};

template <bool Capture, class F>
auto spawn_result(F&& f, const attr* attributes)
{
    using callable = std::decay_t<F>;
    using result = std::invoke_result_t<callable>;
    using state = result_of<result, callable, Capture>;
    void* const storage = task_new();
    state* made = nullptr;
    try {
        if constexpr (state::is_inline) {
            made = ::new (storage) state(std::forward<F>(f));
        } else {
            made = new state(std::forward<F>(f));
            ::new (storage) state*(made);
        }
        made->storage = storage;
        made->release = &state::dispose;
        task_start(storage, &state::run, storage_life::kept, attributes);
    } catch (...) {
        if (made != nullptr)
            state::dispose(made);
        else
            task_drop(storage);
        throw;
    }
    return future<result>(made);
}

}  // namespace detail

class jthread;

/// The result of async(). Movable, not copyable. One goroutine or thread at a time may wait on it. Dropping it lets the
/// goroutine go on and discards its result.
template <class R>
class future {
public:
    future() noexcept = default;
    explicit future(detail::result_base<R>* state) noexcept : state_(state) {}
    future(future&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    future& operator=(future&& other) noexcept
    {
        if (this != &other) {
            drop();
            state_ = std::exchange(other.state_, nullptr);
        }
        return *this;
    }
    ~future() { drop(); }

    /// Whether there is a result to wait for: false after get() and when default-constructed or moved from.
    [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }

    /// Waits, then returns the result or rethrows the exception. Once only. Throws std::future_error: no_state when not
    /// valid(), broken_promise when the goroutine ended by exit_goroutine().
    R get()
    {
        check();
        if (!state_->met.ready())
            state_->met.wait();
        const future taken(std::move(*this));
        return taken.state_->take();
    }

    /// Waits for the result. Throws std::future_error (no_state), and std::logic_error when another one waits already.
    void wait() const
    {
        check();
        if (!state_->met.ready())
            state_->met.wait();
    }

    template <class Rep, class Period>
    [[nodiscard]] std::future_status wait_for(std::chrono::duration<Rep, Period> timeout) const
    {
        return wait_until(detail::deadline_after(timeout));
    }

    /// Until the result is there (ready) or `deadline`, of any clock, has passed (timeout).
    template <class Clock, class Duration>
    [[nodiscard]] std::future_status wait_until(const std::chrono::time_point<Clock, Duration>& deadline) const
    {
        check();
        do {
            // Parks even if `deadline` has passed: a caller that asks again and again lets the goroutine run.
            if (state_->met.ready() || state_->met.wait_until(detail::deadline_of(deadline).time_since_epoch()))
                return std::future_status::ready;
        } while (!detail::has_come(deadline));
        return std::future_status::timeout;
    }

    /// Whether the goroutine has ended by exit_goroutine(). Precondition: ready().
    [[nodiscard]] bool abandoned() const
    {
        check();
        return state_->result.index() == 0;
    }

    /// Whether get() would return at once.
    [[nodiscard]] bool ready() const
    {
        check();
        return state_->met.ready();
    }

private:
    friend class jthread;

    /// Whether the calling goroutine is the one whose result this is.
    [[nodiscard]] bool of_caller() const noexcept { return detail::task_is_callers(state_->storage); }
    void check() const
    {
        if (state_ == nullptr)
            throw std::future_error(std::future_errc::no_state);
    }
    void drop() noexcept
    {
        if (state_ != nullptr && state_->met.abandon())
            state_->release(state_);
        state_ = nullptr;
    }

    detail::result_base<R>* state_ = nullptr;
};

/// Starts a goroutine that calls `f(args...)` with decayed copies; the future has its result or its exception.
template <class F, class... Args>
    requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
[[nodiscard]] auto async(F&& f, Args&&... args)
{
    if constexpr (sizeof...(Args) == 0) {
        return detail::spawn_result<true>(std::forward<F>(f), nullptr);
    } else {
        return detail::spawn_result<true>(detail::bound_call(std::forward<F>(f), std::forward<Args>(args)...), nullptr);
    }
}

/// async(f, args...) with attributes. Throws std::invalid_argument for attributes out of range.
template <class F, class... Args>
    requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
[[nodiscard]] auto async(const attr& attributes, F&& f, Args&&... args)
{
    if constexpr (sizeof...(Args) == 0)
        return detail::spawn_result<true>(std::forward<F>(f), &attributes);
    else
        return detail::spawn_result<true>(detail::bound_call(std::forward<F>(f), std::forward<Args>(args)...),
                                          &attributes);
}

}  // namespace weft
