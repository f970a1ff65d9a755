// The waits of sync.hpp end when a context does.
#include <atomic>
#include <chrono>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "weft/context.hpp"
#include "weft/sync.hpp"

namespace {

using sync_context_test = weft::test::fixture;
using namespace std::chrono_literals;
using weft::context_errc;
using weft::test::eventually;
using weft::test::procs;
using weft::test::scaled;

/// Each wait of sync.hpp on something that does not come, with the same context.
struct all_waits {
    weft::mutex held;
    weft::shared_mutex written;
    weft::shared_mutex read;
    weft::wait_group group;
    weft::latch gate{1};
    weft::barrier<> phases{2};
    weft::binary_semaphore none{0};
    weft::mutex m;
    weft::condition_variable cv;
    std::vector<std::error_code (*)(all_waits&, const weft::context&)> waits = {
        [](all_waits& w, const weft::context& ctx) { return w.held.lock(ctx); },
        [](all_waits& w, const weft::context& ctx) { return w.written.lock(ctx); },
        [](all_waits& w, const weft::context& ctx) { return w.written.lock_shared(ctx); },
        [](all_waits& w, const weft::context& ctx) { return w.read.lock(ctx); },
        [](all_waits& w, const weft::context& ctx) { return w.group.wait(ctx); },
        [](all_waits& w, const weft::context& ctx) { return w.gate.wait(ctx); },
        [](all_waits& w, const weft::context& ctx) { return w.none.acquire(ctx); },
        [](all_waits& w, const weft::context& ctx)
        {
            std::unique_lock lock(w.m);
            const std::error_code end = w.cv.wait(lock, ctx);
            EXPECT_TRUE(lock.owns_lock());
            return end;
        },
        [](all_waits& w, const weft::context& ctx)
        {
            std::unique_lock lock(w.m);
            return w.cv.wait(lock, [] { return false; }, ctx);
        },
    };

    all_waits()
    {
        held.lock();
        written.lock();
        read.lock_shared();
        group.add();
    }
    /// Everything is as if nobody had waited.
    void check_quiet()
    {
        held.unlock();
        written.unlock();
        EXPECT_FALSE(read.try_lock());
        read.unlock_shared();
        group.done();
        gate.count_down();
        none.release();
        EXPECT_TRUE(held.try_lock());
        EXPECT_TRUE(written.try_lock());
        EXPECT_TRUE(read.try_lock());
        EXPECT_TRUE(none.try_acquire());
        EXPECT_TRUE(m.try_lock());
        held.unlock();
        written.unlock();
        read.unlock();
        m.unlock();
        group.wait();
        gate.wait();
    }
};

WEFT_TEST(sync_context_test, a_cancellation_ends_every_wait)
{
    for (std::size_t round = 0; round < scaled(200); ++round) {
        all_waits w;
        auto ctx = weft::with_cancel(weft::background());
        auto token = w.phases.arrive();
        weft::wait_group all;
        for (const auto wait : w.waits)
            all.go([&, wait] { EXPECT_EQ(wait(w, ctx), context_errc::canceled); });
        all.go([&] { EXPECT_EQ(w.phases.wait(token, ctx), context_errc::canceled); });
        if (round % 2 == 0) {
            EXPECT_TRUE(eventually([&] { return weft::stats().goroutines_waiting > w.waits.size(); }));
        }
        ctx.cancel();
        all.wait();
        for (const auto wait : w.waits)
            EXPECT_EQ(wait(w, ctx), context_errc::canceled) << "it has ended";
        w.check_quiet();
    }
}

TEST_F(sync_context_test, a_deadline_ends_the_wait_of_a_thread)
{
    all_waits w;
    for (const auto wait : w.waits)
        EXPECT_EQ(wait(w, weft::with_timeout(weft::background(), 1ms)), context_errc::deadline_exceeded);
    w.check_quiet();
}

WEFT_TEST(sync_context_test, what_comes_is_had)
{
    const auto ctx = weft::with_cancel(weft::background());
    weft::mutex m;
    EXPECT_FALSE(m.lock(ctx));
    weft::go([&] { m.unlock(); });
    EXPECT_FALSE(m.lock(ctx));
    m.unlock();
    weft::shared_mutex s;
    EXPECT_FALSE(s.lock(weft::background()));
    s.unlock();
    EXPECT_FALSE(s.lock_shared(ctx));
    s.unlock_shared();
    weft::counting_semaphore<> permits(0);
    weft::go([&] { permits.release(3); });
    EXPECT_FALSE(permits.acquire(3, ctx));
    weft::wait_group g;
    g.go([] { weft::yield(); });
    EXPECT_FALSE(g.wait(ctx));
    bool ready = false;
    weft::condition_variable cv;
    weft::go(
        [&]
        {
            const std::lock_guard guard(m);
            ready = true;
            cv.notify_one();
        });
    std::unique_lock lock(m);
    EXPECT_FALSE(cv.wait(lock, [&] { return ready; }, ctx));
}

// A cancellation meets a release: the permit is had, or lies there.
TEST_F(sync_context_test, cancellations_race_with_releases)
{
    const procs four(4);
    weft::counting_semaphore<> permits(0);
    const auto work = [&]
    {
        for (std::size_t i = 0; i < scaled(3'000); ++i) {
            auto ctx = weft::with_cancel(weft::background());
            weft::wait_group others;
            others.go([&] { ctx.cancel(); });
            others.go([&] { permits.release(); });
            if (permits.acquire(ctx))
                permits.acquire();
            others.wait();
        }
    };
    weft::wait_group all;
    std::thread thread(work);
    for (int i = 0; i < 4; ++i)
        all.go(work);
    thread.join();
    all.wait();
    EXPECT_FALSE(permits.try_acquire());
}

}  // namespace
