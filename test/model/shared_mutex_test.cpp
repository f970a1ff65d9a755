// weft::shared_mutex (include/weft/shared_mutex.hpp, src/sync/shared_mutex.cpp; docs/design/sync.md): a writer is
// alone, nobody sleeps for ever, and a writer that gives up lets the readers in that it held back.
//
// All of it is the shipped code, with the shipped mutex, over the modelled waist.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <new>

#include "rt/rt.hpp"
#include "sync/shared_mutex.cpp"

namespace {

using namespace weft::model;
namespace rt = weft::rt;

struct guarded : runtime {
    weft::shared_mutex mu;
    plain<int> data{0};
    ghost<int> reading{0};
    ghost<int> writing{0};
    ghost<int> writes{0};

    explicit guarded(bool goroutines = true)
    {
        timers_fire = goroutines;
        // An execution that was dropped has left its waiters there.
        ::new (&of_readers()) rt::sema_bucket;
        ::new (&rt::sema_bucket::of(&mu)) rt::sema_bucket;
        name(mu, "shared_mutex");
        name(data, "data");
    }
    const void* word() const noexcept { return reinterpret_cast<const char*>(&mu) + sizeof(weft::mutex); }
    rt::sema_bucket& of_readers() const { return rt::sema_bucket::of(word()); }
    std::uint64_t queue(const void* at, const void* key, std::uint64_t h) const noexcept
    {
        for (const rt::sema_waiter* w = rt::sema_bucket::of(at).front(key); w != nullptr; w = w->next)
            h = h * 64 + static_cast<std::uint64_t>(thread_of(w->who)) * 8 + (w->amount & 3) * 2 +
                (w->granted ? 1 : 0) + 8;
        return h * 64 + 1;
    }
    std::uint64_t fingerprint() const noexcept
    {
        const void* const writer = static_cast<const char*>(word()) + 1;
        return queue(word(), word(), queue(word(), writer, queue(&mu, &mu, 0)));
    }
    void inside_shared()
    {
        reading.set(reading.get() + 1);
        check(writing.get() == 0, "a reader beside a writer");
        check(data.get() == writes.get(), "the reader sees the last write");
        reading.set(reading.get() - 1);
    }
    void inside()
    {
        writing.set(writing.get() + 1);
        check(writing.get() == 1 && reading.get() == 0, "the writer is not alone");
        data.set(data.get() + 1);
        writes.set(writes.get() + 1);
        writing.set(writing.get() - 1);
    }
    void read()
    {
        mu.lock_shared();
        inside_shared();
        mu.unlock_shared();
    }
    void write()
    {
        mu.lock();
        inside();
        mu.unlock();
    }
    void end()
    {
        check(mu.try_lock(), "somebody is inside still");
        mu.unlock();
        check(of_readers().front(word()) == nullptr, "a reader is queued");
        check(rt::sema_bucket::of(&mu).front(&mu) == nullptr, "a writer is queued");
    }
};

/// The first `Writers` write, the others read.
template <int Writers, int Readers, int Rounds = 1>
struct mixed : guarded {
    static constexpr int threads = Writers + Readers;
    static const char* thread_name(int i) { return i < Writers ? "writer" : "reader"; }
    void run(int thread)
    {
        for (int i = 0; i < Rounds; ++i)
            thread < Writers ? write() : read();
    }
};

TEST(model_shared_mutex, one_writer)
{
    EXPECT_EXPLORED(explore<mixed<1, 1>>({.preemptions = unbounded}));
    EXPECT_EXPLORED(explore<mixed<1, 1, 2>>({.preemptions = 4}));
    EXPECT_EXPLORED(explore<mixed<1, 2>>({.preemptions = 3}));
    EXPECT_EXPLORED(explore<mixed<1, 2, 2>>({.preemptions = bound(1, 2)}));
    EXPECT_EXPLORED(explore<mixed<1, 3>>({.preemptions = bound(1, 2)}));
}

TEST(model_shared_mutex, two_writers)
{
    EXPECT_EXPLORED(explore<mixed<2, 1>>({.preemptions = 3}));
    EXPECT_EXPLORED(explore<mixed<2, 2>>({.preemptions = bound(1, 2)}));
}

/// Waits that may end early, as those of plain threads do.
template <int Writers, int Readers>
struct timed : guarded {
    static constexpr int threads = Writers + Readers;
    timed() : guarded(false) {}
    void run(int thread)
    {
        // The modelled clock stands; a deadline may pass at any time.
        const auto deadline = weft::clock::time_point(std::chrono::nanoseconds(1'000));
        if (thread < Writers) {
            if (mu.try_lock_until(deadline)) {
                inside();
                mu.unlock();
            }
        } else if (mu.try_lock_shared_until(deadline)) {
            inside_shared();
            mu.unlock_shared();
        }
    }
};

TEST(model_shared_mutex, deadlines)
{
    EXPECT_EXPLORED(explore<timed<1, 1>>({.preemptions = unbounded}));
    EXPECT_EXPLORED(explore<timed<2, 1>>({.preemptions = 3}));
    EXPECT_EXPLORED(explore<timed<1, 2>>({.preemptions = 3}));
    EXPECT_EXPLORED(explore<timed<2, 2>>({.preemptions = bound(1, 2)}));
}

/// A writer may give up while one reader is inside and another one waits behind it.
struct gives_up : guarded {
    static constexpr int threads = 4;
    static const char* thread_name(int i) { return i == 0 ? "writer" : i == 3 ? "timers" : "reader"; }
    void run(int thread)
    {
        if (thread == 3) {
            fire_timers();
        } else if (thread != 0) {
            read();
        } else if (mu.try_lock_until(weft::clock::time_point(std::chrono::nanoseconds(1'000)))) {
            inside();
            mu.unlock();
        }
    }
};

TEST(model_shared_mutex, who_gives_up_lets_readers_in)
{
    EXPECT_EXPLORED(explore<gives_up>({.preemptions = 2}));
}

struct tries : guarded {
    static constexpr int threads = 3;
    void run(int thread)
    {
        if (thread == 0) {
            write();
        } else if (thread == 1) {
            if (mu.try_lock()) {
                inside();
                mu.unlock();
            }
        } else if (mu.try_lock_shared()) {
            inside_shared();
            mu.unlock_shared();
        }
    }
};

TEST(model_shared_mutex, try_forms)
{
    EXPECT_EXPLORED(explore<tries>({.preemptions = 3}));
}

}  // namespace
