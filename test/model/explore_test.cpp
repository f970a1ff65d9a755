// The explorer's own tests: it must find what is known to be broken, and find nothing in what is right.
#include "model/explore.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <set>
#include <stdexcept>
#include <string>

#include "sys/membarrier.hpp"

namespace {

using namespace weft::model;
using weft::base::atomic;
using weft::base::memory_order_acq_rel;
using weft::base::memory_order_acquire;
using weft::base::memory_order_relaxed;
using weft::base::memory_order_release;
using weft::base::memory_order_seq_cst;

constexpr auto relaxed = memory_order_relaxed;

// ---- mutual exclusion ----

/// Dekker's entry protocol, without turns: whoever sees the other's flag gives up.
template <bool Fenced>
struct dekker {
    static constexpr int threads = 2;
    std::array<atomic<int>, 2> wants{};
    plain<int> data;

    void run(int thread)
    {
        const auto i = static_cast<std::size_t>(thread);
        wants[i].store(1, memory_order_release);
        if (Fenced)
            fence(memory_order_seq_cst);
        if (wants[1 - i].load(memory_order_acquire) == 0)
            data.set(thread);
    }
};

TEST(model_explore, dekker_needs_its_fence)
{
    EXPECT_EXPLORED(explore<dekker<true>>({}));
    EXPECT_EXPLORED(explore<dekker<false>>({.model = memory::sc}));
    EXPECT_BROKEN("data race", explore<dekker<false>>({}));
    EXPECT_BROKEN("data race", explore<dekker<false>>({.preemptions = 0}));
}

/// Peterson's lock, with real waiting.
template <bool Fenced>
struct peterson {
    static constexpr int threads = 2;
    std::array<atomic<int>, 2> wants{};
    atomic<int> turn{0};
    plain<int> data;

    void run(int thread)
    {
        const auto i = static_cast<std::size_t>(thread);
        for (int round = 0; round < 2; ++round) {
            wants[i].store(1, memory_order_release);
            turn.store(1 - thread, memory_order_release);
            if (Fenced)
                fence(memory_order_seq_cst);
            block_until(
                [&]
                { return wants[1 - i].load(memory_order_acquire) == 0 || turn.load(memory_order_acquire) == thread; });
            data.set(data.get() + 1);
            wants[i].store(0, memory_order_release);
        }
    }
    void end() { check(data.get() == 4, "an increment was lost"); }
};

TEST(model_explore, peterson_needs_its_fence)
{
    EXPECT_EXPLORED(explore<peterson<true>>({.preemptions = unbounded}));
    EXPECT_BROKEN("data race", explore<peterson<false>>({}));
}

/// A spin lock, by the program's own loop.
template <std::memory_order Unlock>
struct spin_lock {
    static constexpr int threads = 3;
    atomic<int> held{0};
    plain<int> data;

    void run(int)
    {
        while (held.exchange(1, memory_order_acquire) != 0)
            yield_hint();
        data.set(data.get() + 1);
        held.store(0, Unlock);
    }
    void end() { check(data.get() == 3, "an increment was lost"); }
};

TEST(model_explore, spin_lock)
{
    EXPECT_EXPLORED(explore<spin_lock<memory_order_release>>({}));
    // x86 orders the data all the same; C++ does not.
    EXPECT_BROKEN("data race", explore<spin_lock<memory_order_relaxed>>({}));
}

struct with_lock {
    static constexpr int threads = 3;
    lock guard;
    plain<int> data;

