// weft::go: what can be started, what it gets, and that a failed start leaves nothing.
#include "weft/go.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace {

using go_test = weft::test::fixture;
using weft::test::counted;
using weft::test::eventually;
using weft::test::scaled;

std::atomic<int> plain_calls{0};
void plain_function()
{
    ++plain_calls;
}
void plain_function_with_argument(int n)
{
    plain_calls += n;
}

struct account {
    std::atomic<int> balance{0};
    void deposit(int amount) { balance += amount; }
};

// A goroutine that must see 128 values intact, whatever switched in between.
template <std::size_t Size>
struct ballast {
    std::array<unsigned char, Size> bytes{};
    explicit ballast(unsigned seed)
    {
        for (std::size_t i = 0; i < Size; ++i)
            bytes[i] = static_cast<unsigned char>(seed + i);
    }
    [[nodiscard]] bool intact(unsigned seed) const
    {
        for (std::size_t i = 0; i < Size; ++i)
            if (bytes[i] != static_cast<unsigned char>(seed + i))
                return false;
        return true;
    }
};

template <std::size_t Size>
void starts_closure_of_size()
{
    weft::wait_group all;
    std::atomic<int> intact{0};
    constexpr unsigned count = 50;
    for (unsigned i = 0; i < count; ++i) {
        all.add();
        weft::go(
            [&all, &intact, i, data = ballast<Size>(i)]
            {
                weft::yield();
                intact += data.intact(i) ? 1 : 0;
                all.done();
            });
    }
    all.wait();
    EXPECT_EQ(intact, count) << "closure with " << Size << " bytes of data";
}

template <std::size_t Alignment>
struct alignas(Alignment) aligned_callable {
    std::atomic<int>* misaligned;
    weft::wait_group* all;
    void operator()() const
    {
        // Through an integer that the compiler can't reason about: it may assume that `this` is aligned.
        std::uintptr_t address = reinterpret_cast<std::uintptr_t>(this);
        asm volatile("" : "+r"(address));
        *misaligned += address % Alignment == 0 ? 0 : 1;
        all->done();
    }
};

template <std::size_t Alignment>
void starts_closure_of_alignment()
{
    weft::wait_group all;
    std::atomic<int> misaligned{0};
    for (int i = 0; i < 100; ++i) {
        all.add();
        weft::go(aligned_callable<Alignment>{&misaligned, &all});
    }
    all.wait();
    EXPECT_EQ(misaligned, 0) << "alignment " << Alignment;
}

struct copy_failed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Its copies, or its moves, throw; `Extra` decides between a closure inside the control block and one on the heap.
template <std::size_t Extra>
struct fails_to_copy {
    counted count;
    std::array<char, Extra> extra{};
    fails_to_copy() = default;
    fails_to_copy(const fails_to_copy& other) : count(other.count) { throw copy_failed("copy"); }
    void operator()() const { ADD_FAILURE() << "ran"; }
};
template <std::size_t Extra>
struct fails_to_move {
    counted count;
    std::array<char, Extra> extra{};
    fails_to_move() = default;
    // NOLINTNEXTLINE(performance-noexcept-move-constructor,bugprone-exception-escape): that it throws is the test
    fails_to_move(fails_to_move&& other) : count(other.count) { throw copy_failed("move"); }
    void operator()() const { ADD_FAILURE() << "ran"; }
};

