// What the templates of chan.hpp and select.hpp need from the compiled core: channels of elements that it knows by size
// and by how they are moved. Nothing here is for users.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "weft/detail/atomic.hpp"
#include "weft/detail/config.hpp"

namespace weft {

/// How an attempt on a channel ended.
enum class chan_status : std::uint8_t {
    success,
    full,     ///< try_send: nobody waits to receive and the buffer, if any, is full
    empty,    ///< try_recv: nobody waits to send and the buffer, if any, is empty
    closed,   ///< to send: closed; to receive: closed and drained
    timeout,  ///< the deadline has passed
};

namespace detail {

/// What the core knows of an element. It moves elements with the channel locked: so such a move neither throws nor
/// uses weft nor blocks.
struct chan_element {
    std::uint32_t size;  ///< 0: nothing is stored, elements are all the same
    std::uint32_t align;
    void (*move)(void* to, void* from) noexcept;  ///< constructs *to; null: copy the bytes
    void (*destroy)(void* at) noexcept;           ///< null: nothing to do
    bool hides_buffer = false;                    ///< its size and capacity are said to be 0: a timer's channel
};

/// Elements whose move may throw travel in a box on the heap.
template <class T>
inline constexpr bool boxed = !std::is_nothrow_move_constructible_v<T>;
template <class T>
using stored = std::conditional_t<boxed<T>, T*, T>;
/// Elements that are all the same and can be made from nothing.
template <class T>
inline constexpr bool stores_nothing =
    std::is_empty_v<T> && std::is_trivially_copyable_v<T> && std::is_trivially_default_constructible_v<T>;

/// What can be seen of an element whose type is not complete yet.
template <class T>
concept chan_element_type = std::is_object_v<T> && !std::is_const_v<T> && !std::is_volatile_v<T> && !std::is_array_v<T>;
template <class T>
concept chan_value = chan_element_type<T> && std::move_constructible<T>;

/// Here, and not in a channel's class: an element may contain channels of its own type.
template <class T>
constexpr void check_element() noexcept
{
    static_assert(chan_value<T>, "weft::chan<T>: T must have a move constructor, and a destructor that does not throw");
}

template <class T>
constexpr chan_element describe_element() noexcept
{
    check_element<T>();
    chan_element e{sizeof(stored<T>), alignof(stored<T>), nullptr, nullptr};
    if constexpr (boxed<T>) {
        e.destroy = [](void* at) noexcept { delete *static_cast<T**>(at); };
    } else {
        if constexpr (stores_nothing<T>)
            e.size = 0;
        if constexpr (!std::is_trivially_copyable_v<T>)
            e.move = [](void* to, void* from) noexcept { ::new (to) T(std::move(*static_cast<T*>(from))); };
        if constexpr (!std::is_trivially_destructible_v<T>)
            e.destroy = [](void* at) noexcept { static_cast<T*>(at)->~T(); };
    }
    return e;
}
template <class T>
inline constexpr chan_element element_of = describe_element<T>();

/// The part of a channel that handles know of.
struct chan_shared {
    base::atomic<std::uint32_t> refs{1};
};

/// Throws std::bad_alloc, std::length_error.
[[nodiscard]] WEFT_API chan_shared* chan_new(const chan_element& element, std::size_t capacity);
WEFT_API void chan_free(chan_shared* c) noexcept;
// `value` is moved from only when they say success; `to` is constructed only then. The channel is not null.
/// Parks; false: closed.
[[nodiscard]] WEFT_API bool chan_send(chan_shared* c, void* value);
[[nodiscard]] WEFT_API bool chan_recv(chan_shared* c, void* to);
[[nodiscard]] WEFT_API chan_status chan_try_send(chan_shared* c, void* value) noexcept;
[[nodiscard]] WEFT_API chan_status chan_try_recv(chan_shared* c, void* to) noexcept;
[[nodiscard]] WEFT_API chan_status chan_send_until(chan_shared* c, void* value, std::chrono::nanoseconds deadline);
[[nodiscard]] WEFT_API chan_status chan_recv_until(chan_shared* c, void* to, std::chrono::nanoseconds deadline);
/// What try_send would say now, if not success.
[[nodiscard]] WEFT_API chan_status chan_can_send(const chan_shared* c) noexcept;
/// False: it was closed already.
[[nodiscard]] WEFT_API bool chan_close(chan_shared* c) noexcept;
[[nodiscard]] WEFT_API std::size_t chan_size(const chan_shared* c) noexcept;
[[nodiscard]] WEFT_API std::size_t chan_capacity(const chan_shared* c) noexcept;
[[nodiscard]] WEFT_API bool chan_closed(const chan_shared* c) noexcept;
/// Parks for ever.
[[noreturn]] WEFT_API void park_for_ever();
[[noreturn]] WEFT_API void throw_closed_channel(const char* what);
[[noreturn]] WEFT_API void throw_bad_capacity(long long capacity);

/// One case of a select; a null channel is never ready.
struct select_case {
    enum class kind : std::uint32_t { recv = 1, send = 2 };  ///< the core's readiness bits
    chan_shared* c = nullptr;
    void* slot = nullptr;  ///< send: the value, moved from when this case is chosen; recv: constructed then
    kind what = kind::recv;
    bool ok = false;  ///< of the chosen one: false when the channel is closed
};
/// What select_run() says when no channel was chosen.
inline constexpr std::size_t select_default = static_cast<std::size_t>(-1);
inline constexpr std::size_t select_timeout = static_cast<std::size_t>(-2);
inline constexpr std::chrono::nanoseconds no_deadline = std::chrono::nanoseconds::max();
/// Chooses one ready case, each with the same chance, and carries it out; parks until there is one, unless
/// `has_default`, or until the deadline. Throws std::bad_alloc, only with more than 16 cases; nothing has happened
/// then.
[[nodiscard]] WEFT_API std::size_t select_run(std::span<select_case> cases, std::chrono::nanoseconds deadline,
                                              bool has_default);

/// Room for an element on its way out of a channel.
template <class T>
class arrival {
public:
    arrival() noexcept {}
    arrival(const arrival&) = delete;
    arrival& operator=(const arrival&) = delete;
    ~arrival() {}