    void run(int)
    {
        for (int i = 0; i < 2; ++i) {
            guard.acquire();
            data.set(data.get() + 1);
            guard.release();
        }
    }
    void end() { check(data.get() == 6, "an increment was lost"); }
};

TEST(model_explore, lock)
{
    EXPECT_EXPLORED(explore<with_lock>({.preemptions = unbounded}));
}

/// A counter that is not incremented atomically.
struct lost_update {
    static constexpr int threads = 2;
    atomic<int> n{0};
    void run(int) { n.store(n.load() + 1); }
    void end() { check(n.load() == 2, "an increment was lost"); }
};

TEST(model_explore, lost_update_needs_one_preemption)
{
    EXPECT_EXPLORED(explore<lost_update>({.preemptions = 0}));
    const result r = explore<lost_update>({.preemptions = 3});
    EXPECT_TRUE(r.failed);
    EXPECT_EQ(r.preemptions, 1);
}

// ---- waiting ----

/// A consumer that looks, then sleeps; a producer that stores, then wakes if it sees a sleeper.
template <bool Recheck, bool Fenced>
struct sleeper {
    static constexpr int threads = 2;
    atomic<int> work{0};
    atomic<int> sleeping{0};
    atomic<int> wakes{0};

    void run(int thread)
    {
        if (thread == 0) {
            if (work.load(memory_order_acquire) != 0)
                return;
            sleeping.store(1, memory_order_release);
            if (Fenced)
                fence(memory_order_seq_cst);
            if (Recheck && work.load(memory_order_acquire) != 0)
                return;
            block_until([&] { return wakes.load() != 0; });
        } else {
            work.store(1, memory_order_release);
            if (Fenced)
                fence(memory_order_seq_cst);
            if (sleeping.load(memory_order_acquire) != 0)
                wakes.store(1, memory_order_release);
        }
    }
};

TEST(model_explore, lost_wake_up)
{
    EXPECT_EXPLORED(explore<sleeper<true, true>>({}));
    EXPECT_BROKEN("deadlock", explore<sleeper<false, true>>({}));
    EXPECT_BROKEN("deadlock", explore<sleeper<true, false>>({}));
    EXPECT_EXPLORED(explore<sleeper<true, false>>({.model = memory::sc}));
}

struct opposite_locks {
    static constexpr int threads = 2;
    std::array<lock, 2> locks;
    void run(int thread)
    {
        const auto i = static_cast<std::size_t>(thread);
        locks[i].acquire();
        locks[1 - i].acquire();
        locks[1 - i].release();
        locks[i].release();
    }
};

TEST(model_explore, locks_in_opposite_order)
{
    EXPECT_EXPLORED(explore<opposite_locks>({.preemptions = 0}));
    EXPECT_BROKEN("deadlock", explore<opposite_locks>({.preemptions = 1}));
}

struct resting {
    static constexpr int threads = 2;
    atomic<int> word{0};
    bool rest;
    explicit resting(bool may_rest) : rest(may_rest) {}
    void run(int thread)
    {
        if (thread == 0)
            return;
        const auto come = [&] { return word.load() != 0; };
        rest ? rest_until(come) : block_until(come);
    }
};

TEST(model_explore, a_thread_at_rest_is_no_deadlock)
{
    EXPECT_EXPLORED(explore<resting>({}, true));
    EXPECT_BROKEN("deadlock", explore<resting>({}, false));
}

/// A wait sees a buffered store once it has drained, and only then.
struct wait_for_buffered {
    static constexpr int threads = 2;
    atomic<int> flag{0};
    plain<int> data;
    void run(int thread)
    {
        if (thread == 0) {
            data.set(5);
            flag.store(1, memory_order_release);
        } else {
            block_until([&] { return flag.load(memory_order_acquire) == 1; });
            check(data.get() == 5, "stale");
        }
    }
};

TEST(model_explore, buffered_stores_end_a_wait)
{
    EXPECT_EXPLORED(explore<wait_for_buffered>({.preemptions = 0}));
    EXPECT_EXPLORED(explore<wait_for_buffered>({.preemptions = unbounded}));
}

struct wait_without_acquire {
    static constexpr int threads = 2;
    atomic<int> flag{0};
    plain<int> data;
    void run(int thread)
    {
        if (thread == 0) {
            data.set(5);
            flag.store(1, memory_order_release);
        } else {
            block_until([&] { return flag.load(relaxed) == 1; });
            (void)data.get();
        }
    }
};

TEST(model_explore, a_relaxed_wait_orders_nothing)
{
    EXPECT_BROKEN("data race", explore<wait_without_acquire>({}));
}

struct relaxed_with_fences {
    static constexpr int threads = 2;
    atomic<int> flag{0};
    plain<int> data;
    bool both;
    explicit relaxed_with_fences(bool fence_on_both_sides) : both(fence_on_both_sides) {}
    void run(int thread)
    {
        if (thread == 0) {
            data.set(5);
            fence(memory_order_release);
            flag.store(1, relaxed);
        } else if (flag.load(relaxed) == 1) {
            if (both)
                fence(memory_order_acquire);
            (void)data.get();
        }
    }
};

TEST(model_explore, fences_order_around_relaxed_accesses)
{
    EXPECT_EXPLORED(explore<relaxed_with_fences>({}, true));
    EXPECT_BROKEN("data race", explore<relaxed_with_fences>({}, false));
}

/// A relaxed read-modify-write goes on with the release sequence; a relaxed store ends it.
struct release_sequence {
    static constexpr int threads = 3;
    atomic<int> flag{0};
    plain<int> data;
    bool modifies;
    explicit release_sequence(bool by_modification) : modifies(by_modification) {}
    void run(int thread)
    {
        if (thread == 0) {
            data.set(5);
            flag.store(1, memory_order_release);
        } else if (thread == 1) {
            if (modifies)
                flag.fetch_add(1, relaxed);
            else if (flag.load(relaxed) == 1)
                flag.store(2, relaxed);
        } else if (flag.load(memory_order_acquire) == 2) {
            (void)data.get();
        }
    }
};

TEST(model_explore, release_sequences)
{
    EXPECT_EXPLORED(explore<release_sequence>({}, true));
    EXPECT_BROKEN("data race", explore<release_sequence>({}, false));
}

struct livelock {
    static constexpr int threads = 2;
    std::array<atomic<int>, 2> go{};
    void run(int thread)
    {
        while (go[static_cast<std::size_t>(thread)].load() == 0)
            yield_hint();
    }
};

TEST(model_explore, livelock)
{
    EXPECT_BROKEN("livelock", explore<livelock>({}));
}

struct spinner {
    static constexpr int threads = 2;
    atomic<int> go{0};
    void run(int thread)
    {
        if (thread == 1)
            go.store(1, memory_order_release);
        else
            while (go.load(memory_order_acquire) == 0)
                yield_hint();
    }
};

TEST(model_explore, a_spin_loop_with_a_hint_ends)
{
    EXPECT_EXPLORED(explore<spinner>({}));
    EXPECT_EXPLORED(explore<spinner>({.preemptions = unbounded}));
}

// ---- ABA ----

/// A lock-free stack of three nodes by index; a popped node may be pushed again. With a version in the word's upper
/// half the compare-exchange sees that.
template <bool Versions>
struct stack {
    static constexpr int threads = 2;
    atomic<std::uint32_t> top{1};
    std::array<atomic<std::uint32_t>, 4> next{};  // node 0 is none: 1 -> 2 -> 3
    std::array<ghost<int>, 4> owners;