template <class Start>
void expect_nothing_started(Start&& start)
{
    const std::uint64_t started = weft::stats().goroutines_started;
    const std::size_t goroutines = weft::num_goroutines();
    const std::uint64_t control_blocks = weft::stats().control_blocks;
    for (int i = 0; i < 2'000; ++i)
        EXPECT_THROW(start(), copy_failed);
    EXPECT_EQ(weft::stats().goroutines_started, started);
    EXPECT_EQ(weft::num_goroutines(), goroutines);
    // A new slab of control blocks may have been needed once, not 2,000 control blocks.
    EXPECT_LE(weft::stats().control_blocks, control_blocks + (std::uint64_t{1} << 18));
}

// They end on Ps, whose caches hand them on whole magazines at a time.
TEST_F(go_test, control_blocks_of_those_that_threads_start_are_reused)
{
    constexpr std::size_t each = weft::test::under_tsan ? 400 : 4'000;
    std::atomic<std::size_t> ran{0};
    const auto round = [&]
    {
        ran = 0;
        for (std::size_t i = 0; i < each; ++i)
            weft::go([&] { ++ran; });
        EXPECT_TRUE(eventually([&] { return ran == each && weft::num_goroutines() == 0; }));
    };
    for (int i = 0; i < 3; ++i)
        round();
    const std::uint64_t before = weft::stats().control_blocks;
    const std::size_t rounds = scaled(40);
    for (std::size_t i = 0; i < rounds; ++i)
        round();
    constexpr std::uint64_t bytes = 192;
    const std::uint64_t cached = weft::stats().procs * 2 * 512;  // what Ps may keep
    EXPECT_LE(weft::stats().control_blocks, before + (cached + each) * bytes);
}

WEFT_TEST(go_test, runs_a_lambda)
{
    weft::test::gate ran;
    weft::go([&] { ran.open(); });
    ran.wait();
}

WEFT_TEST(go_test, runs_plain_functions)
{
    plain_calls = 0;
    weft::go(plain_function);
    weft::go(&plain_function);
    weft::go(plain_function_with_argument, 40);
    EXPECT_TRUE(eventually([] { return plain_calls == 42; }));
}

WEFT_TEST(go_test, runs_a_member_function_on_an_object)
{
    account a;
    weft::go(&account::deposit, &a, 5);
    weft::go(&account::deposit, std::ref(a), 6);
    EXPECT_TRUE(eventually([&] { return a.balance == 11; }));
}

WEFT_TEST(go_test, copies_an_lvalue_callable)
{
    weft::wait_group all;
    std::atomic<int> sum{0};
    int n = 1;
    const auto constant = [&, n]
    {
        sum += n;
        all.done();
    };
    auto counter = [&, n]() mutable
    {
        sum += ++n;
        all.done();
    };
    all.add(3);
    weft::go(constant);
    weft::go(counter);
    weft::go(counter);
    all.wait();
    EXPECT_EQ(sum, 1 + 2 + 2) << "each goroutine has a copy of its own";
}

WEFT_TEST(go_test, runs_a_callable_that_is_for_rvalues_only)
{
    struct once {
        std::atomic<bool>* ran;
        void operator()() && { *ran = true; }
    };
    std::atomic<bool> ran{false};
    weft::go(once{&ran});
    EXPECT_TRUE(eventually([&] { return ran.load(); }));
}

WEFT_TEST(go_test, runs_a_std_function)
{
    weft::test::gate ran;
    std::function<void()> f = [&] { ran.open(); };
    weft::go(f);
    ran.wait();
}

WEFT_TEST(go_test, takes_move_only_closures)
{
    weft::wait_group all;
    std::atomic<int> sum{0};
    all.add(2);
    weft::go(
        [&, p = std::make_unique<int>(40)]
        {
            sum += *p;
            all.done();
        });
    auto named = [&, p = std::make_unique<int>(2)]() mutable
    {
        sum += *p;
        all.done();
    };
    weft::go(std::move(named));
    all.wait();
    EXPECT_EQ(sum, 42);
}

WEFT_TEST(go_test, decays_copies_and_moves_arguments)
{
    weft::wait_group all;
    std::atomic<int> sum{0};
    std::string text = "text";
    int by_reference = 0;
    all.add(4);
    weft::go(
        [&](const std::string& s, int n)
        {
            sum += static_cast<int>(s.size()) + n;
            all.done();
        },
        text, 3);
    weft::go(
        [&](std::unique_ptr<int> p)
        {
            sum += *p;
            all.done();
        },
        std::make_unique<int>(30));
    weft::go(
        [&](int& n)
        {
            n = 5;
            all.done();
        },
        std::ref(by_reference));
    weft::go(
        [&](const char* literal)
        {
            sum += literal[1];
            all.done();
        },
        "a\5");
    text = "another one";
    all.wait();
    EXPECT_EQ(sum, 4 + 3 + 30 + 5);
    EXPECT_EQ(by_reference, 5);
}

WEFT_TEST(go_test, discards_a_result)
{
    std::atomic<bool> ran{false};
    weft::go([&] { return ran = true; });
    EXPECT_TRUE(eventually([&] { return ran.load(); }));
}

WEFT_TEST(go_test, takes_closures_of_any_size)
{
    // Three words of captures lie before the data: around the 80 bytes that fit in a control block, then far beyond.
    starts_closure_of_size<1>();
    starts_closure_of_size<32>();
    starts_closure_of_size<48>();
    starts_closure_of_size<56>();
    starts_closure_of_size<57>();
    starts_closure_of_size<64>();
    starts_closure_of_size<65>();
    starts_closure_of_size<128>();
    starts_closure_of_size<4'096>();
    starts_closure_of_size<100'000>();
}

WEFT_TEST(go_test, keeps_the_alignment_of_a_closure)
{
    starts_closure_of_alignment<16>();
    starts_closure_of_alignment<32>();
    starts_closure_of_alignment<64>();
    starts_closure_of_alignment<4'096>();
}

WEFT_TEST(go_test, destroys_a_closure_once_after_its_run)
{
    std::atomic<int> alive_within{0};
    weft::test::gate ran;
    weft::go(
        [&, c = counted()]
        {
            alive_within += counted::alive;
            ran.open();
        });
    ran.wait();
    EXPECT_GE(alive_within, 1);
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));

    weft::go([c = counted(), big = std::array<char, 500>{}] { (void)big; });
    EXPECT_TRUE(eventually([] { return counted::alive == 0; }));
}

