// Channels: typed queues by which goroutines and threads hand values over.
#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "weft/clock.hpp"
#include "weft/detail/chan.hpp"
#include "weft/detail/deadline.hpp"

namespace weft {

/// A send on a closed channel, or a close of a closed or nil one.
class WEFT_API closed_channel : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
    closed_channel(const closed_channel&) = default;
    closed_channel& operator=(const closed_channel&) = default;
    ~closed_channel() override;
};

template <class T>
class chan;
template <class T>
class sender;
template <class T>
class receiver;
template <class T>
class chan_iterator;

namespace detail {

/// What a channel of what can't be an element is.
template <class T>
struct chan_of_no_element {
    static_assert(chan_element_type<T>,
                  "weft::chan<T>: T must be an object type, neither const nor volatile, and neither a reference nor an "
                  "array nor void; send an empty struct where there is nothing to say");
    template <class... Args>
    explicit(sizeof...(Args) != 1) chan_of_no_element(Args&&...) noexcept
    {
    }
};

/// What chan, sender and receiver have in common.
template <class T>
class chan_end {
public:
    /// Elements in the buffer; 0 for a nil channel. A snapshot.
    [[nodiscard]] std::size_t size() const noexcept { return get() == nullptr ? 0 : chan_size(get()); }
    /// Room of the buffer: 0 for an unbuffered or nil channel.
    [[nodiscard]] std::size_t capacity() const noexcept { return get() == nullptr ? 0 : chan_capacity(get()); }
    /// Whether it has been closed; elements may still be in the buffer. False for a nil channel.
    [[nodiscard]] bool closed() const noexcept { return get() != nullptr && chan_closed(get()); }
    /// Whether it is not nil.
    explicit operator bool() const noexcept { return get() != nullptr; }

protected:
    friend struct select_access;
    constexpr chan_end() noexcept = default;
    explicit chan_end(chan_handle h) noexcept : handle_(std::move(h)) {}
    [[nodiscard]] chan_shared* get() const noexcept { return handle_.get(); }