    stack()
    {
        next[1].store(2);
        next[2].store(3);
        name(top, "top");
        name(next, "next");
    }
    static std::uint32_t node(std::uint32_t word) { return word & 0xffffU; }
    static std::uint32_t changed(std::uint32_t word, std::uint32_t to)
    {
        return Versions ? ((word >> 16U) + 1) << 16U | to : to;
    }

    std::uint32_t pop()
    {
        std::uint32_t seen = top.load(memory_order_acquire);
        while (node(seen) != 0) {
            const std::uint32_t below = next[node(seen)].load(memory_order_relaxed);
            if (top.compare_exchange_strong(seen, changed(seen, below), memory_order_acq_rel, memory_order_acquire)) {
                ghost<int>& owner = owners[node(seen)];
                check(owner.get() == 0, "popped twice");
                owner.set(owner.get() + 1);
                return node(seen);
            }
        }
        return 0;
    }
    void push(std::uint32_t item)
    {
        owners[item].set(owners[item].get() - 1);
        std::uint32_t seen = top.load(memory_order_acquire);
        do
            next[item].store(node(seen), memory_order_relaxed);
        while (!top.compare_exchange_strong(seen, changed(seen, item), memory_order_acq_rel, memory_order_acquire));
    }
    void run(int thread)
    {
        const std::uint32_t first = pop();
        if (thread == 1) {
            pop();
            push(first);
        } else {
            pop();
        }
    }
};

TEST(model_explore, aba)
{
    EXPECT_EXPLORED(explore<stack<true>>({}));
    EXPECT_BROKEN("popped twice", explore<stack<false>>({}));
}

// ---- lifetimes ----

/// One waits for a flag in an object and destroys the object; the other's last access is after its store to the flag.
struct destroyed_too_early {
    static constexpr int threads = 2;
    struct object {
        atomic<int> flag{0};
        atomic<int> more{0};
    };
    struct room {
        alignas(object) std::array<std::byte, sizeof(object)> bytes;
        object* operator->() { return std::launder(reinterpret_cast<object*>(&bytes)); }
    } place;
    bool late;
    bool gone = false;

