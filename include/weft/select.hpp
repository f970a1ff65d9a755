// select: one wait on many channels.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/chan.hpp"
#include "weft/clock.hpp"
#include "weft/detail/chan.hpp"
#include "weft/detail/deadline.hpp"

namespace weft {

class context;

namespace detail {

/// The handler of a case that has none.
struct no_handler {
    template <class... Args>
    void operator()(Args&&...) const noexcept
    {
    }
};

/// Makes a channel's core known to the cases.
struct select_access {
    template <class T>
    static chan_shared* core(const chan_end<T>& c) noexcept
    {
        return c.get();
    }
};

/// Refuses, in one line, what can't be the handler of a case in which nothing arrives.
template <class F>
constexpr void check_handler() noexcept
{
    static_assert(std::invocable<F&>, "weft::select: the handler of this case takes no argument");
    if constexpr (std::invocable<F&>)
        static_assert(std::is_void_v<std::invoke_result_t<F&>>,
                      "weft::select: a handler returns nothing, its result would be dropped; assign it to what the "
                      "handler captures");
}
/// The same where a T arrives.
template <class F, class T>
constexpr void check_recv_handler() noexcept
{
    if constexpr (std::invocable<F&, std::optional<T>>) {
        static_assert(std::is_void_v<std::invoke_result_t<F&, std::optional<T>>>,
                      "weft::select: a handler returns nothing, its result would be dropped; assign it to what the "
                      "handler captures");
    } else {
        static_assert(std::invocable<F&>,
                      "weft::select: the handler of a receive from a channel of T takes a std::optional<T>, which is "
                      "empty when the channel is closed, or no argument");
        if constexpr (std::invocable<F&>)
            check_handler<F>();
    }
}

// They call nothing where the checks have failed: those have said why.
template <class F>
void call_handler(F& f)
{
    if constexpr (std::invocable<F&>)
        std::invoke(f);
}
template <class T, class F>
void call_recv_handler(F& f, std::optional<T> value)
{
    if constexpr (std::invocable<F&, std::optional<T>>)
        std::invoke(f, std::move(value));
    else
        call_handler(f);
}

// A case is one of these. Those of channels describe themselves to the core, and are told what has become of them.

template <class T, class F>
class recv_case {
public:
    static constexpr bool on_channel = true;
    recv_case(chan_shared* c, F f) : c_(c), f_(std::move(f)) {}
    template <bool Again>
    void describe(select_case& sc) noexcept
    {
        sc = {c_, in_.room(), select_case::kind::recv, false};
    }
    /// Before any handler runs, which may throw: what has arrived must not stay behind.
    void chosen(bool ok) { call_recv_handler<T>(f_, ok ? in_.take() : std::nullopt); }
    void not_chosen() noexcept {}

private:
    chan_shared* c_;
    arrival<T> in_;
    F f_;
};

/// `Keep`: T to hold a value, T& to send from somebody else's.
template <class T, class Keep, class F>
class send_case {
    /// Whether sending the value takes it away.
    static constexpr bool sent_once = !boxed<T> && !std::is_trivially_copyable_v<T>;
    struct no_copy {};

public:
    static constexpr bool on_channel = true;
    template <class V>
    send_case(chan_shared* c, V&& value, F f) : c_(c), value_(std::forward<V>(value)), f_(std::move(f))
    {
    }
    /// `Again`: the value must be there for the next select too.
    template <bool Again>
    void describe(select_case& sc)
    {
        if constexpr (Again && sent_once && std::copy_constructible<T>)
            out_.emplace(copy_.emplace(value_));
        else
            out_.emplace(value_);
        sc = {c_, out_->room(), select_case::kind::send, false};
    }
    void chosen(bool ok)
    {
        if (!ok) {
            out_->not_sent();
            throw_closed_channel("weft::select: a send on a closed channel");
        }
        out_->sent();
        call_handler(f_);
    }
    void not_chosen() noexcept(noexcept(std::declval<departure<T>&>().not_sent())) { out_->not_sent(); }

private:
    chan_shared* c_;
    Keep value_;
    [[no_unique_address]] std::conditional_t<sent_once && std::is_object_v<Keep>, std::optional<T>, no_copy> copy_;
    std::optional<departure<T>> out_;
    F f_;
};

template <class F>
struct deadline_case {
    static constexpr bool on_channel = false;
    clock::time_point deadline;
    F f;
};

template <class F>
struct default_case {
    static constexpr bool on_channel = false;
    F f;
};

template <class C>
inline constexpr bool is_deadline = false;
template <class F>
inline constexpr bool is_deadline<deadline_case<F>> = true;
template <class C>
inline constexpr bool is_default = false;
template <class F>
inline constexpr bool is_default<default_case<F>> = true;
template <class C>
inline constexpr bool is_case = is_deadline<C> || is_default<C>;
template <class T, class F>
inline constexpr bool is_case<recv_case<T, F>> = true;
template <class T, class Keep, class F>
inline constexpr bool is_case<send_case<T, Keep, F>> = true;
/// Whether it may be kept in a variable, for any number of selects.
template <class C>
inline constexpr bool lasts = true;
template <class T, class F>
inline constexpr bool lasts<send_case<T, T&, F>> = false;
template <class T, class F>
inline constexpr bool lasts<send_case<T, T, F>> = std::copy_constructible<T>;

/// What select takes: a case, made inside the call or kept in a variable before.
template <class C>
concept case_argument = is_case<std::remove_cvref_t<C>>;
template <class C>
inline constexpr bool may_fail_to_put_back = false;
template <class C>
    requires(C::on_channel)
inline constexpr bool may_fail_to_put_back<C> = !noexcept(std::declval<C&>().not_chosen());

}  // namespace detail

/// A case that receives. `f`, if given, is called with what recv() would return (nullopt: closed and drained), or with
/// nothing. The channel must outlive the select; a nil one is never ready. Handlers return nothing, here as in the
/// other cases.
template <class T, class F = detail::no_handler>
[[nodiscard]] auto on_recv(const detail::receiving<T>& c, F f = {})
{
    detail::check_recv_handler<F, T>();
    return detail::recv_case<T, F>(detail::select_access::core(c), std::move(f));
}

/// A case that sends `value`; on a closed channel, when it is chosen, select throws closed_channel. An rvalue is moved
/// from only when this case is chosen; an lvalue is copied first. With an rvalue the case refers to it: make it inside
/// the call of select, which takes no such case out of a variable. A case with a value of its own may be kept: each
/// select that chooses it sends a copy.
template <class T, class Base, class V, class F = detail::no_handler>
    requires std::constructible_from<T, V&&>
[[nodiscard]] auto on_send(const detail::sending<T, Base>& c, V&& value, F f = {})
{
    detail::check_handler<F>();
    using keep = std::conditional_t<std::same_as<V, T>, T&, T>;
    if constexpr (std::is_reference_v<keep>)
        return detail::send_case<T, keep, F>(detail::select_access::core(c), value, std::move(f));
    else
        return detail::send_case<T, keep, F>(detail::select_access::core(c), std::forward<V>(value), std::move(f));
}

/// A case that is chosen when no other was ready until `deadline`. A channel that is ready goes before a deadline that
/// has passed. A point of another clock is one of weft::clock's by what both say at this call.
template <class Clock, class Duration, class F = detail::no_handler>
[[nodiscard]] auto on_deadline(std::chrono::time_point<Clock, Duration> deadline, F f = {})
{
    detail::check_handler<F>();
    return detail::deadline_case<F>{detail::deadline_of(deadline), std::move(f)};
}
/// The same, `timeout` after this call.
template <class Rep, class Period, class F = detail::no_handler>
[[nodiscard]] auto on_timeout(std::chrono::duration<Rep, Period> timeout, F f = {})
{
    detail::check_handler<F>();
    return detail::deadline_case<F>{detail::deadline_after(timeout), std::move(f)};
}
/// The case that is chosen when no other is ready: select does not wait then.
template <class F = detail::no_handler>
[[nodiscard]] auto otherwise(F f = {})
{
    detail::check_handler<F>();
    return detail::default_case<F>{std::move(f)};
}

/// Waits until one of the cases can go on, carries it out and calls its handler; returns its position, counted from 0.
/// Of several ready cases each is chosen with the same chance. A channel may occur in several cases, to send and to
/// receive. Handlers run in the caller, after the channels are unlocked; what they throw leaves select. Throws
/// closed_channel when a send on a closed channel is chosen, and std::bad_alloc only with more than 16 channels.
/// Without any case, or with nil channels only, it waits for ever. A value whose move may throw (see chan) goes back
/// before the handler runs; where that throws, so does select after the handler.
template <class... Cases>
    requires(detail::case_argument<Cases> && ...)
std::size_t select(Cases&&... cases)
{
    static_assert(((!std::is_lvalue_reference_v<Cases> || detail::lasts<std::remove_cvref_t<Cases>>) && ...),
                  "weft::select: an on_send() that is kept in a variable needs a value of its own, to send a copy of: "
                  "make the case inside the call of select, or give on_send() a variable of a type that can be copied");
    constexpr std::size_t channels = (std::size_t{0} + ... + (std::remove_cvref_t<Cases>::on_channel ? 1 : 0));
    constexpr std::size_t defaults = (std::size_t{0} + ... + (detail::is_default<std::remove_cvref_t<Cases>> ? 1 : 0));
    static_assert(defaults <= 1, "weft::select: only one otherwise() may be given");
    std::array<detail::select_case, channels> core;
    clock::time_point deadline = clock::time_point::max();
    std::size_t deadline_at = 0;
    std::size_t at = 0;
    std::size_t described = 0;
    const auto describe = [&]<class Case>(Case&& c)
    {
        using type = std::remove_cvref_t<Case>;
        if constexpr (type::on_channel) {
            c.template describe<std::is_lvalue_reference_v<Case>>(core[described++]);
        } else if constexpr (detail::is_deadline<type>) {
            if (c.deadline < deadline) {
                deadline = c.deadline;
                deadline_at = at;
            }
        }
        ++at;
    };
    (describe(std::forward<Cases>(cases)), ...);
    const std::size_t won = detail::select_run(core, deadline.time_since_epoch(), defaults == 1);
    std::size_t result = 0;
    std::size_t position = 0;
    std::size_t channel = 0;
    constexpr bool may_fail = (detail::may_fail_to_put_back<std::remove_cvref_t<Cases>> || ...);
    [[maybe_unused]] std::conditional_t<may_fail, std::exception_ptr, std::nullptr_t> failure{};
    // What was not chosen first: the chosen one's handler may throw, and may look at what was not sent.
    const auto settle = [&](auto& c)
    {
        using type = std::remove_cvref_t<decltype(c)>;
        if constexpr (type::on_channel) {
            if (channel == won) {
                result = position;
            } else if constexpr (may_fail) {
                try {
                    c.not_chosen();
                } catch (...) {
                    failure = std::current_exception();
                }
            } else {
                c.not_chosen();
            }
            ++channel;
        } else if constexpr (detail::is_default<type>) {
            if (won == detail::select_default)
                result = position;
        } else {
            if (won == detail::select_timeout && position == deadline_at)
                result = position;
        }
        ++position;
    };
    (settle(cases), ...);
    position = 0;
    const auto handle = [&](auto& c)
    {
        if (position++ != result)
            return;
        if constexpr (std::remove_cvref_t<decltype(c)>::on_channel)
            c.chosen(core[won].ok);
        else
            detail::call_handler(c.f);
    };
    (handle(cases), ...);
    if constexpr (may_fail)
        if (failure)
            std::rethrow_exception(failure);
    return result;
}

/// Waits for ever.
inline std::size_t select()
{
    detail::park_for_ever();
}

/// A select whose cases are put together at run time. The cases stay for the next wait(); the channels, and values
/// given as rvalues' copies, are kept by the selector. Not thread-safe: one goroutine uses it at a time. Its handlers
/// may use it: add cases, wait(), clear() it and even destroy it.
class selector {
public:
    selector() = default;

