// weft::base::atomic as the model checker has it: each operation is a scheduling point of the exploration that runs
// (see explore.hpp). Where none runs, it is a plain variable.
//
// Takes the place of the real shim: include/weft/detail/atomic.hpp includes this file by the macro WEFT_MODEL_ATOMIC.
// An atomic is as large as its value, for the sake of code that asserts the layout of its structures: the explorer
// knows variables by their addresses.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

namespace weft::model::detail {

using word = std::uint64_t;
using std::memory_order;

/// Whether model threads, or a program's set-up or end, are under way.
[[nodiscard]] bool active() noexcept;

// Each takes the variable's address. `first` is the value with which it was constructed: one that was constructed
// before the execution began, such as a constant-initialised static, starts each execution with it.
void born(const void* v, word first) noexcept;
void died(const void* v) noexcept;
[[nodiscard]] word load(const void* v, word first, memory_order order, const std::source_location& at) noexcept;
void store(const void* v, word first, word value, memory_order order, const std::source_location& at) noexcept;
// A read-modify-write in two halves, with no other thread's step in between: the value there, then exactly one of the
// two that end it.
[[nodiscard]] word rmw_begin(const void* v, word first, const std::source_location& at) noexcept;
void rmw_write(word value, memory_order order) noexcept;
void rmw_leave(memory_order order) noexcept;

void light_fence() noexcept;

template <class T>
word to_word(T value) noexcept
{
    word w = 0;
    std::memcpy(&w, &value, sizeof value);
    return w;
}

template <class T>
T from_word(word w) noexcept
{
    T value;
    std::memcpy(&value, &w, sizeof value);
    return value;
}

/// The order of the load in a failed compare-exchange for which only one order is given.
constexpr memory_order failure_order(memory_order order) noexcept
{
    if (order == std::memory_order_acq_rel)
        return std::memory_order_acquire;
    return order == std::memory_order_release ? std::memory_order_relaxed : order;
}

template <class T>
struct difference {
    using type = T;
};
template <class T>
struct difference<T*> {
    using type = std::ptrdiff_t;
};

}  // namespace weft::model::detail

namespace weft::base {

using std::memory_order;
using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;

template <class T>
class atomic {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(model::detail::word));
    using order = std::memory_order;
    using place = std::source_location;
    static constexpr order seq_cst = std::memory_order_seq_cst;

public:
    using value_type = T;
    using difference_type = typename model::detail::difference<T>::type;
    static constexpr bool is_always_lock_free = true;

    constexpr atomic() noexcept : atomic(T{}) {}
    constexpr atomic(T value) noexcept
        : value_(value)  // NOLINT(google-explicit-constructor): std::atomic's is the same
    {
        if (!std::is_constant_evaluated())
            model::detail::born(this, first());
    }
    atomic(const atomic&) = delete;
    atomic& operator=(const atomic&) = delete;
    constexpr ~atomic()
    {
        if (!std::is_constant_evaluated())
            model::detail::died(this);
    }

    [[nodiscard]] T load(order o = seq_cst, const place& at = place::current()) const noexcept
    {
        if (!model::detail::active())
            return value_;
        return model::detail::from_word<T>(model::detail::load(this, first(), o, at));
    }
    void store(T value, order o = seq_cst, const place& at = place::current()) noexcept
    {
        if (!model::detail::active())
            value_ = value;
        else
            model::detail::store(this, first(), model::detail::to_word(value), o, at);
    }
    T exchange(T value, order o = seq_cst, const place& at = place::current()) noexcept
    {
        return modify([value](T) { return value; }, o, at);
    }

    bool compare_exchange_strong(T& expected, T desired, order success, order failure,
                                 const place& at = place::current()) noexcept
    {
        using namespace model::detail;
        if (!active()) {
            const bool equal = to_word(value_) == to_word(expected);
            (equal ? value_ : expected) = equal ? desired : value_;
            return equal;
        }
        const word seen = rmw_begin(this, first(), at);
        if (seen == to_word(expected)) {
            rmw_write(to_word(desired), success);
            return true;
        }
        rmw_leave(failure);
        expected = from_word<T>(seen);
        return false;
    }
    bool compare_exchange_strong(T& expected, T desired, order o = seq_cst, const place& at = place::current()) noexcept
    {
        return compare_exchange_strong(expected, desired, o, model::detail::failure_order(o), at);
    }
    /// Never fails for no reason.
    bool compare_exchange_weak(T& expected, T desired, order success, order failure,
                               const place& at = place::current()) noexcept
    {
        return compare_exchange_strong(expected, desired, success, failure, at);
    }
    bool compare_exchange_weak(T& expected, T desired, order o = seq_cst, const place& at = place::current()) noexcept
    {
        return compare_exchange_strong(expected, desired, o, model::detail::failure_order(o), at);
    }

    T fetch_add(difference_type n, order o = seq_cst, const place& at = place::current()) noexcept
    {
        return modify([n](T value) { return static_cast<T>(value + n); }, o, at);
    }
    T fetch_sub(difference_type n, order o = seq_cst, const place& at = place::current()) noexcept
    {
        return modify([n](T value) { return static_cast<T>(value - n); }, o, at);
    }
    T fetch_and(T bits, order o = seq_cst, const place& at = place::current()) noexcept
    {
        return modify([bits](T value) { return static_cast<T>(value & bits); }, o, at);
    }
    T fetch_or(T bits, order o = seq_cst, const place& at = place::current()) noexcept
    {
        return modify([bits](T value) { return static_cast<T>(value | bits); }, o, at);
    }
    T fetch_xor(T bits, order o = seq_cst, const place& at = place::current()) noexcept
    {
        return modify([bits](T value) { return static_cast<T>(value ^ bits); }, o, at);
    }

    operator T() const noexcept { return load(); }  // NOLINT(google-explicit-constructor)
    T operator=(T value) noexcept
    {
        store(value);
        return value;
    }
    T operator++() noexcept { return static_cast<T>(fetch_add(1) + 1); }
    T operator++(int) noexcept { return fetch_add(1); }
    T operator--() noexcept { return static_cast<T>(fetch_sub(1) - 1); }
    T operator--(int) noexcept { return fetch_sub(1); }

private:
    [[nodiscard]] model::detail::word first() const noexcept { return model::detail::to_word(value_); }

    template <class F>
    T modify(F change, order o, const place& at) noexcept
    {
        using namespace model::detail;
        if (!active()) {
            const T before = value_;
            value_ = change(before);
            return before;
        }
        const T before = from_word<T>(rmw_begin(this, first(), at));
        rmw_write(to_word(change(before)), o);
        return before;
    }

    T value_;
};

inline void light_fence() noexcept
{
    model::detail::light_fence();
}
inline bool light_fence_or_unusual() noexcept
{
    light_fence();
    return false;
}
inline bool exploring() noexcept
{
    return false;
}

inline void light_compiler_fence() noexcept
{
    model::detail::light_fence();
}

}  // namespace weft::base
