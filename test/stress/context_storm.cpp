// Trees of contexts that are canceled, time out and are dropped at random, with sleepers, groups, timers and locals in
// them: whoever waits below an end is told, nobody is told without one, and nothing is left behind.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "../support/storm.hpp"

namespace {

using namespace std::chrono_literals;
using weft::test::counted;
using weft::test::rng;

struct depth {
    using type = unsigned;
};

weft::local<std::uint64_t> own_token;

std::chrono::microseconds soon(rng& r)
{
    return std::chrono::microseconds(r.below(300));
}

// Whoever sees its context end sees why, and in all that hangs below it soon.
void check_end(weft::test::storm& storm, const weft::context& ctx)
{
    const std::error_code why = ctx.err();
    storm.check(why == weft::context_errc::canceled || why == weft::context_errc::deadline_exceeded,
                "a context has ended for no reason");
    storm.check(ctx.cause() != nullptr, "an end without a cause");
    storm.check(!ctx.done().recv().has_value(), "the channel of an ended context is open");
    storm.check(weft::with_cancel(ctx).err() == why, "a child of an ended context lives");
    storm.check(weft::test::eventually([&] { return ctx.stop_token().stop_requested(); }), "a stop token was not told");
}

void sleep_below(weft::test::storm& storm, rng& r, const weft::context& ctx)
{
    const auto timeout = r.one_in(3) ? std::chrono::microseconds(1h) : soon(r);
    const auto begin = weft::clock::now();
    if (const std::error_code why = weft::sleep_for(timeout, ctx)) {
        storm.check(why == ctx.err(), "a sleep ends with another error than its context");
        check_end(storm, ctx);
    } else {
        storm.check(weft::clock::now() - begin >= timeout, "a sleep was too short");
    }
}

void select_below(rng& r, const weft::context& ctx)
{
    const weft::chan<int> never_sent;
    const weft::timer t(soon(r));
    (void)weft::select(weft::on_recv(t.channel()), weft::on_done(ctx), weft::on_recv(never_sent),
                       weft::on_timeout(1ms));
}

void reset_a_timer(weft::test::storm& storm, rng& r)
{
    weft::timer t(soon(r));
    for (std::uint64_t i = r.below(5); i > 0; --i) {
        if (r.one_in(2))
            weft::sleep_for(soon(r));
        const auto begin = weft::clock::now();
        const auto timeout = soon(r);
        t.reset(timeout);
        if (r.one_in(3)) {
            t.stop();
            weft::clock::time_point at;
            storm.check(t.channel().try_recv(at) == weft::chan_status::empty, "a value after stop");
        } else if (r.one_in(2)) {
            storm.check(*t.channel().recv() - begin >= timeout, "a value of before a reset");
        }
    }
}

void call_later(weft::test::storm& storm, rng& r)
{
    const auto calls = std::make_shared<std::atomic<int>>(0);
    auto f = weft::after_func(soon(r), [calls] { ++*calls; });
    if (r.one_in(2))
        weft::sleep_for(soon(r));
    if (f.stop())
        storm.check(*calls == 0, "a stopped function was called");
    else
        storm.check(weft::test::eventually([&] { return *calls == 1; }), "a function was not called");
}

// Below a context that ends.
void act(weft::test::storm& storm, rng r, const weft::context& ctx, unsigned fuel);

weft::cancel_context derive(rng& r, const weft::context& ctx)
{
    return r.one_in(2) ? weft::with_cancel(ctx) : weft::with_timeout(ctx, soon(r) * 3);
}

void subtree(weft::test::storm& storm, rng& r, const weft::context& ctx, unsigned fuel)
{
    weft::cancel_context below = derive(r, ctx);
    const unsigned* const above = ctx.value<depth>();
    const unsigned mine = above == nullptr ? 0 : *above + 1;
    const weft::context valued = weft::with_value<depth>(below, mine);
    weft::wait_group all;
    for (std::uint64_t i = 1 + r.below(4); i > 0; --i)
        all.go([&, seed = r.split()] { act(storm, seed, valued, fuel); });
    if (r.one_in(2)) {
        weft::sleep_for(soon(r));
        below.cancel(std::make_exception_ptr(mine));
        check_end(storm, valued);
    }
    // Nobody below sleeps for ever: it has a deadline, or is canceled here.
    if (!below.deadline().has_value() || *below.deadline() > weft::clock::now() + 1s || r.one_in(2))
        weft::cancel_context(std::move(below)).cancel();
    all.wait();
    storm.check(*valued.value<depth>() == mine, "a value has changed");
}

void a_group(weft::test::storm& storm, rng& r, const weft::context& ctx, unsigned fuel)
{
    const bool fails = r.one_in(2);
    std::atomic<std::uint64_t> ran{0};
    std::uint64_t started = 0;
    try {
        weft::group g(ctx);
        if (r.one_in(2))
            g.limit(1 + static_cast<int>(r.below(3)));
        for (std::uint64_t i = 1 + r.below(5); i > 0; --i, ++started) {
            g.go(
                [&, seed = r.split(), c = counted()]
                {
                    ++ran;
                    act(storm, seed, g.context(), fuel);
                    if (fails)
                        throw std::runtime_error("member");
                });
        }
        g.wait();
        storm.check(!fails, "a failure was lost");
    } catch (const std::runtime_error&) {
        storm.check(fails, "a failure from nowhere");
    }
    storm.check(ran == started, "a member has not run");
}

void by_a_token(weft::test::storm& storm, rng& r)
{
    std::stop_source source;
    const weft::context ctx = source.get_token();
    weft::wait_group all;
    for (std::uint64_t i = 1 + r.below(3); i > 0; --i)
        all.go([&] { storm.check(weft::sleep_for(1h, ctx) == weft::context_errc::canceled, "a stop was missed"); });
    if (r.one_in(2))
        weft::sleep_for(soon(r));
    source.request_stop();
    all.wait();
}

void act(weft::test::storm& storm, rng r, const weft::context& ctx, unsigned fuel)
{
    const std::uint64_t token = r.next();
    *own_token = token;
    for (; fuel > 0; --fuel) {
        storm.progress();
        switch (r.below(10)) {
            case 0:
            case 1:
                sleep_below(storm, r, ctx);
                break;
            case 2:
                select_below(r, ctx);
                break;
            case 3:
                reset_a_timer(storm, r);
                break;
            case 4:
                call_later(storm, r);
                break;
            case 5:
            case 6:
                subtree(storm, r, ctx, fuel / 2);
                break;
            case 7:
                a_group(storm, r, ctx, fuel / 2);
                break;
            case 8:
                by_a_token(storm, r);
                break;
            default:
                if (r.one_in(8))
                    weft::max_procs(1 + static_cast<int>(r.below(8)));
                else
                    weft::yield();
        }
        storm.check(*own_token == token, "a goroutine has another one's local");
    }
}

}  // namespace

int main(int argc, char** argv)
{
    weft::test::storm storm("context_storm", argc, argv);
    return storm.run(
        [&](rng r, std::uint64_t)
        {
            weft::max_procs(1 + static_cast<int>(r.below(8)));
            {
                const weft::cancel_context root = weft::with_timeout(weft::background(), 1h);
                std::vector<std::thread> threads;
                weft::wait_group all;
                for (std::uint64_t i = r.below(3); i > 0; --i) {
                    all.add();
                    threads.emplace_back(
                        [&, seed = r.split()]() mutable
                        {
                            subtree(storm, seed, root, 6);
                            all.done();
                        });
                }
                for (std::uint64_t i = 1 + r.below(weft::test::scaled_live(100)); i > 0; --i)
                    all.go([&, seed = r.split()]() mutable { subtree(storm, seed, root, 6); });
                all.wait();
                for (std::thread& t : threads)
                    t.join();
            }
            storm.check(weft::test::eventually([] { return weft::stats().timers == 0; }), "a timer was left armed");
            storm.check(weft::test::eventually([] { return counted::alive == 0; }), "an object was not destroyed");
        });
}