    explicit destroyed_too_early(bool last_access_is_late) : late(last_access_is_late) { ::new (&place.bytes) object; }
    void run(int thread)
    {
        if (thread == 0) {
            if (!late)
                place->more.store(1, memory_order_release);
            place->flag.store(1, memory_order_release);
            if (late)
                place->more.store(1, memory_order_release);
        } else {
            block_until([&] { return place->flag.load(memory_order_acquire) == 1; });
            place->~object();
        }
    }
};

TEST(model_explore, access_after_destruction)
{
    EXPECT_EXPLORED(explore<destroyed_too_early>({}, false));
    EXPECT_BROKEN("destroyed", explore<destroyed_too_early>({}, true));
}

/// Atomics that threads construct on their stacks, and whose addresses they hand out.
struct on_the_stack {
    static constexpr int threads = 2;
    struct node {
        atomic<int> woken{0};
        plain<int> value;
    };
    atomic<node*> shared{nullptr};
    void run(int thread)
    {
        if (thread == 0) {
            node mine;
            shared.store(&mine, memory_order_release);
            block_until([&] { return mine.woken.load(memory_order_acquire) == 1; });
            check(mine.value.get() == 7, "stale");
        } else {
            block_until([&] { return shared.load(memory_order_acquire) != nullptr; });
            node* const other = shared.load(memory_order_acquire);
            other->value.set(7);
            other->woken.store(1, memory_order_release);
        }
    }
};

TEST(model_explore, atomics_on_stacks)
{
    EXPECT_EXPLORED(explore<on_the_stack>({.preemptions = unbounded}));
}

// ---- the explorer's edges ----

constinit atomic<int> global{3};

struct uses_a_global {
    static constexpr int threads = 2;
    void run(int) { global.fetch_add(1); }
    void end() { check(global.load() == 5, "each execution begins with the initial value"); }
};

TEST(model_explore, constant_initialised_statics)
{
    EXPECT_EXPLORED(explore<uses_a_global>({.preemptions = unbounded}));
    EXPECT_EQ(global.load(), 3);
}

TEST(model_explore, an_atomic_outside_of_a_program_is_a_variable)
{
    atomic<std::uint8_t> a{250};
    EXPECT_EQ(a.fetch_add(10), 250);
    EXPECT_EQ(a.load(), 4);
    std::uint8_t seen = 3;
    EXPECT_FALSE(a.compare_exchange_strong(seen, 9));
    EXPECT_EQ(seen, 4);
    EXPECT_TRUE(a.compare_exchange_weak(seen, 9));
    EXPECT_EQ(a.exchange(1), 9);
    EXPECT_EQ(++a, 2);
    EXPECT_EQ(a--, 2);
    a = 6;
    EXPECT_EQ(a.fetch_or(9), 6);
    EXPECT_EQ(a.fetch_and(3), 15);
    EXPECT_EQ(a.fetch_xor(1), 3);
    EXPECT_EQ(a, 2);
    std::array<int, 4> items{};
    atomic<int*> p{items.data()};
    p.fetch_add(3);
    p.fetch_sub(1);
    EXPECT_EQ(p.load(), items.data() + 2);
}

struct throws {
    static constexpr int threads = 2;
    atomic<int> x{0};
    void run(int thread)
    {
        if (x.fetch_add(1) == 0 && thread == 1)
            throw std::runtime_error("oh");
    }
};

TEST(model_explore, an_exception_is_a_failure)
{
    EXPECT_BROKEN("exception: oh", explore<throws>({}));
}

struct chooses {
    static constexpr int threads = 1;
    std::set<int>* seen;
    explicit chooses(std::set<int>* to) : seen(to) {}
    void run(int) { seen->insert(choose(3) * 10 + choose(2)); }
};

TEST(model_explore, choices)
{
    std::set<int> seen;
    EXPECT_EXPLORED(explore<chooses>({}, &seen));
    EXPECT_EQ(seen, (std::set<int>{0, 1, 10, 11, 20, 21}));
}

struct chooses_wrong {
    static constexpr int threads = 2;
    atomic<int> x{0};
    void run(int thread)
    {
        x.fetch_add(1);
        if (thread == 1 && choose(8) == 5)
            check(x.load() == 1, "wrong choice");
    }
};

TEST(model_explore, a_failure_can_be_replayed)
{
    const result found = explore<chooses_wrong>({});
    ASSERT_TRUE(found.failed);
    EXPECT_NE(found.trace.find("chooses 5"), std::string::npos) << found;
    const result again = explore<chooses_wrong>({.replay = found.schedule});
    EXPECT_TRUE(again.failed);
    EXPECT_EQ(again.what, found.what);
    EXPECT_EQ(again.schedule, found.schedule);

    const result broken = explore<dekker<false>>({});
    const result replayed = explore<dekker<false>>({.preemptions = 0, .replay = broken.schedule});
    EXPECT_EQ(replayed.what, broken.what);
    EXPECT_EQ(replayed.trace, broken.trace);
    EXPECT_EQ(explore<dekker<false>>({.replay = "a"}).what, "the schedule ends before the program");
    EXPECT_EQ(explore<dekker<false>>({.replay = "c"}).what, "the schedule does not fit the program");
    EXPECT_EQ(explore<dekker<false>>({.replay = "Aa"}).what, "the schedule does not fit the program: nothing to drain");
}

TEST(model_explore, a_deadlock_can_be_replayed)
{
    const result found = explore<sleeper<true, false>>({});
    ASSERT_TRUE(found.failed);
    const result again = explore<sleeper<true, false>>({.replay = found.schedule});
    EXPECT_EQ(again.what, found.what);
    EXPECT_EQ(again.trace, found.trace);
}

TEST(model_explore, gives_up_at_its_limit)
{
    const result r = explore<peterson<true>>({.max_executions = 10});
    EXPECT_FALSE(r.ok());
    EXPECT_FALSE(r.complete);
    EXPECT_FALSE(r.failed);
}

TEST(model_explore, pruning_loses_no_failure)
{
    for (const bool prune : {true, false}) {
        EXPECT_TRUE(explore<peterson<false>>({.preemptions = 2, .prune = prune}).failed);
        EXPECT_TRUE(explore<stack<false>>({.preemptions = 3, .prune = prune}).failed);
        EXPECT_TRUE((explore<sleeper<true, false>>({.preemptions = 1, .prune = prune}).failed));
        EXPECT_TRUE(explore<peterson<true>>({.preemptions = 2, .prune = prune}).ok());
        EXPECT_TRUE(explore<stack<true>>({.preemptions = 2, .prune = prune}).ok());
    }
}

}  // namespace
