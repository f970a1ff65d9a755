// group: goroutines that end before the scope does (structured concurrency; Go's errgroup).
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <system_error>
#include <type_traits>
#include <utility>

#include "weft/context.hpp"
#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"
#include "weft/detail/task.hpp"
#include "weft/runtime.hpp"
#include "weft/sync.hpp"

namespace weft {

/// Starts goroutines and waits for all of them; the first that fails, by an exception or by a std::error_code that its
/// function returns, cancels the others' context. Nothing leaks out of its scope: the destructor cancels and joins.
/// go(), try_go(), wait() and context() may be called from any goroutine or thread at any time, from the group's own
/// goroutines too, except wait(), which they would wait for themselves in. An exception is not a panic here.
class group {
public:
    /// Its context is derived from background(). Throws std::bad_alloc.
    group() : group(background()) {}
    /// Its context is derived from `parent`: when that one ends, so does the group's. Throws std::bad_alloc.
    explicit group(const weft::context& parent) : context_(with_cancel(parent)) {}
    group(const group&) = delete;
    group& operator=(const group&) = delete;
    /// Cancels the context and waits for the goroutines, except while the process exits, when they have stopped
    /// already. A failure that wait() has not rethrown is dropped.
    ~group()
    {
        context_.cancel();
        if (!detail::runtime_stopped())  // while the process exits nothing would ever end the wait
            running_.wait();
    }

    /// Starts a goroutine that calls `f()`. If that returns a std::error_code, any but success is a failure, as a
    /// std::system_error; other results are dropped. With a limit, waits for its turn first; whoever waits so is served
    /// first. Throws as weft::go(); nothing was started then.
    template <class F>
        requires std::invocable<std::decay_t<F>>
    void go(F&& f)
    {
        enter();
        detail::spawn_joined<member>(*this, std::forward<F>(f));
    }
    /// go(f) with attributes. Throws std::invalid_argument for attributes out of range; nothing was started then.
    template <class F>
        requires std::invocable<std::decay_t<F>>
    void go(const attr& attributes, F&& f)
    {
        enter();
        detail::spawn_joined<member>(*this, std::forward<F>(f), &attributes);
    }
    /// go(), unless that would have to wait. False: nothing was started.
    template <class F>
        requires std::invocable<std::decay_t<F>>
    [[nodiscard]] bool try_go(F&& f)
    {
        if (!try_enter())
            return false;
        detail::spawn_joined<member>(*this, std::forward<F>(f));
        return true;
    }
    /// try_go(f) with attributes, as go() with them.
    template <class F>
        requires std::invocable<std::decay_t<F>>
    [[nodiscard]] bool try_go(const attr& attributes, F&& f)
    {
        if (!try_enter())
            return false;
        detail::spawn_joined<member>(*this, std::forward<F>(f), &attributes);
        return true;
    }

    /// Waits until no goroutine of the group runs and what their functions captured is gone, and throws the first
    /// failure: the exception that has left one, or std::system_error with the code that one has returned; later ones
    /// were dropped. May be called again, also after more go(); it throws each time.
    void wait()
    {
        running_.wait();
        if (failed_.load(base::memory_order_acquire) == reported)
            std::rethrow_exception(first_);
    }

    /// At most `n` goroutines run at the same time from now on; zero: none can be started. Throws
    /// std::invalid_argument for a negative `n`, std::logic_error while goroutines of the group run. Not to be called
    /// beside go() and try_go().
    WEFT_API void limit(int n);

    /// Ends with the first failure, whose exception is its cause(), and with the group.
    [[nodiscard]] const weft::context& context() const noexcept { return context_; }

private:
    enum : int { none, failing, reported };

    struct member {
        template <class F>
        static void run(group& self, F&& f)
        {
            try {
                if constexpr (std::same_as<std::remove_cvref_t<std::invoke_result_t<F>>, std::error_code>) {
                    if (const std::error_code error = std::invoke(std::forward<F>(f)))
                        self.fail(std::make_exception_ptr(std::system_error(error)));
                } else {
                    std::invoke(std::forward<F>(f));
                }
            } catch (...) {
                if (std::exception_ptr e = std::current_exception())
                    self.fail(std::move(e));
                else
                    throw;  // exit_goroutine(): a forced unwind is no exception object and goes on
            }
        }
        static void finish(group& self) noexcept { self.leave(); }
    };

    WEFT_API void enter();
    [[nodiscard]] WEFT_API bool try_enter();
    WEFT_API void leave() noexcept;
    WEFT_API void fail(std::exception_ptr e) noexcept;

    static constexpr int unlimited = -1;

    cancel_context context_;
    wait_group running_;
    base::atomic<int> limit_{unlimited};  ///< written under the sema bucket's lock
    base::atomic<int> inside_{0};         ///< with a limit, changed under the sema bucket's lock
    base::atomic<int> failed_{none};
    std::exception_ptr first_;  ///< written once, before failed_ is `reported`
};

}  // namespace weft