WEFT_TEST(go_test, a_closures_destructor_may_park)
{
    struct parks_at_its_end {
        std::shared_ptr<std::atomic<bool>> done;
        explicit parks_at_its_end(std::shared_ptr<std::atomic<bool>> d) : done(std::move(d)) {}
        parks_at_its_end(parks_at_its_end&&) = default;
        ~parks_at_its_end()
        {
            if (done == nullptr)
                return;
            weft::yield();
            weft::sleep_for(std::chrono::microseconds(10));
            *done = true;
        }
    };
    const auto done = std::make_shared<std::atomic<bool>>(false);
    weft::go([p = parks_at_its_end(done)] {});
    EXPECT_TRUE(eventually([&] { return done->load(); }));
}

WEFT_TEST(go_test, a_copy_that_throws_starts_nothing)
{
    const fails_to_copy<8> small;
    expect_nothing_started([&] { weft::go(small); });
    const fails_to_copy<500> big;
    expect_nothing_started([&] { weft::go(big); });
    EXPECT_EQ(counted::alive, 2);
}

WEFT_TEST(go_test, a_move_that_throws_starts_nothing)
{
    expect_nothing_started([] { weft::go(fails_to_move<8>()); });
    expect_nothing_started([] { weft::go(fails_to_move<500>()); });
    EXPECT_EQ(counted::alive, 0);
}

WEFT_TEST(go_test, an_argument_that_throws_starts_nothing)
{
    const fails_to_copy<8> argument;
    expect_nothing_started([&] { weft::go([](const fails_to_copy<8>&) {}, argument); });
    EXPECT_EQ(counted::alive, 1);
}

