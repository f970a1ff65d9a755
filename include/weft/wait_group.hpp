// Joining: waiting for a number of things to finish.
#pragma once

#include <chrono>
#include <concepts>
#include <functional>
#include <system_error>
#include <type_traits>
#include <utility>

#include "weft/detail/countdown.hpp"
#include "weft/go.hpp"

namespace weft {

/// Waits for a number of things to finish. Eight bytes, constant-initialised. Goroutines and plain threads, in any mix.
class wait_group {
public:
    constexpr wait_group() noexcept = default;
    wait_group(const wait_group&) = delete;
    wait_group& operator=(const wait_group&) = delete;
    /// A counter that is not zero is a panic: goroutines would use what is gone. Not at the end of the process, nor for
    /// static ones.
    ~wait_group()
    {
        if (!left_.zero()) [[unlikely]]
            left_.abandon();
    }

    /// Adds `n`, which may be negative, to the counter; at zero all waiters wake. Throws std::logic_error, and leaves
    /// the counter as it was, if it would become negative or exceed 2^31-1. A call that makes it positive again must
    /// come after wait() has returned.
    void add(int n = 1) { left_.add(n, owner); }
    /// add(-1).
    void done() { add(-1); }
    /// Parks until the counter is zero.
    void wait()
    {
        if (!left_.zero())
            (void)left_.wait_slow({}, owner);
    }
    /// wait() for at most `timeout`; false: the counter is not zero yet.
    template <class Rep, class Period>
    [[nodiscard]] bool wait_for(const std::chrono::duration<Rep, Period>& timeout)
    {
        return left_.zero() || wait_until(detail::deadline_after(timeout));
    }
    /// wait() until `deadline` at the latest; false: the counter is not zero yet.
    template <class Clock, class Duration>
    [[nodiscard]] bool wait_until(const std::chrono::time_point<Clock, Duration>& deadline)
    {
        return left_.zero() ||
               detail::bounded(deadline, [this](detail::wait_bound b) { return left_.wait_slow(b, owner); });
    }
    /// wait(), unless `ctx` ends before: then returns ctx.err(), and the counter may not be zero.
    [[nodiscard]] std::error_code wait(const context& ctx)
    {
        return detail::unless_ended(
            ctx, [this] { return left_.zero(); }, [this](detail::wait_bound b) { return left_.wait_slow(b, owner); });
    }
    /// add(1), then a goroutine that calls f() and, when what `f` captured and the goroutine's locals are gone, done().
    template <class F>
        requires std::invocable<std::decay_t<F>>
    void go(F&& f)
    {
        add(1);
        detail::spawn_joined<member>(*this, std::forward<F>(f));
    }
    /// go(f) with attributes. Throws std::invalid_argument for attributes out of range; nothing was started then.
    template <class F>
        requires std::invocable<std::decay_t<F>>
    void go(const attr& attributes, F&& f)
    {
        add(1);
        detail::spawn_joined<member>(*this, std::forward<F>(f), &attributes);
    }

private:
    struct member {
        template <class F>
        static void run(wait_group&, F&& f)
        {
            std::invoke(std::forward<F>(f));
        }
        static void finish(wait_group& self) { self.done(); }
    };

    static constexpr auto owner = detail::countdown_owner::wait_group;
    detail::countdown left_;
};

}  // namespace weft