    chan_handle handle_;
};

/// What can be done at the sending end.
template <class T, class Base = chan_end<T>>
class sending : public Base {
public:
    /// Sends `v`; waits until a receiver takes it or the buffer has room. Throws closed_channel if the channel is
    /// closed or becomes so while waiting; `v` is destroyed then.
    void send(T v) const
    {
        if (this->get() == nullptr)
            park_for_ever();
        departure<T> out(v);
        if (!chan_send(this->get(), out.room())) [[unlikely]]
            throw_closed_channel("weft::chan::send: the channel is closed");
        out.sent();
    }
    /// Does not wait: success, full or closed. `v` is moved from only on success.
    [[nodiscard]] chan_status try_send(T& v) const
    {
        if (this->get() == nullptr)
            return chan_status::full;
        if constexpr (boxed<T>)
            if (const chan_status now = chan_can_send(this->get()); now != chan_status::success)
                return now;
        departure<T> out(v);
        return out.settle(chan_try_send(this->get(), out.room()));
    }
    [[nodiscard]] chan_status try_send(T&& v) const { return try_send(v); }
    /// Waits until `deadline` at the most: success, timeout or closed. A deadline that has passed makes it an attempt:
    /// timeout in place of full. `v` is moved from only on success. A point of another clock is one of weft::clock's by
    /// what both say at the call.
    template <class Clock, class Duration>
    [[nodiscard]] chan_status send_until(T& v, std::chrono::time_point<Clock, Duration> deadline) const
    {
        const clock::time_point until = deadline_of(deadline);
        if (this->get() == nullptr) {
            sleep_until(until);
            return chan_status::timeout;
        }
        departure<T> out(v);
        return out.settle(chan_send_until(this->get(), out.room(), until.time_since_epoch()));
    }
    template <class Clock, class Duration>
    [[nodiscard]] chan_status send_until(T&& v, std::chrono::time_point<Clock, Duration> deadline) const
    {
        return send_until(v, deadline);
    }
    /// The same for at most `timeout`.
    template <class Rep, class Period>
    [[nodiscard]] chan_status send_for(T& v, std::chrono::duration<Rep, Period> timeout) const
    {
        return send_until(v, deadline_after(timeout));
    }
    template <class Rep, class Period>
    [[nodiscard]] chan_status send_for(T&& v, std::chrono::duration<Rep, Period> timeout) const
    {
        return send_until(v, deadline_after(timeout));
    }
    /// Closes it: receivers drain the buffer and then get nullopt, senders closed_channel, those that wait as well.
    /// Throws closed_channel if it is closed already, or nil.
    void close() const
    {
        if (this->get() == nullptr)
            throw_closed_channel("weft::chan::close: the channel is nil");
        if (!chan_close(this->get()))
            throw_closed_channel("weft::chan::close: the channel is closed already");
    }

protected:
    using Base::Base;
};

/// What can be done at the receiving end.
template <class T>
class receiving : public chan_end<T> {
public:
    /// Receives; waits until there is an element. nullopt only when the channel is closed and drained.
    [[nodiscard]] std::optional<T> recv() const
    {
        if (this->get() == nullptr)
            park_for_ever();
        arrival<T> in;
        if (!chan_recv(this->get(), in.room()))
            return std::nullopt;
        return in.take();
    }
    /// Does not wait: success, empty or closed. `out` is assigned only on success.
    [[nodiscard]] chan_status try_recv(T& out) const
    {
        if (this->get() == nullptr)
            return chan_status::empty;
        arrival<T> in;
        const chan_status s = chan_try_recv(this->get(), in.room());
        if (s == chan_status::success)
            in.take(out);
        return s;
    }
    /// Waits until `deadline`, as in send_until(), at the most: success, timeout or closed. `out` is assigned only on
    /// success.
    template <class Clock, class Duration>
    [[nodiscard]] chan_status recv_until(T& out, std::chrono::time_point<Clock, Duration> deadline) const
    {
        const clock::time_point until = deadline_of(deadline);
        if (this->get() == nullptr) {
            sleep_until(until);
            return chan_status::timeout;
        }
        arrival<T> in;
        const chan_status s = chan_recv_until(this->get(), in.room(), until.time_since_epoch());
        if (s == chan_status::success)
            in.take(out);
        return s;
    }
    /// The same for at most `timeout`.
    template <class Rep, class Period>
    [[nodiscard]] chan_status recv_for(T& out, std::chrono::duration<Rep, Period> timeout) const
    {
        return recv_until(out, deadline_after(timeout));
    }

    /// Receives until the channel is closed and drained: for (T v : c).
    [[nodiscard]] chan_iterator<T> begin() const { return chan_iterator<T>(*this); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

protected:
    using chan_end<T>::chan_end;
};

}  // namespace detail

/// What a range-for over a channel walks with: each step receives. Movable only.
template <class T>
class chan_iterator {
public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;

    chan_iterator() = default;
    explicit chan_iterator(detail::receiving<T> from) : from_(std::move(from)), now_(from_.recv()) {}
    chan_iterator(chan_iterator&&) = default;
    chan_iterator& operator=(chan_iterator&&) = default;
    chan_iterator(const chan_iterator&) = delete;
    chan_iterator& operator=(const chan_iterator&) = delete;
    ~chan_iterator() = default;

