// Channels and select (src/chan; docs/design/channels.md, select.md): what is sent arrives once, nobody sleeps who
// could go on, and nobody touches a wait that has ended.
//
// All of it is the shipped code, over the modelled waist. Elements are plain<int>, so that a value which is moved
// without order is a race.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

// Before select.cpp, which names what these two have in common.
#include "chan/chan.cpp"
#include "chan/select.cpp"

namespace {

using namespace weft::model;
using weft::chan_status;
using weft::chans::core;
using weft::detail::select_case;
namespace detail = weft::detail;

using element = plain<int>;
constexpr std::chrono::nanoseconds soon{2};

constexpr detail::chan_element described{sizeof(element), alignof(element), [](void* to, void* from) noexcept
                                         { static_cast<element*>(to)->set(static_cast<element*>(from)->get()); },
                                         nullptr};

/// An element that leaves something behind when it is moved out, which is destroyed without the lock.
constexpr detail::chan_element leaves_rest{sizeof(element), alignof(element), described.move,
                                           [](void* at) noexcept { static_cast<element*>(at)->set(0); }};

/// A channel with room for some elements, which it may use.
template <std::size_t Places>
struct channel {
    std::array<element, Places> room;
    core c;

    explicit channel(std::uint32_t capacity, const detail::chan_element& of = described)
        : c(of, capacity, reinterpret_cast<std::byte*>(room.data()))
    {
    }
    [[nodiscard]] std::uint64_t fingerprint(const runtime& rt) const noexcept
    {
        std::uint64_t h = 0;
        for (const weft::chans::queue* const q : {&c.receivers, &c.senders}) {
            for (const weft::chans::node* n = q->front(); n != nullptr; n = n->next)
                h = h * 64 + static_cast<std::uint64_t>(rt.thread_of(n->of->who)) * 8 + n->index + 8;
            h = h * 64 + 1;
        }
        for (const weft::chans::leftover* l = c.leaving; l != nullptr; l = l->next)
            h = h * 64 + l->number + 1;
        return h * 4 + static_cast<std::uint64_t>(c.head - c.ring) / sizeof(element);
    }
    void check_quiet() const
    {
        check(c.receivers.empty() && c.senders.empty(), "somebody is queued");
        check(c.leaving == nullptr && c.room == (c.is_closed() ? 0 : c.capacity), "a place is not free");
        check(c.ready.read() % 4 ==
                  ((c.count > 0 || c.is_closed() ? 1U : 0U) | (c.count < c.capacity || c.is_closed() ? 2U : 0U)),
              "the readiness word is wrong at the end");
    }
};

/// Channels and, for each thread, a place to send from and one to receive to.
template <unsigned Channels, std::size_t Places = 1>
struct with_channels : runtime {
    std::array<channel<Places>, Channels> chans;
    std::array<element, 3> out;
    std::array<element, 3> in;
    ghost<int> received{0};

    template <std::size_t... I>
    with_channels(std::uint32_t capacity, const detail::chan_element& of, std::index_sequence<I...>)
        : chans{((void)I, channel<Places>(capacity, of))...}
    {
    }
    explicit with_channels(std::uint32_t capacity = 0, const detail::chan_element& of = described)
        : with_channels(capacity, of, std::make_index_sequence<Channels>())
    {
        for (unsigned i = 0; i < Channels; ++i)
            name(chans[static_cast<std::size_t>(i)], i == 0 ? "A" : "B");
        for (int i = 0; i < 3; ++i) {
            name(out[static_cast<std::size_t>(i)], "out ", i);
            name(in[static_cast<std::size_t>(i)], "in ", i);
        }
    }
    std::uint64_t fingerprint() const noexcept
    {
        std::uint64_t h = 0;
        for (const channel<Places>& c : chans)
            h = h * 0x9e3779b97f4a7c15U + c.fingerprint(*this);
        return h;
    }
    core& at(int i) { return chans[static_cast<std::size_t>(i)].c; }
    element& out_of(int thread, int value)
    {
        element& e = out[static_cast<std::size_t>(thread)];
        e.set(value);
        return e;
    }
    element& in_of(int thread) { return in[static_cast<std::size_t>(thread)]; }