    /// Adds a case; its position is the number of cases before it. See the functions of the same names.
    template <class T, class F = detail::no_handler>
    selector& on_recv(receiver<T> c, F f = {})
    {
        detail::check_recv_handler<F, T>();
        return add(std::make_shared<recv_entry<T, F>>(std::move(c), std::move(f)));
    }
    template <class T, class F = detail::no_handler>
    selector& on_recv(const chan<T>& c, F f = {})
    {
        return on_recv(receiver<T>(c), std::move(f));
    }
    /// Each wait() that chooses it sends a copy of `value`. A value that can't be copied is sent once: from then on the
    /// case is never ready.
    template <class T, class V, class F = detail::no_handler>
        requires std::constructible_from<T, V&&>
    selector& on_send(sender<T> c, V&& value, F f = {})
    {
        detail::check_handler<F>();
        return add(std::make_shared<send_entry<T, F>>(std::move(c), T(std::forward<V>(value)), std::move(f)));
    }
    template <class T, class V, class F = detail::no_handler>
        requires std::constructible_from<T, V&&>
    selector& on_send(const chan<T>& c, V&& value, F f = {})
    {
        return on_send(sender<T>(c), std::forward<V>(value), std::move(f));
    }
    template <class Clock, class Duration, class F = detail::no_handler>
    selector& on_deadline(std::chrono::time_point<Clock, Duration> deadline, F f = {})
    {
        detail::check_handler<F>();
        auto made = std::make_shared<timed_entry<F>>(std::move(f));
        made->deadline = detail::deadline_of(deadline);
        return add(std::move(made));
    }
    /// In weft/context.hpp. Throws std::bad_alloc.
    template <class F = detail::no_handler>
    selector& on_done(const context& ctx, F f = {});
    /// Counted from the beginning of each wait().
    template <class Rep, class Period, class F = detail::no_handler>
    selector& on_timeout(std::chrono::duration<Rep, Period> timeout, F f = {})
    {
        detail::check_handler<F>();
        auto made = std::make_shared<timed_entry<F>>(std::move(f));
        made->timeout = detail::saturate(timeout);
        return add(std::move(made));
    }
    /// Throws std::logic_error when there is one already.
    template <class F = detail::no_handler>
    selector& otherwise(F f = {})
    {
        detail::check_handler<F>();
        refuse_second_default();
        add(std::make_shared<timed_entry<F>>(std::move(f)));
        default_at_ = entries_.size() - 1;
        return *this;
    }

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    void clear() noexcept
    {
        entries_.clear();
        default_at_ = none;
    }

