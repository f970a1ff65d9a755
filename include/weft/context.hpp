// context: cancellation, deadlines and values, handed down a tree of calls and goroutines.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <stop_token>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/chan.hpp"
#include "weft/clock.hpp"
#include "weft/detail/config.hpp"
#include "weft/select.hpp"

namespace weft {

/// Why a context has ended. Converts to std::error_code; compares with std::errc::operation_canceled and
/// std::errc::timed_out.
enum class context_errc : int {
    canceled = 1,       ///< by cancel(), or the end of a cancel_context
    deadline_exceeded,  ///< its deadline, or an ancestor's, has passed
};

/// The category of context_errc, named "weft.context".
[[nodiscard]] WEFT_API const std::error_category& context_category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(context_errc e) noexcept
{
    return {static_cast<int>(e), context_category()};
}

}  // namespace weft

template <>
struct std::is_error_code_enum<weft::context_errc> : std::true_type {};

namespace weft {

class context;
class cancel_context;

namespace rt {
class cancel_list;
}

namespace detail {

struct context_node;

/// What with_value() has attached.
struct context_value {
    const void* key;
    const void* value;
    void (*destroy)(context_value&) noexcept;
};

WEFT_API void context_retain(context_node* n) noexcept;
WEFT_API void context_release(context_node* n) noexcept;
/// A child of `parent` that carries `value`, which it destroys in the end; not destroyed when this throws.
[[nodiscard]] WEFT_API context_node* context_with_value(context_node* parent, context_value& value);
[[nodiscard]] WEFT_API const void* context_find(const context_node* n, const void* key) noexcept;

/// Its address stands for Key.
template <class Key>
struct context_key {
    static constexpr char address = 0;
};
template <class Key>
struct context_value_type {
    using type = Key;
};
template <class Key>
    requires requires { typename Key::type; }
struct context_value_type<Key> {
    using type = typename Key::type;
};
template <class T>
struct context_box : context_value {
    T held;
    template <class U>
    context_box(const void* k, U&& v)
        : context_value{k, std::addressof(held),
                        [](context_value& self) noexcept { delete static_cast<context_box*>(&self); }},
          held(std::forward<U>(v))
    {
    }
};

/// What a wait has to watch; null if the context can't be canceled. The context must outlive its use.
[[nodiscard]] WEFT_API rt::cancel_list* cancel_list_of(const context& ctx) noexcept;

}  // namespace detail

/// Tells whoever works for a request when to give up, and carries what belongs to the request. A handle, as cheap as a
/// pointer: copies share the context. Pass it down as the last argument. All members may be called from any goroutine
/// or thread at any time.
///
/// Contexts form a tree: when one ends (canceled, or its deadline passes), so do all that were derived from it.
class context {
public:
    /// background().
    context() noexcept = default;
    /// Ends, with context_errc::canceled, when a stop is requested of `token`. Does not start the runtime. One that can
    /// never be stopped makes background(). Throws std::bad_alloc.
    WEFT_API context(const std::stop_token& token);
    context(const context& other) noexcept : node_(other.node_)
    {
        if (node_ != nullptr)
            detail::context_retain(node_);
    }
    context(context&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    /// A cancel_context that goes away cancels, so what is made of one would have ended, or would never be canceled:
    /// keep the cancel_context, and copy or pass that.
    context(cancel_context&&) = delete;
    context& operator=(context other) noexcept
    {
        std::swap(node_, other.node_);
        return *this;
    }
    ~context()
    {
        if (node_ != nullptr)
            detail::context_release(node_);
    }

    /// Closed when the context ends; nil (never ready) for one that can't. Made by the first call. For select,
    /// on_done(). Throws std::bad_alloc.
    [[nodiscard]] WEFT_API receiver<std::monostate> done() const;
    /// No error while the context lives; then why it has ended, which does not change any more. done() is closed by the
    /// time that this says so.
    [[nodiscard]] WEFT_API std::error_code err() const noexcept;
    /// Null while the context lives; then what cancel() was given, here or at the ancestor that ended it, else err() as
    /// a std::system_error.
    [[nodiscard]] WEFT_API std::exception_ptr cause() const noexcept;
    /// When it will end by itself: the earliest of its own and its ancestors' deadlines. Nothing: never.
    [[nodiscard]] WEFT_API std::optional<clock::time_point> deadline() const noexcept;
    /// What the nearest with_value<Key>() up the tree has attached; null: none. The type of the value is Key::type if
    /// there is one, else Key itself. It lives as long as this context.
    template <class Key>
    [[nodiscard]] auto value() const noexcept
    {
        using type = typename detail::context_value_type<Key>::type;
        return static_cast<const type*>(detail::context_find(node_, &detail::context_key<Key>::address));
    }
    /// A token of which a stop is requested when the context ends; one without a state if it can't end. Callbacks
    /// registered with it run in whatever ends the context, and must neither park nor block. Throws std::bad_alloc.
    [[nodiscard]] WEFT_API std::stop_token stop_token() const;

    /// Whether both are the same context.
    [[nodiscard]] friend bool operator==(const context& a, const context& b) noexcept { return a.node_ == b.node_; }

protected:
    friend rt::cancel_list* detail::cancel_list_of(const context& ctx) noexcept;
    friend WEFT_API cancel_context with_cancel(const context& parent);
    friend WEFT_API cancel_context with_deadline(const context& parent, clock::time_point deadline);
    template <class Key, class V>
    friend context with_value(const context& parent, V&& value);
    /// Takes a reference over.
    explicit context(detail::context_node* n) noexcept : node_(n) {}

    detail::context_node* node_ = nullptr;
};

/// The root of all contexts: never ends, has no deadline and no values.
[[nodiscard]] inline context background() noexcept
{
    return {};
}

/// A context that can be canceled, and is when this object ends: what was derived from it does not outlive the scope.
/// Movable; hand out copies as a plain context. One that was moved from is as background().
class cancel_context : public context {
public:
    cancel_context(cancel_context&& other) noexcept : context(std::exchange(other.node_, nullptr)) {}
    cancel_context& operator=(cancel_context&& other) noexcept
    {
        if (this != &other) {
            if (node_ != nullptr)
                cancel();
            context::operator=(static_cast<context&&>(other));
        }
        return *this;
    }
    ~cancel_context()
    {
        if (node_ != nullptr)
            cancel();
    }

