// jthread: std::jthread's interface over a goroutine, for porting code.
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <functional>
#include <ostream>
#include <stop_token>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weft/future.hpp"
#include "weft/go.hpp"
#include "weft/runtime.hpp"

namespace weft {

/// A goroutine with the members and meaning of std::jthread: the destructor requests a stop and joins, except while the
/// process exits, when goroutines have stopped already. An exception that leaves the function is a panic. A jthread
/// destroyed by its own goroutine ends the process by std::terminate(), as std::jthread does.
class jthread {
public:
    /// Identifies a jthread while it is joinable; the default id belongs to none.
    class id {
    public:
        id() noexcept = default;
        explicit id(std::uint64_t value) noexcept : value_(value) {}
        friend auto operator<=>(const id&, const id&) noexcept = default;
        friend std::ostream& operator<<(std::ostream& os, const id& i) { return os << i.value_; }

    private:
        friend struct std::hash<id>;
        std::uint64_t value_ = 0;
    };

    jthread() noexcept : stop_(std::nostopstate) {}

    /// Calls f(stop_token, args...) when that is possible, else f(args...), with decayed copies.
    template <class F, class... Args>
        requires(!std::same_as<std::remove_cvref_t<F>, jthread>)
    explicit jthread(F&& f, Args&&... args)
        : stop_(),
          id_(next_id()),
          done_(detail::spawn_result<false>(
              [fn = std::decay_t<F>(std::forward<F>(f)), token = stop_.get_token(),
               bound = std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)]() mutable
              {
                  std::apply(
                      [&](auto&... a)
                      {
                          if constexpr (std::is_invocable_v<std::decay_t<F>, std::stop_token, std::decay_t<Args>...>)
                              std::invoke(std::move(fn), std::move(token), std::move(a)...);
                          else
                              std::invoke(std::move(fn), std::move(a)...);
                      },
                      bound);
              },
              nullptr))
    {
    }

    jthread(jthread&&) noexcept = default;
    jthread& operator=(jthread&& other) noexcept
    {
        if (this != &other) {
            finish();
            stop_ = std::move(other.stop_);
            id_ = std::exchange(other.id_, id());
            done_ = std::move(other.done_);
        }
        return *this;
    }
    ~jthread() { finish(); }

    [[nodiscard]] bool joinable() const noexcept { return done_.valid(); }
    /// Throws std::system_error: invalid_argument when not joinable(), resource_deadlock_would_occur when called by the
    /// jthread's own goroutine.
    void join()
    {
        require_joinable("weft::jthread::join");
        if (done_.of_caller())
            throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur),
                                    "weft::jthread::join");
        done_.wait();
        done_ = {};
    }
    /// Throws std::system_error (invalid_argument) when not joinable().
    void detach()
    {
        require_joinable("weft::jthread::detach");
        done_ = {};
    }
    void swap(jthread& other) noexcept { std::swap(*this, other); }
    friend void swap(jthread& a, jthread& b) noexcept { a.swap(b); }

    [[nodiscard]] id get_id() const noexcept { return joinable() ? id_ : id(); }
    [[nodiscard]] std::stop_source get_stop_source() noexcept { return stop_; }
    [[nodiscard]] std::stop_token get_stop_token() const noexcept { return stop_.get_token(); }
    bool request_stop() noexcept { return stop_.request_stop(); }
    /// The number of Ps.
    [[nodiscard]] static unsigned hardware_concurrency() { return static_cast<unsigned>(max_procs()); }

private:
    WEFT_API static id next_id() noexcept;
    void finish() noexcept
    {
        if (joinable()) {
            request_stop();
            if (detail::runtime_stopped())
                done_ = {};  // while the process exits nothing would ever end the wait
            else
                join();
        }
    }
    void require_joinable(const char* where) const
    {
        if (!joinable())
            throw std::system_error(std::make_error_code(std::errc::invalid_argument), where);
    }

    std::stop_source stop_;
    id id_;
    future<void> done_;
};

}  // namespace weft

template <>
struct std::hash<weft::jthread::id> {
    std::size_t operator()(const weft::jthread::id& i) const noexcept { return std::hash<std::uint64_t>()(i.value_); }
};