    /// As select(); the position of the chosen case. Throws std::bad_alloc, and what copying a value to send throws,
    /// before anything has happened.
    WEFT_API std::size_t wait();

private:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    struct entry {
        clock::time_point deadline = clock::time_point::max();
        std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max();
        bool on_channel = false;
        entry() = default;
        entry(const entry&) = delete;
        entry& operator=(const entry&) = delete;
        virtual ~entry() = default;
        virtual void describe(detail::select_case&) {}
        virtual void not_chosen() {}
        virtual void chosen(bool ok) = 0;
    };
    template <class T, class F>
    struct recv_entry : entry {
        receiver<T> c;
        F f;
        std::optional<detail::arrival<T>> in;
        recv_entry(receiver<T> from, F handler) : c(std::move(from)), f(std::move(handler)) { this->on_channel = true; }
        void describe(detail::select_case& sc) override
        {
            in.emplace();
            sc = {detail::select_access::core(c), in->room(), detail::select_case::kind::recv, false};
        }
        void chosen(bool ok) override { detail::call_recv_handler<T>(f, ok ? in->take() : std::nullopt); }
    };
    template <class T, class F>
    struct send_entry : entry {
        sender<T> c;
        T value;
        F f;
        std::optional<T> copy;
        std::optional<detail::departure<T>> out;
        bool spent = false;
        send_entry(sender<T> to, T v, F handler) : c(std::move(to)), value(std::move(v)), f(std::move(handler))
        {
            this->on_channel = true;
        }
        void describe(detail::select_case& sc) override
        {
            if (spent)
                return;
            if constexpr (std::copy_constructible<T>)
                out.emplace(copy.emplace(value));
            else
                out.emplace(value);
            sc = {detail::select_access::core(c), out->room(), detail::select_case::kind::send, false};
        }
        void not_chosen() override
        {
            if (!spent)
                out->not_sent();
        }
        void chosen(bool ok) override
        {
            if (!ok) {
                out->not_sent();
                detail::throw_closed_channel("weft::selector: a send on a closed channel");
            }
            out->sent();
            spent = !std::copy_constructible<T>;
            detail::call_handler(f);
        }
    };
    /// A deadline, a timeout, or the default case.
    template <class F>
    struct timed_entry : entry {
        F f;
        explicit timed_entry(F handler) : f(std::move(handler)) {}
        void chosen(bool) override { detail::call_handler(f); }
    };

    selector& add(std::shared_ptr<entry> made)
    {
        entries_.push_back(std::move(made));
        return *this;
    }
    WEFT_API void refuse_second_default() const;

    std::vector<std::shared_ptr<entry>> entries_;  ///< shared with the wait() that runs a handler
    std::size_t default_at_ = none;
};

}  // namespace weft
