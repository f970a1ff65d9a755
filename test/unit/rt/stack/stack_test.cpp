// rt/stack/stack.hpp: sizes, guards and reuse of stacks.
#include "rt/stack/stack.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "base/cpu.hpp"
#include "rt/services/scavenger.hpp"
#include "sys/memory.hpp"

namespace {

using namespace weft::rt;

constexpr std::size_t kib = 1'024;

static_assert(stack_guard > 33 * kib, "the largest frame that was found without probes, in libnats");
static_assert(stack_reserve(min_stack) == 128 * kib);
static_assert(stack_reserve(64 * kib) == 128 * kib);
static_assert(stack_reserve(64 * kib + 1) == 128 * kib, "the guard may be a sixteenth of the size");
static_assert(stack_reserve(100 * kib) == 256 * kib);
static_assert(stack_reserve(weft::default_stack_size) == weft::default_stack_size + stack_guard);
static_assert(stack_reserve(256 * kib) == 512 * kib);
static_assert(stack_reserve(1'024 * kib) == 1'024 * kib);
static_assert(stack_reserve(max_stack) == max_stack);

TEST(stack_test, a_class_has_room_for_what_was_asked)
{
    EXPECT_EQ(stack_class_of(min_stack), 1);
    EXPECT_EQ(stack_class_of(max_stack), stack_classes - 1);
    EXPECT_EQ(stack_class_of(weft::default_stack_size), default_stack_class);
    for (std::size_t size = min_stack; size <= max_stack; size += size / 7 / 16 * 16)
        EXPECT_GE(usable_stack_bytes(stack_class_of(size)), size - size / 16) << size;
}

// Whether the kernel would read this byte for us.
bool readable(const char* at)
{
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0)
        return false;
    const bool good = ::write(ends[1], at, 1) == 1;
    EXPECT_TRUE(good || errno == EFAULT);
    ::close(ends[0]);
    ::close(ends[1]);
    return good;
}

TEST(stack_test, the_guard_faults_and_the_rest_does_not)
{
    for (unsigned cls = 0; cls < 10; ++cls) {
        char* const top = take_stack(cls);
        ASSERT_NE(top, nullptr);
        const char* const low = top - stack_bytes(cls);
        const std::size_t guard = stack_guard;
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(low) % stack_bytes(cls), 0U) << "class " << cls;
        EXPECT_FALSE(readable(low));
        EXPECT_FALSE(readable(low + guard - 1));
        EXPECT_TRUE(readable(low + guard));
        EXPECT_TRUE(readable(top - 1));
        top[-1] = 'x';
        give_stack(top, cls);
    }
}

TEST(stack_test, a_free_stack_is_reused)
{
    for (const unsigned cls : {1U, 2U, unsigned{default_stack_class}}) {
        char* const first = take_stack(cls);
        ASSERT_NE(first, nullptr);
        give_stack(first, cls);
        char* const second = take_stack(cls);
        EXPECT_EQ(second, first);
        give_stack(second, cls);
    }
}

TEST(stack_test, living_stacks_are_distinct)
{
    std::set<char*> tops;
    constexpr unsigned cls = 1;
    for (int i = 0; i < 200; ++i) {
        char* const top = take_stack(cls);
        ASSERT_NE(top, nullptr);
        EXPECT_TRUE(tops.insert(top).second);
    }
    char* before = nullptr;
    for (char* const top : tops) {
        if (before != nullptr) {
            EXPECT_GE(top - before, static_cast<std::ptrdiff_t>(stack_bytes(cls)));
        }
        before = top;
        give_stack(top, cls);
    }
}

std::uintptr_t number(const char* at)
{
    return reinterpret_cast<std::uintptr_t>(at);
}

void expect_found(const char* at, const char* top, unsigned cls)
{
    const stack_at found = find_stack(number(at));
    EXPECT_EQ(found.top, top) << "class " << cls << ", " << top - at << " below the top";
    EXPECT_EQ(found.cls, cls);
}

TEST(stack_test, an_address_tells_its_stack)
{
    for (unsigned cls = 0; cls < stack_classes; ++cls) {
        char* const top = take_stack(cls);
        ASSERT_NE(top, nullptr);
        const char* const low = top - stack_bytes(cls);
        for (const std::size_t below : {stack_bytes(cls), stack_bytes(cls) - 1, stack_bytes(cls) / 2, std::size_t{1}})
            expect_found(top - below, top, cls);
        EXPECT_NE(find_stack(number(top)).top, top) << "belongs to the next one";
        EXPECT_NE(find_stack(number(low - 1)).top, top);
        give_stack(top, cls);
        expect_found(low, top, cls);
    }
}

TEST(stack_test, each_of_many_is_found)
{
    constexpr unsigned cls = 1;
    std::vector<char*> tops;
    for (int i = 0; i < 500; ++i) {  // several slabs
        tops.push_back(take_stack(cls));
        ASSERT_NE(tops.back(), nullptr);
    }
    for (char* const top : tops) {
        expect_found(top - 1, top, cls);
        expect_found(top - stack_bytes(cls), top, cls);
    }
    for (char* const top : tops)
        give_stack(top, cls);
}