    /// The received element, to be moved from.
    [[nodiscard]] T&& operator*() const { return std::move(*now_); }
    chan_iterator& operator++()
    {
        now_.reset();
        if (std::optional<T> next = from_.recv())
            now_.emplace(std::move(*next));
        return *this;
    }
    void operator++(int) { ++*this; }
    [[nodiscard]] friend bool operator==(const chan_iterator& i, std::default_sentinel_t)
    {
        return !i.now_.has_value();
    }

private:
    detail::receiving<T> from_;
    mutable std::optional<T> now_;
};

template <class T>
    requires(!detail::chan_element_type<T>)
class chan<T> : public detail::chan_of_no_element<T> {
    using detail::chan_of_no_element<T>::chan_of_no_element;
};
template <class T>
    requires(!detail::chan_element_type<T>)
class sender<T> : public detail::chan_of_no_element<T> {
    using detail::chan_of_no_element<T>::chan_of_no_element;
};
template <class T>
    requires(!detail::chan_element_type<T>)
class receiver<T> : public detail::chan_of_no_element<T> {
    using detail::chan_of_no_element<T>::chan_of_no_element;
};

/// The sending end of a channel. Copies share it.
template <class T>
class sender : public detail::sending<T> {
    using base_type = detail::sending<T>;

public:
    using value_type = T;
    /// Nil.
    constexpr sender() noexcept = default;
    constexpr sender(std::nullptr_t) noexcept {}
    sender(const chan<T>& c) noexcept : base_type(c.handle_) {}

    [[nodiscard]] friend bool operator==(const sender& a, const sender& b) noexcept { return a.get() == b.get(); }
};

/// The receiving end of a channel. Copies share it.
template <class T>
class receiver : public detail::receiving<T> {
    using base_type = detail::receiving<T>;

public:
    using value_type = T;
    /// Nil.
    constexpr receiver() noexcept = default;
    constexpr receiver(std::nullptr_t) noexcept {}
    receiver(const chan<T>& c) noexcept : base_type(c.handle_) {}

    [[nodiscard]] friend bool operator==(const receiver& a, const receiver& b) noexcept { return a.get() == b.get(); }
};

/// A channel, unbuffered or with a buffer of fixed capacity; nil when made from nullptr. A handle: copies share the
/// channel, which lives as long as one of them. All members may be called from any goroutine or plain thread at any
/// time, through const handles too; a call that has to wait parks the goroutine.
///
/// Values and waiters are first in, first out. A send happens before the matching receive completes, a close before a
/// receive that returns because of it, the k-th receive on a channel of capacity C before the (k+C)-th send completes.
///
/// `T` may be move-only, and may contain channels of `T`; its destructor must not throw. A move that is noexcept must
/// not use weft or block: it is done while the channel is locked. No destructor runs then. A receive from a buffer
/// destroys what the move has left of the element there, and frees its place after that.
///
/// If moving it may throw, each element travels in a heap allocation: a send that throws has then sent nothing and left
/// the value where it was, and an element whose move out throws is lost to the receiver, not to the channel. A value
/// that can't be copied is moved back when it was not sent: if that throws, it is lost, and the exception leaves the
/// call unless another one does.
///
/// Elements that are left in a channel are destroyed with its last handle. Where that drops other channels with
/// elements, theirs follow one after the other, before that handle's destructor returns.
template <class T>
class chan : public detail::sending<T, detail::receiving<T>> {
    using base_type = detail::sending<T, detail::receiving<T>>;

public:
    using value_type = T;

    /// Unbuffered. Throws std::bad_alloc.
    chan() : base_type(detail::chan_handle(detail::chan_new(detail::element_of<T>, 0))) {}
    /// With a buffer for `capacity` elements; 0: unbuffered. Throws std::invalid_argument for a negative capacity,
    /// std::length_error for more than 2^31 - 1 elements or more bytes than the address space has, std::bad_alloc.
    template <std::integral N>
    explicit chan(N capacity)
        : base_type(detail::chan_handle(detail::chan_new(detail::element_of<T>, checked(capacity))))
    {
    }
    /// Nil: blocks for ever, and is never ready in a select.
    constexpr chan(std::nullptr_t) noexcept {}

    /// Whether both are the same channel.
    [[nodiscard]] friend bool operator==(const chan& a, const chan& b) noexcept { return a.get() == b.get(); }

private:
    friend class sender<T>;
    friend class receiver<T>;
    template <class N>
    static std::size_t checked(N capacity)
    {
        if constexpr (std::is_signed_v<N>)
            if (capacity < 0)
                detail::throw_bad_capacity(static_cast<long long>(capacity));
        return static_cast<std::size_t>(capacity);
    }
};

}  // namespace weft