WEFT_TEST(go_test, starts_many_at_once)
{
    const std::size_t count = weft::test::scaled_live(20'000);
    weft::wait_group all;
    weft::test::gate start;
    std::atomic<std::uint64_t> sum{0};
    all.add(static_cast<int>(count));
    for (std::size_t i = 1; i <= count; ++i) {
        weft::go(
            [&, i]
            {
                start.wait();
                sum += i;
                all.done();
            });
    }
    start.open();
    all.wait();
    EXPECT_EQ(sum, std::uint64_t{count} * (count + 1) / 2);
}

WEFT_TEST(go_test, starts_and_joins_in_batches)
{
    constexpr std::uint64_t each = weft::test::under_tsan ? 100 : 1'000;
    std::uint64_t expected = 0;
    std::atomic<std::uint64_t> sum{0};
    for (std::size_t batch = 0; batch < scaled(500); ++batch) {
        weft::wait_group all;
        all.add(each);
        for (std::uint64_t i = 0; i < each; ++i) {
            expected += i;
            weft::go(
                [&, i]
                {
                    sum += i;
                    all.done();
                });
        }
        all.wait();
    }
    EXPECT_EQ(sum, expected);
}

void grow_tree(unsigned depth, std::atomic<std::uint64_t>& leaves, weft::wait_group& all)
{
    if (depth == 0) {
        ++leaves;
    } else {
        for (int i = 0; i < 4; ++i)
            all.go([depth, &leaves, &all] { grow_tree(depth - 1, leaves, all); });
    }
}

WEFT_TEST(go_test, goroutines_start_goroutines)
{
    std::atomic<std::uint64_t> leaves{0};
    weft::wait_group all;
    const unsigned depth = weft::test::under_sanitizer || weft::test::slow() ? 5 : 8;
    grow_tree(depth, leaves, all);
    all.wait();
    EXPECT_EQ(leaves, std::uint64_t{1} << (2 * depth));
}

TEST_F(go_test, starts_from_plain_threads)
{
    constexpr int thread_count = 8;
    const int each = static_cast<int>(scaled(5'000));
    std::atomic<int> ran{0};
    weft::wait_group all;
    std::vector<std::thread> threads;
    for (int t = 0; t < thread_count; ++t) {
        threads.emplace_back(
            [&]
            {
                for (int i = 0; i < each; ++i) {
                    all.add();
                    weft::go(
                        [&]
                        {
                            if (weft::goroutine_id() != 0)
                                ++ran;
                            all.done();
                        });
                }
            });
    }
    for (std::thread& t : threads)
        t.join();
    all.wait();
    EXPECT_EQ(ran, thread_count * each);
}

WEFT_TEST(go_test, ids_are_unique_and_stable)
{
    const std::size_t count = scaled(20'000);
    std::vector<std::uint64_t> ids(count);
    std::atomic<int> unstable{0};
    const std::uint64_t own = weft::goroutine_id();
    weft::wait_group all;
    for (std::size_t i = 0; i < count; ++i) {
        all.go(
            [&, i]
            {
                ids[i] = weft::goroutine_id();
                weft::yield();
                unstable += ids[i] == weft::goroutine_id() ? 0 : 1;
            });
    }
    all.wait();
    ids.push_back(own);
    EXPECT_EQ(std::set<std::uint64_t>(ids.begin(), ids.end()).size(), count + 1);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), 0U), 0);
    EXPECT_EQ(unstable, 0);
    EXPECT_EQ(weft::goroutine_id(), own);
}

TEST_F(go_test, a_plain_thread_has_no_id)
{
    EXPECT_EQ(weft::goroutine_id(), 0U);
}

WEFT_TEST(go_test, num_goroutines_counts)
{
    EXPECT_EQ(weft::num_goroutines(), 1U) << "the main goroutine";
    weft::test::gate finish;
    weft::wait_group all;
    for (int i = 0; i < 100; ++i)
        all.go([&] { finish.wait(); });
    EXPECT_EQ(weft::num_goroutines(), 101U);
    finish.open();
    all.wait();
    EXPECT_TRUE(eventually([] { return weft::num_goroutines() == 1; }));
}

WEFT_TEST(go_test, locals_are_aligned)
{
    std::atomic<int> misaligned{0};
    weft::wait_group all;
    for (int i = 0; i < 20; ++i) {
        all.go(
            [&]
            {
                alignas(64) std::array<char, 64> wide{};
                alignas(16) std::array<char, 16> vector{};
                for (std::uintptr_t address : {reinterpret_cast<std::uintptr_t>(wide.data()) % 64,
                                               reinterpret_cast<std::uintptr_t>(vector.data()) % 16}) {
                    asm volatile("" : "+r"(address));
                    misaligned += address == 0 ? 0 : 1;
                }
            });
    }
    all.wait();
    EXPECT_EQ(misaligned, 0);
}

// More values live over the park than any target has registers to save.
WEFT_TEST(go_test, values_survive_a_park)
{
    std::atomic<int> lost{0};
    weft::wait_group all;
    for (int g = 0; g < 16; ++g) {
        all.go(
            [&, g]
            {
                for (std::size_t round = 0; round < scaled(2'000); ++round) {
                    std::array<std::uint64_t, 24> whole{};
                    std::array<double, 24> real{};
                    for (std::size_t i = 0; i < whole.size(); ++i) {
                        whole[i] = static_cast<std::uint64_t>(g) * 1'000 + i * 7 + round;
                        real[i] = static_cast<double>(whole[i]) * 0.5;
                    }
                    const std::uint64_t whole_sum = std::accumulate(whole.begin(), whole.end(), std::uint64_t{0});
                    const double real_sum = std::accumulate(real.begin(), real.end(), 0.0);
                    weft::yield();
                    if (whole_sum != std::accumulate(whole.begin(), whole.end(), std::uint64_t{0}) ||
                        real_sum < static_cast<double>(whole_sum) * 0.5 ||
                        real_sum > static_cast<double>(whole_sum) * 0.5)
                        ++lost;
                }
            });
    }
    all.wait();
    EXPECT_EQ(lost, 0);
}

}  // namespace