TEST(stack_test, addresses_elsewhere_are_in_no_stack)
{
    static char variable[1];
    char local[1];
    const auto heap = std::make_unique<char[]>(100'000);
    for (const std::uintptr_t address : {std::uintptr_t{0}, std::uintptr_t{16}, ~std::uintptr_t{0}, number(variable),
                                         number(local), number(heap.get()), std::uintptr_t{1} << 63U})
        EXPECT_EQ(find_stack(address).top, nullptr) << address;
}

// Slabs appear while others look: what has been handed out is always found.
TEST(stack_test, looking_while_others_make_stacks)
{
    constexpr int stacks = 300;
    const auto work = [](unsigned cls)
    {
        std::vector<char*> tops;
        for (int i = 0; i < stacks; ++i) {
            tops.push_back(take_stack(cls));
            ASSERT_NE(tops.back(), nullptr);
            expect_found(tops.back() - 1, tops.back(), cls);
            expect_found(tops.front() - 1, tops.front(), cls);
        }
        for (char* const top : tops)
            give_stack(top, cls);
    };
    std::vector<std::thread> all;
    for (const unsigned cls : {2U, 4U, 5U, 7U})
        all.emplace_back(work, cls);
    for (std::thread& t : all)
        t.join();
}

/// Looks until no free stack has memory.
void let_all_decay()
{
    for (int looks = 0; weft::rt::scavenge_once(); ++looks)
        ASSERT_LT(looks, 1'000);
}

TEST(stack_test, trimming_leaves_what_is_needed)
{
    for (const unsigned cls : {1U, unsigned{default_stack_class}, 6U}) {
        char* const top = take_stack(cls);
        ASSERT_NE(top, nullptr);
        const std::size_t usable = usable_stack_bytes(cls);
        for (std::size_t below = 1; below <= usable; below += weft::base::page_size)
            top[-static_cast<std::ptrdiff_t>(below)] = 'x';
        const auto resident = [&] { return weft::sys::resident(top - usable, usable); };
        ASSERT_EQ(resident(), usable);
        for (const std::size_t used : {usable, usable - 129, std::size_t{5'000}, std::size_t{4'000}, std::size_t{1}}) {
            trim_stack(top, cls, top - used);
            const std::size_t pages = (used + 128 + weft::base::page_size - 1) / weft::base::page_size;
            EXPECT_EQ(resident(), std::min(pages * weft::base::page_size, usable)) << used << " bytes in use";
            EXPECT_EQ(top[-1], 'x');
        }
        EXPECT_FALSE(readable(top - usable - 1)) << "the guard is still there";
        trim_stack(top, cls, top);
        EXPECT_EQ(resident(), weft::base::page_size) << "and again, where nothing is";
        give_stack(top, cls);
    }
}

TEST(stack_test, free_stacks_decay_and_are_guarded_when_they_come_back)
{
    constexpr std::size_t count = 200;
    constexpr unsigned cls = default_stack_class;
    constexpr std::size_t deep = std::size_t{32} << 10;
    const auto use_all = [&](std::vector<char*>& tops)
    {
        for (std::size_t i = 0; i < count; ++i) {
            char* const top = take_stack(cls);
            ASSERT_NE(top, nullptr);
            tops.push_back(top);
            for (std::size_t below = 1; below <= deep; below += weft::base::page_size) {
                char& byte = top[-static_cast<std::ptrdiff_t>(below)];
                EXPECT_EQ(byte, 0) << "memory that comes back is new";
                byte = 'x';
            }
            EXPECT_FALSE(readable(top - stack_bytes(cls)));
            EXPECT_FALSE(readable(top - stack_bytes(cls) + stack_guard - 1));
        }
    };
    for (int round = 0; round < 3; ++round) {
        let_all_decay();
        const std::uint64_t made = count_stacks().made;
        std::vector<char*> tops;
        use_all(tops);
        for (char* const top : tops)
            give_stack(top, cls);
        let_all_decay();
        for (const char* const top : tops)
            EXPECT_EQ(weft::sys::resident(top - deep, deep), 0U);
        const stack_counts now = count_stacks();
        EXPECT_EQ(now.cold, now.free);
        if (round > 0) {
            EXPECT_EQ(now.made, made);
        }
    }
}

TEST(stack_test, counts)
{
    const stack_counts before = count_stacks();
    std::vector<char*> taken;
    for (int i = 0; i < 10; ++i)
        taken.push_back(take_stack(3));
    const stack_counts during = count_stacks();
    EXPECT_EQ(during.made - during.free, before.made - before.free + 10);
    for (char* const top : taken)
        give_stack(top, 3);
    const stack_counts after = count_stacks();
    EXPECT_EQ(after.made - after.free, before.made - before.free);
}

TEST(stack_test, a_large_stacks_memory_is_given_back)
{
    constexpr unsigned cls = 6;  // 4 MiB
    char* const top = take_stack(cls);
    ASSERT_NE(top, nullptr);
    char* const deep = top - (std::size_t{1} << 20);
    deep[0] = 'x';
    give_stack(top, cls);
    ASSERT_EQ(take_stack(cls), top);
    EXPECT_EQ(deep[0], 0) << "the page is new";
    give_stack(top, cls);
}

TEST(stack_test, the_first_frame_is_aligned_and_near_the_top)
{
    for (unsigned cls = 0; cls < stack_classes; ++cls) {
        for (std::uintptr_t i = 1; i < 40; ++i) {
            char* const top = reinterpret_cast<char*>(i * stack_bytes(cls));
            char* const frame = first_frame(top, cls);
            ASSERT_EQ(reinterpret_cast<std::uintptr_t>(frame) % 64, 0U);
            ASSERT_LE(frame, top);
            ASSERT_LE(top - frame, 1'024);
        }
    }
}

}  // namespace
