// Testing concurrent code: a clock that does not wait, and schedules that are drawn and can be repeated.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "weft/detail/config.hpp"

namespace weft::testing {

/// All goroutines of a bubble wait for each other, and for no point in time. what() says who waits for what, a line
/// each. They never go on, and their stacks are not unwound: what only they know of is leaked. What they waited on may
/// be destroyed but not used any more.
class WEFT_API deadlock : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
    deadlock(const deadlock&) = default;
    deadlock& operator=(const deadlock&) = default;
    ~deadlock() override;
};

/// What decides all choices of an exploration.
struct seed {
    std::uint64_t value = 0;
    friend bool operator==(seed, seed) = default;
};

/// One of the runs of explore(n, f) has failed. The exception that has left it, or deadlock, is nested in this one
/// (std::rethrow_if_nested).
class WEFT_API exploration_failed : public std::runtime_error, public std::nested_exception {
public:
    /// In a handler of what is to be nested.
    exploration_failed(const std::string& what, seed at) : std::runtime_error(what), at_(at) {}
    exploration_failed(const exploration_failed&) = default;
    exploration_failed& operator=(const exploration_failed&) = default;
    ~exploration_failed() override;

    /// explore(where(), f) repeats the run that has failed.
    [[nodiscard]] seed where() const noexcept { return at_; }

private:
    seed at_;
};

namespace detail {

/// Calls body(argument) in a bubble; `at`: explored.
WEFT_API void run_bubble(void (*body)(void* argument), void* argument, const seed* at);
WEFT_API void explore_many(int runs, void (*body)(void* argument), void* argument);

template <class F>
void call(void* f)
{
    (*static_cast<F*>(f))();
}

}  // namespace detail

/// Runs `f` as a goroutine in a *bubble*, and returns when it and all goroutines that were started inside have ended.
/// In a bubble weft::clock, and so every sleep, timed wait, timer and context with a deadline, follows a clock that
/// stands still while anybody runs; when all are blocked it jumps to the next deadline. It begins at the same moment
/// each time. A timer belongs to the bubble in which it was made: stop() and reset() elsewhere throw std::logic_error,
/// and what is still armed when the last goroutine has ended does not fire. A ticker that runs is a deadline: beside it
/// there is no deadlock.
///
/// Blocked is who waits in weft for another goroutine of the bubble or for the clock, in a mutex too (other than in
/// Go's synctest). So what the goroutines of a bubble wait for must not be used outside of it meanwhile. I/O,
/// blocking() and calls that block the thread are not "blocked": the clock waits for them. Other clocks than
/// weft::clock are real.
///
/// An exception that leaves `f`, or any goroutine of the bubble, leaves bubble() once all have ended; the first one, if
/// there are several. Throws testing::deadlock when all are blocked and no deadline is left, std::logic_error inside of
/// another bubble. Callable from goroutines and plain threads, several at the same time.
template <class F>
    requires std::invocable<std::remove_reference_t<F>&>
void bubble(F&& f)
{
    auto body = [&f] { std::invoke(f); };
    detail::run_bubble(&detail::call<decltype(body)>, &body, nullptr);
}

/// Waits until all other goroutines of the bubble are blocked: what they could do without time passing is done. Throws
/// std::logic_error outside of a bubble.
WEFT_API void settle();

/// Runs `f` as bubble() does, with its goroutines running one at a time in an order that is drawn from `at`: whenever
/// one parks, readies another, yields, starts another, locks or unlocks a weft::mutex, or uses a channel, any runnable
/// one may be the next. The same seed gives the same order each time, whatever the number of Ps, if `f` does not depend
/// on something else that varies. Throws what bubble() throws.
template <class F>
    requires std::invocable<std::remove_reference_t<F>&>
void explore(seed at, F&& f)
{
    auto body = [&f] { std::invoke(f); };
    detail::run_bubble(&detail::call<decltype(body)>, &body, &at);
}

/// Runs `f` under `runs` seeds, until it fails: an exception leaves it or another goroutine of it, or there is a
/// deadlock. That is reported on stderr with the seed, and thrown as exploration_failed. The seeds are derived from the
/// environment's WEFT_SEED (a number) if there is one, else from one that is new each time; it is written to stderr
/// first, for the runs that end the process. Throws std::invalid_argument when `runs` is below 1, or for a WEFT_SEED
/// that is no number.
template <class F>
    requires std::invocable<std::remove_reference_t<F>&>
void explore(int runs, F&& f)
{
    auto body = [&f] { std::invoke(f); };
    detail::explore_many(runs, &detail::call<decltype(body)>, &body);
}

/// Hibernates every goroutine that is parked now, as options::hibernate_after does after a while: for tests of code
/// that hands out pointers into its stacks. Not those of bubbles, pinned ones and those with attr::hibernate off.
/// Returns how many stacks were taken away: 0 where stats().hibernation_off is not null.
WEFT_API std::size_t hibernate_parked();

}  // namespace weft::testing