    bool send(int thread, int value, int to = 0) { return detail::chan_send(&at(to), &out_of(thread, value)); }
    /// 0: closed.
    int recv(int thread, int from = 0)
    {
        if (!detail::chan_recv(&at(from), &in_of(thread)))
            return 0;
        return note(in_of(thread).get());
    }
    int note(int value)
    {
        received.set(received.get() * 10 + value);
        return value;
    }
    select_case recv_case(int thread, int from) { return {&at(from), &in_of(thread), select_case::kind::recv, false}; }
    select_case send_case(int thread, int value, int to)
    {
        return {&at(to), &out_of(thread, value), select_case::kind::send, false};
    }
    void check_quiet() const
    {
        for (const channel<Places>& c : chans)
            c.check_quiet();
    }
};

/// One sends, one receives, and one closes. What the sender thinks it sent has arrived, or is in the buffer.
struct hand_over_with_close : with_channels<1> {
    static constexpr int threads = 3;
    static const char* thread_name(int i) { return i == 0 ? "sender" : i == 1 ? "receiver" : "closer"; }
    using with_channels::with_channels;
    ghost<bool> sent{false};
    void run(int thread)
    {
        if (thread == 0) {
            sent.set(send(0, 7));
        } else if (thread == 1) {
            recv(1);
        } else {
            check(detail::chan_close(&at(0)), "closed already");
        }
    }
    void end()
    {
        check_quiet();
        const int there = (received.get() == 7 ? 1 : 0) + static_cast<int>(at(0).count);
        check(there == (sent.get() ? 1 : 0), "lost or doubled");
        check(received.get() == 7 || received.get() == 0, "a wrong value");
    }
};

TEST(model_chan, hand_over_with_close)
{
    for (const std::uint32_t capacity : {0U, 1U}) {
        EXPECT_EXPLORED(explore<hand_over_with_close>({.preemptions = unbounded}, capacity));
        EXPECT_EXPLORED(explore<hand_over_with_close>({.preemptions = 2, .prune = false}, capacity));
    }
}

/// Two values through one channel to one receiver, who gets them in their order; then it is closed.
struct two_values : with_channels<1> {
    static constexpr int threads = 2;
    using with_channels::with_channels;
    void run(int thread)
    {
        if (thread == 0) {
            check(send(0, 1) && send(0, 2), "not sent");
            check(detail::chan_close(&at(0)), "closed already");
        } else {
            while (recv(1) != 0) {
            }
        }
    }
    void end()
    {
        check_quiet();
        check(received.get() == 12, "lost, doubled or out of order");
    }
};

TEST(model_chan, in_order)
{
    for (const std::uint32_t capacity : {0U, 1U})
        EXPECT_EXPLORED(explore<two_values>({.preemptions = unbounded}, capacity));
}

/// Two senders and a receiver of both.
struct two_senders : with_channels<1> {
    static constexpr int threads = 3;
    using with_channels::with_channels;
    void run(int thread)
    {
        if (thread < 2) {
            check(send(thread, thread + 1), "not sent");
        } else {
            recv(2);
            recv(2);
        }
    }
    void end()
    {
        check_quiet();
        check(received.get() == 12 || received.get() == 21, "lost or doubled");
    }
};

TEST(model_chan, two_senders)
{
    for (const std::uint32_t capacity : {0U, 1U})
        EXPECT_EXPLORED(explore<two_senders>({.preemptions = 3}, capacity));
}

/// Two receivers whose elements leave something behind, and a sender of three that has to wait for their places: in the
/// order of the ring, and for each until what was left there is gone. With a close it may not get one.
struct places_are_cleared : with_channels<1, 2> {
    static constexpr int threads = 4;
    static const char* thread_name(int i) { return i == 0 ? "sender" : i == 3 ? "closer" : "receiver"; }
    const bool closes;
    ghost<int> sent{0};
    places_are_cleared(std::uint32_t capacity, bool close) : with_channels(capacity, leaves_rest), closes(close) {}
    void run(int thread)
    {
        if (thread == 0) {
            for (int value = 1; value <= 3 && send(0, value); ++value)
                sent.set(value);
        } else if (thread == 3) {
            if (closes)
                check(detail::chan_close(&at(0)), "closed already");
        } else {
            recv(thread);
        }
    }
    void end()
    {
        check(closes || sent.get() == 3 || at(0).capacity == 0, "not sent");
        int there = static_cast<int>(at(0).count);
        for (int r = received.get(); r != 0; r /= 10)
            ++there;
        check(there == sent.get(), "lost or doubled");
        check_quiet();
    }
};

TEST(model_chan, places_are_cleared)
{
    for (const std::uint32_t capacity : {1U, 2U}) {
        EXPECT_EXPLORED(explore<places_are_cleared>({.preemptions = 3}, capacity, false));
        EXPECT_EXPLORED(explore<places_are_cleared>({.preemptions = 2}, capacity, true));
    }
}

/// A receive with a deadline against a send without: the value arrives, or it is the sender's still and goes to whoever
/// comes later.
struct timed_receive : with_channels<1> {
    static constexpr int threads = 4;
    static const char* thread_name(int i)
    {
        return i == 0 ? "sender" : i == 1 ? "receiver" : i == 2 ? "second receiver" : "timers";
    }
    ghost<bool> in_time{false};
    timed_receive(std::uint32_t capacity, bool fire) : with_channels(capacity) { timers_fire = fire; }
    void run(int thread)
    {
        if (thread == 3)
            return fire_timers();
        if (thread == 0) {
            check(send(0, 7), "not sent");
            check(detail::chan_close(&at(0)), "closed already");
        } else if (thread == 1) {
            if (detail::chan_recv_until(&at(0), &in_of(1), soon) == chan_status::success)
                note(in_of(1).get());
        } else {
            recv(2);
        }
    }
    void end()
    {
        check_quiet();
        check(received.get() == 7, "lost or doubled");
    }
};

/// A send with a deadline against a receive without, and a close.
struct timed_send : with_channels<1> {
    static constexpr int threads = 3;
    static const char* thread_name(int i) { return i == 0 ? "sender" : i == 1 ? "receiver" : "timers"; }
    ghost<bool> in_time{false};
    timed_send(std::uint32_t capacity, bool fire) : with_channels(capacity) { timers_fire = fire; }
    void run(int thread)
    {
        if (thread == 2)
            return fire_timers();
        if (thread == 0) {
            in_time.set(detail::chan_send_until(&at(0), &out_of(0, 7), soon) == chan_status::success);
            check(detail::chan_close(&at(0)), "closed already");
        } else {
            recv(1);
        }
    }
    void end()
    {
        check_quiet();
        check(received.get() == (in_time.get() ? 7 : 0), "lost or doubled");
    }
};

TEST(model_chan, deadlines)
{
    for (const bool fire : {true, false})
        for (const std::uint32_t capacity : {0U, 1U}) {
            EXPECT_EXPLORED(explore<timed_send>({.preemptions = unbounded}, capacity, fire));
            EXPECT_EXPLORED(explore<timed_receive>({.preemptions = 2}, capacity, fire));
        }
}

/// Each of two selects sends on one channel and receives on the other: they meet, on either of the two.
struct select_meets_select : with_channels<2> {
    static constexpr int threads = 2;
    ghost<int> sends{0};
    const bool crossed;  ///< the cases in the opposite order
    explicit select_meets_select(bool c) : crossed(c) {}
    void run(int thread)
    {
        std::array<select_case, 2> cases{send_case(thread, thread + 1, thread), recv_case(thread, 1 - thread)};
        if (crossed && thread == 1)
            std::swap(cases[0], cases[1]);
        const std::size_t won = detail::select_run(cases, detail::no_deadline, false);
        check(won < 2 && cases[won].ok, "not one of the cases");
        if (cases[won].what == select_case::kind::send)
            sends.set(sends.get() + 1);
        else
            check(note(in_of(thread).get()) == 2 - thread, "a wrong value");
    }
    void end()
    {
        check_quiet();
        check(sends.get() == 1 && (received.get() == 1 || received.get() == 2), "they have not met");
    }
};

TEST(model_select, select_meets_select)
{
    for (const bool crossed : {false, true})
        EXPECT_EXPLORED(explore<select_meets_select>({.preemptions = 4}, crossed));
}

/// A select that receives from two channels, and a sender on each; what the select leaves another receives.
struct select_of_two : with_channels<2> {
    static constexpr int threads = 3;
    using with_channels::with_channels;
    void run(int thread)
    {
        if (thread < 2) {
            check(send(thread, thread + 1, thread), "not sent");
            return;
        }
        std::array<select_case, 2> cases{recv_case(2, 0), recv_case(2, 1)};
        const std::size_t won = detail::select_run(cases, detail::no_deadline, false);
        check(won < 2 && cases[won].ok && in_of(2).get() == static_cast<int>(won) + 1, "a wrong value");
        note(in_of(2).get());
        recv(2, 1 - static_cast<int>(won));
    }
    void end()
    {
        check_quiet();
        check(received.get() == 12 || received.get() == 21, "lost or doubled");
    }
};

TEST(model_select, two_senders)
{
    for (const std::uint32_t capacity : {0U, 1U})
        EXPECT_EXPLORED(explore<select_of_two>({.preemptions = 2}, capacity));
}

/// A select that is won by one channel, by the other, by the close of one or by its deadline, and leaves: nobody
/// touches it then.
struct select_with_deadline : with_channels<2> {
    static constexpr int threads = 4;
    static const char* thread_name(int i)
    {
        return i == 0 ? "user of A" : i == 1 ? "user of B" : i == 2 ? "select" : "timers";
    }
    ghost<int> sent{0};
    explicit select_with_deadline(bool fire) { timers_fire = fire; }
    void run(int thread)
    {
        if (thread == 3)
            return fire_timers();
        if (thread < 2) {
            if (detail::chan_try_send(&at(thread), &out_of(thread, thread + 1)) == chan_status::success)
                sent.set(sent.get() * 10 + thread + 1);
            if (thread == 0)
                check(detail::chan_close(&at(0)), "closed already");
            return;
        }
        std::array<select_case, 2> cases{recv_case(2, 0), recv_case(2, 1)};
        const std::size_t won = detail::select_run(cases, soon, false);
        if (won == detail::select_timeout)
            return;
        check(won == 0 || (won == 1 && cases[1].ok), "not one of the cases");
        if (cases[won].ok)
            note(in_of(2).get());
    }
    void end()
    {
        check_quiet();
        check(received.get() == sent.get(), "lost or doubled");
    }
};

TEST(model_select, deadline)
{
    for (const bool fire : {true, false})
        EXPECT_EXPLORED(explore<select_with_deadline>({.preemptions = 2}, fire));
}

/// A close wakes a select on both sides of the channel, once.
struct close_wakes_select : with_channels<1> {
    static constexpr int threads = 2;
    ghost<bool> woken{false};
    void run(int thread)
    {
        if (thread == 0) {
            check(detail::chan_close(&at(0)), "closed already");
            return;
        }
        std::array<select_case, 2> cases{recv_case(1, 0), send_case(1, 7, 0)};
        const std::size_t won = detail::select_run(cases, detail::no_deadline, false);
        check(won < 2 && !cases[won].ok, "not closed");
        woken.set(true);
    }
    void end()
    {
        check_quiet();
        check(woken.get(), "not woken");
    }
};

TEST(model_select, close)
{
    EXPECT_EXPLORED(explore<close_wakes_select>({.preemptions = unbounded}));
}

/// An element is in A; thread 0 puts one into B and takes the one from A. One of the two channels is ready at any time,
/// so a select of both must choose neither a default nor a deadline that has passed.
struct never_without_a_ready_case : with_channels<2> {
    static constexpr int threads = 2;
    const bool late;
    explicit never_without_a_ready_case(bool by_deadline) : with_channels(1), late(by_deadline)
    {
        weft::rt::g* nobody = nullptr;
        check(at(0).send_now(&out_of(2, 9), nobody) == weft::chans::outcome::done, "not sent");
    }
    void run(int thread)
    {
        if (thread == 0) {
            check(send(0, 1, 1), "not sent");
            (void)detail::chan_try_recv(&at(0), &in_of(0));
            return;
        }
        std::array<select_case, 2> cases{recv_case(1, 0), recv_case(1, 1)};
        const std::size_t won =
            detail::select_run(cases, late ? std::chrono::nanoseconds(0) : detail::no_deadline, !late);
        check(won < 2, "no channel is chosen although another is ready");
    }
    void end() { check_quiet(); }
};

TEST(model_select, the_default_is_never_chosen_wrongly)
{
    for (const bool late : {false, true})
        EXPECT_EXPLORED(explore<never_without_a_ready_case>({.preemptions = unbounded}, late));
}

}  // namespace
