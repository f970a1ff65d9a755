// local: a variable of which each goroutine has its own.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "weft/detail/config.hpp"

namespace weft {

namespace detail {

/// Where the values of one variable are found, in every goroutine.
struct local_key {
    std::uint32_t index;  ///< of the goroutine's table; reused
    std::uint64_t id;     ///< never reused
};
[[nodiscard]] WEFT_API local_key local_new_key();
WEFT_API void local_drop_key(const local_key& key) noexcept;
/// The caller's value, or null.
[[nodiscard]] WEFT_API void* local_find(const local_key& key) noexcept;
/// Makes room for a value, so that local_put() can't fail. Throws std::bad_alloc.
WEFT_API void local_reserve(const local_key& key);
/// `destroy(value)` is called when the caller ends.
WEFT_API void local_put(const local_key& key, void* value, void (*destroy)(void*)) noexcept;
/// Takes the caller's value out without destroying it; null if there is none.
[[nodiscard]] WEFT_API void* local_take(const local_key& key) noexcept;

}  // namespace detail

/// A variable of which each goroutine has its own, and each plain thread that uses it. Nothing is inherited: a new
/// goroutine begins without values. Access takes constant time; a value is made when it is first asked for.
///
/// Values are destroyed when their goroutine or thread ends, the youngest first, before anybody who waits for that end
/// goes on. Their destructors may use all of weft, other locals too: values made meanwhile are destroyed in another
/// round, of which there are four. The variable itself, mostly a static, may go away before its values do. Not for
/// std::thread's end: values of a plain thread are destroyed with its thread_local objects.
///
/// A reference to a value is good in the goroutine that got it alone, until its end.
template <class T>
class local {
    static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>);

public:
    /// Values begin as T(). Throws std::bad_alloc.
    local()
        requires std::default_initializable<T>
        : key_(detail::local_new_key())
    {
    }
    /// Values begin as what `make()` returns, which is called in the goroutine that asks, perhaps by several at the
    /// same time. Throws std::bad_alloc and what copying or moving `make` throws.
    template <class F>
        requires std::is_invocable_r_v<T, const std::decay_t<F>&> && (!std::same_as<std::decay_t<F>, local>)
    explicit local(F&& make) : make_(std::forward<F>(make)), key_(detail::local_new_key())
    {
    }
    local(const local&) = delete;
    local& operator=(const local&) = delete;
    /// Values that are there live on until their goroutines end.
    ~local() { detail::local_drop_key(key_); }

    /// The caller's value, made if there is none. Throws std::bad_alloc and what making it throws; there is none then.
    [[nodiscard]] T& get() const
    {
        if (void* const there = detail::local_find(key_); there != nullptr) [[likely]]
            return *static_cast<T*>(there);
        return make();
    }
    [[nodiscard]] T& operator*() const { return get(); }
    [[nodiscard]] T* operator->() const { return std::addressof(get()); }
    /// The caller's value if it has been made, else null.
    [[nodiscard]] T* find() const noexcept { return static_cast<T*>(detail::local_find(key_)); }
    /// Destroys the caller's value, if there is one; the next get() makes a new one.
    void reset() { delete static_cast<T*>(detail::local_take(key_)); }

private:
    WEFT_NOINLINE T& make() const
    {
        std::unique_ptr<T> made(make_ ? new T(make_()) : fresh());
        if (T* const there = find(); there != nullptr)
            return *there;  // what has made it has used it as well
        detail::local_reserve(key_);
        detail::local_put(key_, made.get(), [](void* v) { delete static_cast<T*>(v); });
        return *made.release();
    }
    static T* fresh()
    {
        if constexpr (std::default_initializable<T>)
            return new T();
        else
            return nullptr;  // then there is always a make_
    }

    std::function<T()> make_;
    detail::local_key key_;
};

}  // namespace weft