    [[nodiscard]] void* room() noexcept
    {
        if constexpr (stores_nothing<T>)
            ::new (static_cast<void*>(std::addressof(value_))) T();
        return std::addressof(value_);
    }
    // Once, and only after something has arrived:
    [[nodiscard]] std::optional<T> take()
    {
        const finish at_end{*this};
        return std::optional<T>(std::move(get()));
    }
    void take(T& out)
    {
        const finish at_end{*this};
        out = std::move(get());
    }

private:
    struct finish {
        arrival& self;
        ~finish()
        {
            if constexpr (boxed<T>)
                delete self.value_;
            else
                self.value_.~T();
        }
    };
    [[nodiscard]] T& get() noexcept
    {
        if constexpr (boxed<T>)
            return *value_;
        else
            return value_;
    }
    union {
        stored<T> value_;
    };
};

/// An element on its way into a channel. What is not boxed stays where it is.
template <class T>
class departure {
public:
    explicit departure(T& value) noexcept : value_(std::addressof(value)) {}
    [[nodiscard]] void* room() noexcept { return value_; }
    void sent() noexcept {}
    void not_sent() noexcept {}
    chan_status settle(chan_status how) noexcept { return how; }

private:
    T* value_;
};
/// Copied into the box if that is possible, so that a failed attempt leaves the original as it was; else moved there
/// and, unless it was sent, back.
template <class T>
    requires boxed<T>
class departure<T> {
    static constexpr bool moved = !std::is_copy_constructible_v<T>;

public:
    explicit departure(T& value)
        : original_(std::addressof(value)), box_(std::make_unique<T>(std::move_if_noexcept(value))), raw_(box_.get())
    {
    }
    departure(departure&&) noexcept = default;
    departure& operator=(departure&&) = delete;
    /// Neither sent() nor not_sent(): by an exception, beside which another from moving back does not count.
    ~departure()
    {
        if constexpr (moved && std::is_move_assignable_v<T>) {
            try {
                not_sent();
            } catch (...) {
                return;
            }
        }
    }
    [[nodiscard]] void* room() noexcept { return &raw_; }
    void sent() noexcept { (void)box_.release(); }
    void not_sent() noexcept(!moved)
    {
        if constexpr (moved)
            if (const std::unique_ptr<T> back = std::move(box_))
                *original_ = std::move(*back);
    }
    /// One of the two, by how the attempt has ended.
    chan_status settle(chan_status how)
    {
        if (how == chan_status::success)
            sent();
        else
            not_sent();
        return how;
    }

private:
    T* original_;
    std::unique_ptr<T> box_;
    T* raw_;
};

/// A counted reference to a channel, or null.
class chan_handle {
public:
    constexpr chan_handle() noexcept = default;
    explicit chan_handle(chan_shared* c) noexcept : c_(c) {}
    chan_handle(const chan_handle& other) noexcept : c_(other.c_)
    {
        if (c_ != nullptr)
            c_->refs.fetch_add(1, base::memory_order_relaxed);
    }
    chan_handle(chan_handle&& other) noexcept : c_(std::exchange(other.c_, nullptr)) {}
    chan_handle& operator=(chan_handle other) noexcept
    {
        std::swap(c_, other.c_);
        return *this;
    }
    ~chan_handle()
    {
        if (c_ != nullptr && c_->refs.fetch_sub(1, base::memory_order_acq_rel) == 1)
            chan_free(c_);
    }
    [[nodiscard]] chan_shared* get() const noexcept { return c_; }

private:
    chan_shared* c_ = nullptr;
};

}  // namespace detail
}  // namespace weft
