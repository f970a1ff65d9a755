// The runtime's own lock (src/sys/lock.hpp): mutual exclusion, and no sleeper is forgotten.
//
// The shipped class (waist.hpp has renamed it) over a modelled futex: comparing the word and going to sleep are one
// step, and so is waking; whom a wake meets is open.
#include "model/waist.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace {

using namespace weft::model;
using weft::base::atomic;

struct futexes {
    std::array<ghost<const void*>, max_threads> asleep_on{};

    futexes();
    futexes(const futexes&) = delete;
    futexes& operator=(const futexes&) = delete;
    ~futexes();
};
futexes* here = nullptr;

futexes::futexes()
{
    here = this;
}

futexes::~futexes()
{
    here = nullptr;
}

}  // namespace

namespace weft::sys {

void futex_wait(const base::atomic<std::uint32_t>& word, std::uint32_t expected) noexcept
{
    // The kernel compares under a lock of its own: a full fence for the caller, hence a read-modify-write.
    if (const_cast<base::atomic<std::uint32_t>&>(word).fetch_add(0, base::memory_order_relaxed) != expected)
        return;
    auto& mine = here->asleep_on[static_cast<std::size_t>(model::this_thread())];
    mine.set(&word);
    block_until([&mine] { return mine.get() == nullptr; });
}

void futex_wake(const base::atomic<std::uint32_t>* word, int count) noexcept
{
    model::fence(std::memory_order_seq_cst);
    for (; count > 0; --count) {
        int sleepers = 0;
        for (const auto& at : here->asleep_on)
            sleepers += at.get() == word ? 1 : 0;
        if (sleepers == 0)
            return;
        int which = model::choose(sleepers);
        for (auto& at : here->asleep_on)
            if (at.get() == word && which-- == 0)
                at.set(nullptr);
    }
}

}  // namespace weft::sys

namespace {

template <int Threads, int Rounds>
struct contended : futexes {
    static constexpr int threads = Threads;
    weft::sys::shipped_lock_word mu;
    plain<int> data{0};

    contended()
    {
        name(mu, "lock");
        name(data, "data");
    }
    void run(int)
    {
        for (int i = 0; i < Rounds; ++i) {
            mu.lock();
            data.set(data.get() + 1);
            mu.unlock();
        }
    }
    void end()
    {
        check(data.get() == Threads * Rounds, "all have had their turn");
        check(mu.try_lock(), "still locked");
    }
};

TEST(model_lock_word, excludes_and_wakes)
{
    EXPECT_EXPLORED(explore<contended<2, 2>>({.preemptions = 3}));
    EXPECT_EXPLORED(explore<contended<3, 1>>({.preemptions = 2}));
}

}  // namespace
