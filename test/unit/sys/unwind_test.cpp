// The stack walker: what it finds against what the compiler's own unwinder finds, parked and interrupted stacks, and
// garbage.
#include "sys/unwind.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <unwind.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../../support/rng.hpp"
#include "../../support/scale.hpp"
#include "sys/context.hpp"
#include "sys/thread.hpp"

namespace {

namespace sys = weft::sys;
using frames = std::vector<sys::stack_frame>;

constexpr std::size_t most = 256;

struct result {
    frames found;
    sys::walk_end end;
};

/// Into the room that `r` has: allocates nothing.
void walk_into(result& r, const sys::register_set& from, const sys::stack_piece& stack)
{
    const sys::walked w = sys::walk_stack(from, {&stack, 1}, r.found);
    r.found.resize(w.count);
    r.end = w.end;
}

result walk(const sys::register_set& from, const sys::stack_piece& stack, std::size_t limit = most)
{
    result r{frames(limit), sys::walk_end::lost};
    walk_into(r, from, stack);
    return r;
}

sys::stack_piece own_stack()
{
    const sys::stack_bounds bounds = sys::this_stack();
    return sys::stack_piece::in_place(bounds.low, bounds.low + bounds.size);
}

template <class F>
const void* address_of(F* function)
{
    return reinterpret_cast<const void*>(function);
}

std::size_t count(const frames& in, const void* function)
{
    return static_cast<std::size_t>(
        std::count_if(in.begin(), in.end(), [&](const sys::stack_frame& f) { return f.function == function; }));
}

/// The functions of the calling stack as the compiler's unwinder sees them.
std::vector<const void*> functions_of_caller()
{
    std::vector<const void*> functions;
    _Unwind_Backtrace(
        [](_Unwind_Context* context, void* list)
        {
            static_cast<std::vector<const void*>*>(list)->push_back(
                reinterpret_cast<const void*>(_Unwind_GetRegionStart(context)));
            return _URC_NO_REASON;
        },
        &functions);
    return functions;
}

/// What both see from the innermost common function outwards must be the same.
void expect_same(const frames& ours, const std::vector<const void*>& theirs, const void* from)
{
    std::vector<const void*> a;
    for (const sys::stack_frame& f : ours)
        a.push_back(f.function);
    const auto begin_a = std::find(a.begin(), a.end(), from);
    const auto begin_b = std::find(theirs.begin(), theirs.end(), from);
    ASSERT_NE(begin_a, a.end());
    ASSERT_NE(begin_b, theirs.end());
    // Where theirs ends is a matter of taste: the outermost frame of a thread may be noted or not.
    const auto n = std::min(a.end() - begin_a, theirs.end() - begin_b);
    EXPECT_GE(n, 3);
    EXPECT_TRUE(std::equal(begin_a, begin_a + n, begin_b));
}

/// A recursion whose frames differ in size, with something to do after the call.
[[gnu::noinline]] int deep(int depth, const std::function<void()>& at_bottom)
{
    volatile char padding[48];
    padding[depth % 48] = static_cast<char>(depth);
    if (depth == 0) {
        at_bottom();
        return 1;
    }
    const int below = deep(depth - 1, at_bottom);
    return below + (padding[depth % 48] == static_cast<char>(depth) ? 1 : 0);
}

TEST(unwind_test, sees_what_the_compilers_unwinder_sees)
{
    bool ran = false;
    EXPECT_EQ(deep(50,
                   [&]
                   {
                       const result r = walk(sys::registers_here(), own_stack());
                       EXPECT_EQ(r.end, sys::walk_end::complete);
                       EXPECT_EQ(count(r.found, address_of(&deep)), 51U);
                       expect_same(r.found, functions_of_caller(), address_of(&deep));
                       ran = true;
                   }),
              51);
    EXPECT_TRUE(ran);
}

TEST(unwind_test, on_a_thread)
{
    std::thread(
        []
        {
            deep(10,
                 []
                 {
                     const result r = walk(sys::registers_here(), own_stack());
                     EXPECT_EQ(r.end, sys::walk_end::complete);
                     EXPECT_EQ(count(r.found, address_of(&deep)), 11U);
                     expect_same(r.found, functions_of_caller(), address_of(&deep));
                 });
        })
        .join();
}

/// A frame whose size is known at run time only, and which is aligned to more than the stack is.
[[gnu::noinline]] void realigned(std::size_t bytes, const std::function<void()>& at_bottom)
{
    alignas(64) volatile char aligned[64];
    auto* const some = static_cast<volatile char*>(__builtin_alloca(bytes));
    some[bytes - 1] = 1;
    aligned[0] = some[bytes - 1];
    at_bottom();
    aligned[1] = aligned[0];
}

TEST(unwind_test, frames_of_unknown_size)
{
    for (const std::size_t bytes : {1U, 100U, 5'000U}) {
        realigned(bytes,
                  [&]
                  {
                      deep(3,
                           [&]
                           {
                               const result r = walk(sys::registers_here(), own_stack());
                               EXPECT_EQ(r.end, sys::walk_end::complete);
                               EXPECT_EQ(count(r.found, address_of(&realigned)), 1U);
                               expect_same(r.found, functions_of_caller(), address_of(&deep));
                           });
                  });
    }
}

frames in_comparison;
int compare_and_walk(const void* a, const void* b)
{
    if (in_comparison.empty())
        in_comparison = walk(sys::registers_here(), own_stack()).found;
    return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

TEST(unwind_test, through_the_c_library)
{
    int numbers[] = {3, 1, 2};
    deep(1, [&] { std::qsort(numbers, 3, sizeof(int), &compare_and_walk); });
    EXPECT_EQ(numbers[0], 1);
    EXPECT_EQ(count(in_comparison, address_of(&compare_and_walk)), 1U);
    EXPECT_EQ(count(in_comparison, address_of(&deep)), 2U);
}

TEST(unwind_test, says_when_there_is_more)
{
    deep(50,
         []
         {
             const result r = walk(sys::registers_here(), own_stack(), 10);
             EXPECT_EQ(r.end, sys::walk_end::full);
             EXPECT_EQ(r.found.size(), 10U);
         });
}

// --- a parked stack

struct parked_stack {
    static constexpr std::size_t bytes = 256 << 10;
    std::unique_ptr<char[]> memory{new char[bytes]};
    sys::context outside{};
    sys::context inside{};

    [[nodiscard]] char* top() const { return memory.get() + bytes; }
    [[nodiscard]] sys::stack_piece piece() const { return sys::stack_piece::in_place(memory.get(), top()); }
};

void parked_main(void* argument)
{
    auto& s = *static_cast<parked_stack*>(argument);
    deep(20, [&s] { sys::switch_context(&s.inside, &s.outside, nullptr); });
    sys::switch_context(&s.inside, &s.outside, nullptr);
    std::abort();
}

class parked_test : public ::testing::Test {
protected:
    void SetUp() override
    {
        if (weft::test::under_sanitizer)
            GTEST_SKIP() << "a switch that the sanitizer is not told of";
        auto* const first =
            reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(stack_.top()) & ~std::uintptr_t{15});
        sys::make_context(stack_.inside, first, &parked_main);
        sys::switch_context(&stack_.outside, &stack_.inside, &stack_);
    }
    parked_stack stack_;
};

TEST_F(parked_test, is_walked_without_running)
{
    const std::vector<char> before(stack_.memory.get(), stack_.top());
    const result r = walk(sys::registers_of(stack_.inside), stack_.piece());
    EXPECT_EQ(r.end, sys::walk_end::complete);
    EXPECT_EQ(count(r.found, address_of(&deep)), 21U);
    EXPECT_EQ(count(r.found, address_of(&parked_main)), 1U);
    EXPECT_TRUE(std::equal(before.begin(), before.end(), stack_.memory.get()));
    sys::switch_context(&stack_.outside, &stack_.inside, nullptr);  // and it still goes on
    EXPECT_EQ(count(walk(sys::registers_of(stack_.inside), stack_.piece()).found, address_of(&deep)), 0U);
}

TEST_F(parked_test, is_walked_in_a_copy)
{
    sys::stack_piece copied = stack_.piece();
    const std::vector<char> copy(stack_.memory.get(), stack_.top());
    copied.bytes = copy.data();
    const result in_place = walk(sys::registers_of(stack_.inside), stack_.piece());
    std::memset(stack_.memory.get(), 0, parked_stack::bytes);
    const result of_copy = walk(sys::registers_of(stack_.inside), copied);
    ASSERT_EQ(of_copy.found.size(), in_place.found.size());
    for (std::size_t i = 0; i < of_copy.found.size(); ++i)
        EXPECT_EQ(of_copy.found[i].pc, in_place.found[i].pc);
    EXPECT_LT(walk(sys::registers_of(stack_.inside), stack_.piece()).found.size(), 3U);
}

TEST_F(parked_test, gives_the_same_with_a_cache)
{
    const auto cache = std::make_unique<sys::row_cache>();
    const result plain = walk(sys::registers_of(stack_.inside), stack_.piece());
    for (int i = 0; i < 3; ++i) {
        frames cached(most);
        const sys::stack_piece piece = stack_.piece();
        const sys::walked w = sys::walk_stack(sys::registers_of(stack_.inside), {&piece, 1}, cached, cache.get());
        ASSERT_EQ(w.count, plain.found.size());
        for (std::size_t f = 0; f < w.count; ++f)
            EXPECT_EQ(cached[f].pc, plain.found[f].pc);
    }
}

TEST_F(parked_test, only_within_its_bounds)
{
    // Cut off anywhere, the frames that are left are the same ones.
    const result whole = walk(sys::registers_of(stack_.inside), stack_.piece());
    const auto sp = reinterpret_cast<std::uintptr_t>(stack_.inside.sp);
    for (std::size_t bytes = 0; bytes < 2'000; bytes += 8) {
        sys::stack_piece cut = stack_.piece();
        cut.high = sp + bytes;
        const result r = walk(sys::registers_of(stack_.inside), cut);
        EXPECT_TRUE(r.end == sys::walk_end::lost || r.found.size() == whole.found.size());
        ASSERT_LE(r.found.size(), whole.found.size());
        for (std::size_t i = 0; i < r.found.size(); ++i)
            EXPECT_EQ(r.found[i].pc, whole.found[i].pc);
    }
}

// --- signals

std::atomic<bool> handled{false};
result in_handler;

sys::stack_piece interrupted_stack;  ///< found beforehand: the C library allocates to find it

void walk_from_handler(int)
{
    walk_into(in_handler, sys::registers_here(), interrupted_stack);
    handled = true;
}

void walk_interrupted(int, siginfo_t*, void* ucontext)
{
    in_handler = walk(sys::registers_of_signal(ucontext), own_stack());
    handled = true;
}

class handler {
public:
    template <class F>
    explicit handler(F&& set)
    {
        struct sigaction ours = {};
        set(ours);
        ::sigaction(SIGUSR1, &ours, &before_);
        handled = false;
    }
    ~handler() { ::sigaction(SIGUSR1, &before_, nullptr); }
    handler(const handler&) = delete;
    handler& operator=(const handler&) = delete;

private:
    struct sigaction before_{};
};

TEST(unwind_test, through_a_signal_frame)
{
    if (weft::test::slow())
        GTEST_SKIP() << "an emulator's signal frames have no tables";
    const handler installed([](struct sigaction& s) { s.sa_handler = &walk_from_handler; });
    interrupted_stack = own_stack();
    in_handler.found.assign(most, {});
    deep(5, [] { ::raise(SIGUSR1); });
    ASSERT_TRUE(handled);
    if (weft::test::under_tsan)
        return;  // calls handlers when it likes
    EXPECT_EQ(in_handler.end, sys::walk_end::complete);
    EXPECT_EQ(count(in_handler.found, address_of(&walk_from_handler)), 1U);
    EXPECT_EQ(count(in_handler.found, address_of(&deep)), 6U);
}

std::atomic<bool> spinning{false};
std::atomic<std::uint64_t> spins{0};

/// Calls nothing: at any instruction its frame is what the tables say for just that one.
[[gnu::noinline]] void leaf()
{
    while (!handled.load(std::memory_order_relaxed)) {
        spins.store(spins.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        spinning.store(true, std::memory_order_relaxed);
    }
}

TEST(unwind_test, an_interrupted_leaf_function)
{
    if (weft::test::under_tsan)
        GTEST_SKIP() << "calls handlers when it likes";
    const handler installed(
        [](struct sigaction& s)
        {
            s.sa_sigaction = &walk_interrupted;
            s.sa_flags = SA_SIGINFO;
        });
    for (int round = 0; round < 20; ++round) {
        handled = false;
        spinning = false;
        std::thread t([] { deep(4, [] { leaf(); }); });
        while (!spinning)
            std::this_thread::yield();
        ::pthread_kill(t.native_handle(), SIGUSR1);
        t.join();
        EXPECT_EQ(in_handler.end, sys::walk_end::complete);
        EXPECT_EQ(count(in_handler.found, address_of(&leaf)), 1U);
        EXPECT_EQ(count(in_handler.found, address_of(&deep)), 5U);
    }
}

/// At every instruction of prologues and epilogues, of functions that the C library provides too.
TEST(unwind_test, interrupted_anywhere)
{
    if (weft::test::under_tsan)
        GTEST_SKIP() << "calls handlers when it likes";
    const handler installed(
        [](struct sigaction& s)
        {
            s.sa_sigaction = &walk_interrupted;
            s.sa_flags = SA_SIGINFO;
        });
    std::atomic<bool> stop{false};
    std::atomic<bool> ready{false};
    std::thread t(
        [&]
        {
            std::vector<int> numbers(64);
            while (!stop) {
                deep(3,
                     [&]
                     {
                         for (std::size_t i = 0; i < numbers.size(); ++i)
                             numbers[i] = static_cast<int>((i * 7'919) % 64);
                         std::qsort(numbers.data(), numbers.size(), sizeof(int), [](const void* a, const void* b)
                                    { return *static_cast<const int*>(a) - *static_cast<const int*>(b); });
                     });
                ready = true;
            }
        });
    while (!ready)
        std::this_thread::yield();
    std::size_t complete = 0;
    constexpr std::size_t rounds = 500;
    for (std::size_t i = 0; i < rounds; ++i) {
        handled = false;
        ::pthread_kill(t.native_handle(), SIGUSR1);
        while (!handled)
            std::this_thread::yield();
        complete += in_handler.end == sys::walk_end::complete ? 1 : 0;
    }
    stop = true;
    t.join();
    EXPECT_EQ(complete, rounds);
}

#if defined(__aarch64__)
/// The linker's stubs have no tables there.
TEST(unwind_test, interrupted_where_no_table_says_anything)
{
    bool ran = false;
    deep(10,
         [&]
         {
             sys::register_set r = sys::registers_here();
             r.set(sys::dwarf::link, r.pc());
             r.set(sys::dwarf::program_counter, reinterpret_cast<std::uintptr_t>(&in_handler));
             const result walked = walk(r, own_stack());
             EXPECT_EQ(walked.end, sys::walk_end::complete);
             EXPECT_EQ(count(walked.found, address_of(&deep)), 11U);
             ran = true;
         });
    EXPECT_TRUE(ran);
}
#endif

// --- garbage

TEST(unwind_test, garbage_is_walked_to_some_end)
{
    const std::uint64_t seed = std::random_device()();
    RecordProperty("seed", std::to_string(seed));
    SCOPED_TRACE("seed " + std::to_string(seed));
    weft::test::rng source(seed);
    const auto random = [&source] { return source.next(); };
    std::vector<std::uintptr_t> stack(2'048);
    const std::uintptr_t code[] = {reinterpret_cast<std::uintptr_t>(&deep),
                                   reinterpret_cast<std::uintptr_t>(&std::qsort),
                                   reinterpret_cast<std::uintptr_t>(&leaf), reinterpret_cast<std::uintptr_t>(&::raise),
                                   reinterpret_cast<std::uintptr_t>(&std::abort)};
    const auto low = reinterpret_cast<std::uintptr_t>(stack.data());
    const std::size_t bytes = stack.size() * sizeof stack[0];
    const auto any = [&]() -> std::uintptr_t
    {
        switch (random() % 6) {
            case 0:
                return random();
            case 1:
                return random() % 4'096;
            case 2:
            case 3:
                return low + random() % bytes / 8 * 8;
            default:
                return code[random() % std::size(code)] + random() % 512;
        }
    };
    const auto cache = std::make_unique<sys::row_cache>();
    frames found(64);
    std::size_t noted = 0;
    for (std::size_t round = 0; round < weft::test::scaled(200'000); ++round) {
        for (int i = 0; i < 64; ++i)
            stack[random() % stack.size()] = any();
        sys::register_set r;
        for (unsigned i = 0; i < sys::dwarf::count; ++i)
            if (random() % 4 != 0)
                r.set(i, any());
        r.set(sys::dwarf::program_counter, any());
        sys::stack_piece piece{low, low + bytes, reinterpret_cast<const char*>(stack.data())};
        if (random() % 4 == 0) {
            piece.low += random() % bytes;
            piece.bytes += piece.low - low;
            piece.high = piece.low + random() % (low + bytes - piece.low);
        }
        const sys::walked w =
            sys::walk_stack(r, {&piece, random() % 8 == 0 ? 0U : 1U}, found, random() % 2 == 0 ? cache.get() : nullptr);
        ASSERT_LE(w.count, found.size());
        noted += w.count;
    }
    EXPECT_GT(noted, 0U);
}

TEST(unwind_test, the_table_of_objects_says_what_the_loader_says)
{
    for (const std::uintptr_t base :
         {reinterpret_cast<std::uintptr_t>(&deep), reinterpret_cast<std::uintptr_t>(&std::qsort),
          reinterpret_cast<std::uintptr_t>(&::raise), reinterpret_cast<std::uintptr_t>(&in_handler)}) {
        for (std::uintptr_t pc = base; pc < base + 200; ++pc) {
            sys::cfi_row a;
            sys::cfi_row b;
            const bool found = sys::find_row(pc, a);
            ASSERT_EQ(sys::find_row_by_table(pc, b), found);
            if (!found)
                continue;
            EXPECT_EQ(a.function, b.function);
            EXPECT_EQ(a.cfa_register, b.cfa_register);
            EXPECT_EQ(a.cfa_value, b.cfa_value);
            EXPECT_EQ(a.rules, b.rules);
            EXPECT_EQ(a.values, b.values);
        }
    }
}

}  // namespace
