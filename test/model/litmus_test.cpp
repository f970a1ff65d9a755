// Litmus tests: the explorer allows exactly the outcomes that x86 does (Owens, Sarkar, Sewell, "A better x86 memory
// model: x86-TSO", 2009), and leaves nothing out by what it saves.
#include "model/explore.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

#include "sys/membarrier.hpp"

namespace {

using namespace weft::model;
using weft::base::atomic;
using weft::base::memory_order_relaxed;
using weft::base::memory_order_release;
using weft::base::memory_order_seq_cst;

constexpr auto relaxed = memory_order_relaxed;

using outcomes = std::set<std::string>;

/// What the threads of a litmus test share: variables, registers, and where the outcomes go.
struct litmus {
    explicit litmus(outcomes* to) : seen(to) {}
    atomic<int> x{0};
    atomic<int> y{0};
    std::array<int, 8> r{};
    outcomes* seen;

    void end() const
    {
        std::string text;
        for (const int value : r)
            text += std::to_string(value);
        seen->insert(text.substr(0, text.find_last_not_of('0') + 1));
    }
};

/// All outcomes, which must not depend on what the explorer leaves out.
template <class P>
outcomes all_outcomes(memory model)
{
    outcomes first;
    bool is_first = true;
    for (const bool prune : {true, false}) {
        for (const bool eager : {false, true}) {
            for (const int bound : {unbounded, 100}) {
                outcomes seen;
                const result r =
                    explore<P>({.model = model, .preemptions = bound, .prune = prune, .eager_drains = eager}, &seen);
                EXPECT_TRUE(r.ok()) << r;
                if (is_first)
                    first = seen;
                else
                    EXPECT_EQ(seen, first) << prune << eager << bound;
                is_first = false;
            }
        }
    }
    return first;
}

/// Store buffering: each stores, then loads the other's.
template <std::memory_order Order, bool Fence>
struct store_buffering : litmus {
    static constexpr int threads = 2;
    using litmus::litmus;
    void run(int thread)
    {
        (thread == 0 ? x : y).store(1, Order);
        if (Fence)
            fence(memory_order_seq_cst);
        r[static_cast<std::size_t>(thread)] = (thread == 0 ? y : x).load(relaxed);
    }
};

TEST(model_litmus, store_buffering)
{
    const outcomes strong{"01", "1", "11"};
    const outcomes weak{"", "01", "1", "11"};
    EXPECT_EQ((all_outcomes<store_buffering<memory_order_release, false>>(memory::sc)), strong);
    EXPECT_EQ((all_outcomes<store_buffering<memory_order_relaxed, false>>(memory::tso)), weak);
    EXPECT_EQ((all_outcomes<store_buffering<memory_order_release, false>>(memory::tso)), weak);
    EXPECT_EQ((all_outcomes<store_buffering<memory_order_seq_cst, false>>(memory::tso)), strong);
    EXPECT_EQ((all_outcomes<store_buffering<memory_order_release, true>>(memory::tso)), strong);
}

/// The same with read-modify-writes, which are full fences on x86 whatever their order.
struct exchange_buffering : litmus {
    static constexpr int threads = 2;
    using litmus::litmus;
    void run(int thread)
    {
        (thread == 0 ? x : y).exchange(1, relaxed);
        r[static_cast<std::size_t>(thread)] = (thread == 0 ? y : x).load(relaxed);
    }
};

TEST(model_litmus, read_modify_writes_drain)
{
    EXPECT_EQ(all_outcomes<exchange_buffering>(memory::tso), (outcomes{"01", "1", "11"}));
}

/// Message passing: stores arrive in order.
struct message_passing : litmus {
    static constexpr int threads = 2;
    using litmus::litmus;
    void run(int thread)
    {
        if (thread == 0) {
            x.store(1, relaxed);
            y.store(1, relaxed);
        } else {
            r[0] = y.load(relaxed);
            r[1] = x.load(relaxed);
        }
    }
};

TEST(model_litmus, message_passing)
{
    EXPECT_EQ(all_outcomes<message_passing>(memory::tso), (outcomes{"", "01", "11"}));
}

/// Load buffering: a load is not delayed behind a later store.
struct load_buffering : litmus {
    static constexpr int threads = 2;
    using litmus::litmus;
    void run(int thread)
    {
        r[static_cast<std::size_t>(thread)] = (thread == 0 ? y : x).load(relaxed);
        (thread == 0 ? x : y).store(1, relaxed);
    }
};

TEST(model_litmus, load_buffering)
{
    EXPECT_EQ(all_outcomes<load_buffering>(memory::tso), (outcomes{"", "01", "1"}));
}

/// Independent reads of independent writes: all see the stores in one order.
struct independent_reads : litmus {
    static constexpr int threads = 4;
    using litmus::litmus;
    void run(int thread)
    {
        switch (thread) {
            case 0:
                x.store(1, relaxed);
                break;
            case 1:
                y.store(1, relaxed);
                break;
            case 2:
                r[0] = x.load(relaxed);
                r[1] = y.load(relaxed);
                break;
            default:
                r[2] = y.load(relaxed);
                r[3] = x.load(relaxed);
        }
    }
};

TEST(model_litmus, independent_reads_of_independent_writes)
{
    const outcomes seen = all_outcomes<independent_reads>(memory::tso);
    EXPECT_EQ(seen.count("101"), 0U);
    EXPECT_EQ(seen.size(), 15U);
}

/// A thread sees its own store before anybody else does (n5, n7 and the like in the x86-TSO papers).
struct forwarding : litmus {
    static constexpr int threads = 2;
    using litmus::litmus;
    void run(int thread)
    {
        const std::size_t i = thread == 0 ? 0 : 2;
        (thread == 0 ? x : y).store(1, relaxed);
        r[i] = (thread == 0 ? x : y).load(relaxed);
        r[i + 1] = (thread == 0 ? y : x).load(relaxed);
    }
};

TEST(model_litmus, own_stores_are_seen_early)
{
    EXPECT_EQ(all_outcomes<forwarding>(memory::sc), (outcomes{"1011", "111", "1111"}));
    EXPECT_EQ(all_outcomes<forwarding>(memory::tso), (outcomes{"101", "1011", "111", "1111"}));
}

/// Two writes each, in opposite order: the last values in memory show the order in which the buffers drained.
struct two_plus_two_writes : litmus {
    static constexpr int threads = 2;
    using litmus::litmus;
    void run(int thread)
    {
        (thread == 0 ? x : y).store(1, relaxed);
        (thread == 0 ? y : x).store(2, relaxed);
    }
    void end()
    {
        r[0] = x.load();
        r[1] = y.load();
        litmus::end();
    }
};

TEST(model_litmus, two_plus_two_writes)
{
    EXPECT_EQ(all_outcomes<two_plus_two_writes>(memory::sc), (outcomes{"12", "21", "22"}));
    EXPECT_EQ(all_outcomes<two_plus_two_writes>(memory::tso), (outcomes{"12", "21", "22"}));
}

/// A write and a fence against two writes (R and S): a fence's drains are ordered among another thread's.
template <bool Fence>
struct write_against_buffered : litmus {
    static constexpr int threads = 2;
    using litmus::litmus;
    void run(int thread)
    {
        if (thread == 0) {
            x.store(1, relaxed);
            y.store(1, relaxed);
        } else {
            y.store(2, relaxed);
            if (Fence)
                fence(memory_order_seq_cst);
            r[0] = x.load(relaxed);
        }
    }
    void end()
    {
        r[1] = y.load();
        litmus::end();
    }
};

TEST(model_litmus, r)
{
    EXPECT_EQ(all_outcomes<write_against_buffered<false>>(memory::sc), (outcomes{"01", "11", "12"}));
    EXPECT_EQ(all_outcomes<write_against_buffered<false>>(memory::tso), (outcomes{"01", "02", "11", "12"}));
    EXPECT_EQ(all_outcomes<write_against_buffered<true>>(memory::tso), (outcomes{"01", "11", "12"}));
}

/// n6: only store buffers with forwarding explain r0 = 1, r1 = 0 with x = 1 at the end.
struct n6 : litmus {
    static constexpr int threads = 2;
    using litmus::litmus;
    void run(int thread)
    {
        if (thread == 0) {
            x.store(1, relaxed);
            r[0] = x.load(relaxed);
            r[1] = y.load(relaxed);
        } else {
            y.store(2, relaxed);
            x.store(2, relaxed);
        }
    }
    void end()
    {
        r[2] = x.load();
        litmus::end();
    }
};

TEST(model_litmus, n6)
{
    EXPECT_EQ(all_outcomes<n6>(memory::sc).count("101"), 0U);
    EXPECT_EQ(all_outcomes<n6>(memory::tso).count("101"), 1U);
}

/// An asymmetric pair: the light side costs nothing, the heavy side pays for both.
struct asymmetric : litmus {
    static constexpr int threads = 2;
    using litmus::litmus;
    void run(int thread)
    {
        if (thread == 0) {
            x.store(1, relaxed);
            weft::base::light_fence();
            r[0] = y.load(relaxed);
        } else {
            y.store(1, relaxed);
            weft::sys::heavy_fence();
            r[1] = x.load(relaxed);
        }
    }
};

TEST(model_litmus, asymmetric_fences)
{
    EXPECT_EQ(all_outcomes<asymmetric>(memory::tso), (outcomes{"01", "1", "11"}));
    outcomes seen;
    EXPECT_EXPLORED(explore<asymmetric>({.preemptions = unbounded, .membarrier = false}, &seen));
    EXPECT_EQ(seen, (outcomes{"01", "1", "11"}));
}

/// Three threads in a ring, each with two buffered stores: drains in all orders.
struct ring : litmus {
    static constexpr int threads = 3;
    using litmus::litmus;
    atomic<int> z{0};
    void run(int thread)
    {
        const std::array<atomic<int>*, 3> v{&x, &y, &z};
        const auto i = static_cast<std::size_t>(thread);
        v[i]->store(1, relaxed);
        v[(i + 1) % 3]->store(2, relaxed);
        r[i] = v[(i + 2) % 3]->load(relaxed);
    }
    void end()
    {
        r[3] = x.load();
        r[4] = y.load();
        r[5] = z.load();
        litmus::end();
    }
};

TEST(model_litmus, lazy_drains_lose_nothing)
{
    outcomes lazy;
    outcomes eager;
    EXPECT_EXPLORED(explore<ring>({.preemptions = unbounded}, &lazy));
    EXPECT_EXPLORED(explore<ring>({.preemptions = unbounded, .eager_drains = true}, &eager));
    EXPECT_EQ(lazy, eager);
    EXPECT_GT(lazy.size(), 50U);
}

}  // namespace
