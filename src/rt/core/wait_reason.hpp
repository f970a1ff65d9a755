// Why a goroutine is parked: for reports, and for what may be concluded from it.
#pragma once

#include <cstdint>

namespace weft::rt {

enum class wait_reason : std::uint8_t {
    none,
    future,
    mutex,
    wait_group,
    sleep,
    locked,
    chan_send,
    chan_recv,
    select,
    shared_mutex,
    condition_variable,
    semaphore,
    latch,
    barrier,
    once,
    group,
    context,
    for_ever,  ///< on a nil channel, or in a select without cases
    settle,    ///< testing::settle()
    bubble,    ///< testing::bubble(), for the goroutines of the bubble
    io,        ///< the kernel
};

/// What of g::why is the reason; the rest are marks.
inline constexpr std::uint8_t wait_reason_bits = 0x1f;

/// Set in g::why of a goroutine that was seen waiting (rt/report/dump.hpp); its next park takes it away.
inline constexpr std::uint8_t seen_waiting = 0x80;
[[nodiscard]] constexpr bool was_seen(wait_reason why) noexcept
{
    return (static_cast<std::uint8_t>(why) & seen_waiting) != 0;
}
[[nodiscard]] constexpr wait_reason mark_seen(wait_reason why) noexcept
{
    return static_cast<wait_reason>(static_cast<std::uint8_t>(why) | seen_waiting);
}
[[nodiscard]] constexpr wait_reason unmarked(wait_reason why) noexcept
{
    return static_cast<wait_reason>(static_cast<std::uint8_t>(why) & wait_reason_bits);
}

/// Whether something that is neither a goroutine nor a thread of this process may end such a wait.
[[nodiscard]] constexpr bool ends_from_outside(wait_reason why) noexcept
{
    return unmarked(why) == wait_reason::io;
}

/// Whether a goroutine of a bubble that waits like this waits for another one of the bubble, or for the bubble's clock.
/// That goes for mutexes too (Go's synctest takes them for held by somebody outside): what the goroutines of a bubble
/// wait for must be theirs.
[[nodiscard]] constexpr bool is_durable(wait_reason why) noexcept
{
    const wait_reason plain = unmarked(why);
    return plain != wait_reason::none && plain != wait_reason::bubble && plain != wait_reason::io;
}

/// As reports have it.
[[nodiscard]] constexpr const char* to_text(wait_reason why) noexcept
{
    switch (unmarked(why)) {
        case wait_reason::none:
            break;
        case wait_reason::future:
            return "future";
        case wait_reason::mutex:
            return "mutex";
        case wait_reason::wait_group:
            return "wait_group";
        case wait_reason::sleep:
            return "sleep";
        case wait_reason::locked:
            return "its thread";
        case wait_reason::chan_send:
            return "channel send";
        case wait_reason::chan_recv:
            return "channel receive";
        case wait_reason::select:
            return "select";
        case wait_reason::shared_mutex:
            return "shared_mutex";
        case wait_reason::condition_variable:
            return "condition_variable";
        case wait_reason::semaphore:
            return "semaphore";
        case wait_reason::latch:
            return "latch";
        case wait_reason::barrier:
            return "barrier";
        case wait_reason::once:
            return "once";
        case wait_reason::group:
            return "group";
        case wait_reason::context:
            return "context";
        case wait_reason::for_ever:
            return "nil channel or empty select, for ever";
        case wait_reason::settle:
            return "testing::settle";
        case wait_reason::io:
            return "I/O";
        case wait_reason::bubble:
            return "testing::bubble";
    }
    return "unknown";
}

}  // namespace weft::rt