    /// Ends it and all that was derived from it, with context_errc::canceled; wakes whoever waits for that. All have
    /// ended when this returns, unless somebody else is at it. Nothing happens if it has ended or was moved from.
    void cancel() noexcept { cancel(std::exception_ptr()); }
    /// The same; `cause` is what cause() will return.
    WEFT_API void cancel(std::exception_ptr cause) noexcept;
    /// The same; the cause is a std::system_error with `cause`. Throws std::bad_alloc.
    void cancel(std::error_code cause) { cancel(std::make_exception_ptr(std::system_error(cause))); }

private:
    friend WEFT_API cancel_context with_cancel(const context& parent);
    friend WEFT_API cancel_context with_deadline(const context& parent, clock::time_point deadline);
    using context::context;
};

/// A context that ends with `parent`, or when it is canceled. Throws std::bad_alloc.
[[nodiscard]] WEFT_API cancel_context with_cancel(const context& parent);
/// A context that ends with `parent`, when it is canceled, or at `deadline`, with context_errc::deadline_exceeded; at
/// once if that has passed. If `parent` has ended already, that is why. From a plain thread it starts the runtime if
/// there is none. Throws as timer().
[[nodiscard]] WEFT_API cancel_context with_deadline(const context& parent, clock::time_point deadline);
/// with_deadline() on any other clock: by what it says now. It is not looked at again.
template <class Clock, class Duration>
    requires(!std::same_as<std::chrono::time_point<Clock, Duration>, clock::time_point>)
[[nodiscard]] cancel_context with_deadline(const context& parent,
                                           const std::chrono::time_point<Clock, Duration>& deadline)
{
    return with_deadline(parent, detail::deadline_of(deadline));
}
/// with_deadline() after `timeout` from now.
template <class Rep, class Period>
[[nodiscard]] cancel_context with_timeout(const context& parent, std::chrono::duration<Rep, Period> timeout)
{
    return with_deadline(parent, detail::deadline_after(timeout));
}

/// A context that ends with `parent` and in which value<Key>() is `value`. Key is a type of the caller's own that
/// nobody else uses: with a member `type`, a tag for a value of that type; else the type of the value itself. Throws
/// std::bad_alloc and what copying or moving the value throws.
template <class Key, class V>
[[nodiscard]] context with_value(const context& parent, V&& value)
{
    using type = typename detail::context_value_type<Key>::type;
    auto box = std::make_unique<detail::context_box<type>>(&detail::context_key<Key>::address, std::forward<V>(value));
    detail::context_node* const made = detail::context_with_value(parent.node_, *box);
    (void)box.release();
    return context(made);
}

/// A case of a select that is ready when `ctx` has ended. `f`, if given, is called with no argument.
template <class F = detail::no_handler>
[[nodiscard]] auto on_done(const context& ctx, F f = {})
{
    detail::check_handler<F>();
    return on_recv(ctx.done(), std::move(f));
}
template <class F>
selector& selector::on_done(const context& ctx, F f)
{
    detail::check_handler<F>();
    return on_recv(ctx.done(), std::move(f));
}

/// sleep_until(), unless `ctx` ends before: then returns at once, with ctx.err(). A context that has ended wins over a
/// deadline that has passed.
WEFT_API std::error_code sleep_until(clock::time_point deadline, const context& ctx);
/// The same on any other clock, as sleep_until() without a context.
template <class Clock, class Duration>
    requires(!std::same_as<std::chrono::time_point<Clock, Duration>, clock::time_point>)
std::error_code sleep_until(const std::chrono::time_point<Clock, Duration>& deadline, const context& ctx)
{
    std::error_code ended;
    do
        ended = sleep_until(detail::deadline_of(deadline), ctx);
    while (!ended && !detail::has_come(deadline));
    return ended;
}
/// sleep_for(), unless `ctx` ends before: then returns at once, with ctx.err().
template <class Rep, class Period>
std::error_code sleep_for(std::chrono::duration<Rep, Period> timeout, const context& ctx)
{
    return sleep_until(detail::deadline_after(timeout), ctx);
}

}  // namespace weft
