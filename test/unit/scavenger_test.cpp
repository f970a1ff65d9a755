// Free stacks give their memory back (src/rt/services/scavenger.cpp), and what is said of memory is true.
#include "rt/services/scavenger.hpp"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "rt/stack/scavenging.hpp"
#include "rt/stack/stack.hpp"
#include "sys/memory.hpp"

namespace {

using scavenger_test = weft::test::fixture;
using weft::test::eventually;
using weft::test::gate;
using weft::test::procs;
using weft::test::scaled;
using weft::test::scaled_live;
using weft::test::spin_until;
using weft::test::under_sanitizer;

constexpr std::size_t kib = 1'024;

/// Uses `bytes` of the caller's stack. Returns a sum of them, so that the compiler does not leave it out.
[[gnu::noinline]] unsigned go_deep(std::size_t bytes, unsigned char value)
{
    std::array<volatile unsigned char, kib> here;
    for (volatile unsigned char& byte : here)
        byte = value;
    unsigned sum = bytes > kib ? go_deep(bytes - kib, static_cast<unsigned char>(value + 1)) : 0;
    for (const volatile unsigned char& byte : here)
        sum += byte == value ? 0U : 1U;
    return sum;
}

/// Parked ones keep their stacks: what is looked at here are free ones.
constexpr weft::attr hot{.hibernate = false};

/// `count` goroutines that are all deep, and then all alive at the same time. The number of bytes that went wrong.
unsigned burst(std::size_t count, std::size_t depth)
{
    gate finish;
    weft::wait_group all;
    std::atomic<std::size_t> arrived{0};
    std::atomic<unsigned> bad{0};
    all.add(static_cast<int>(count));
    for (std::size_t i = 0; i < count; ++i)
        weft::go(hot,
                 [&]
                 {
                     bad += go_deep(depth, static_cast<unsigned char>(arrived.load()));
                     ++arrived;
                     finish.wait();
                     all.done();
                 });
    EXPECT_TRUE(eventually([&] { return arrived == count; }));
    finish.open();
    all.wait();
    return bad;
}

/// Has all free stacks decay; the caller's P may keep those in its cache.
void let_decay()
{
    EXPECT_TRUE(eventually(
        []
        {
            (void)weft::rt::scavenge_once();
            const weft::runtime_stats s = weft::stats();
            return s.stack_committed / 4'096 <= s.stacks_in_use + 64 * s.procs;
        }));
}

/// Our own stack is in memory; where that is not known, as under an emulator, nothing is.
#define SKIP_WHERE_MEMORY_IS_UNKNOWN() \
    if (weft::memory().stacks == 0)    \
    GTEST_SKIP() << "what is in memory is not known here"

WEFT_TEST(scavenger_test, a_burst_gives_its_memory_back)
{
    SKIP_WHERE_MEMORY_IS_UNKNOWN();
    const procs one(1);
    const std::size_t count = scaled_live(4'000);
    let_decay();
    const std::uint64_t before = weft::memory().stacks;
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(burst(count, 32 * kib), 0U);
    const std::uint64_t after = weft::memory().stacks;
    const bool soon = std::chrono::steady_clock::now() - began < std::chrono::milliseconds(500);
    if (soon) {  // else somebody may have looked at them twice
        EXPECT_GE(after, before + count * 32 * kib) << "for a while they are kept as they are";
    }
    // A P's cache: 64 stacks, and a page each for what else is in use.
    const std::uint64_t cached = 64 * (32 + 16) * kib;
    EXPECT_TRUE(eventually(
        [&]
        {
            (void)weft::rt::scavenge_once();
            return weft::memory().stacks <= before + cached;
        }))
        << weft::memory().stacks << " after, " << before << " before";
}

/// Whether the kernel frees page tables of which nothing is left: Linux 6.14.
bool page_tables_are_freed()
{
    constexpr std::size_t bytes = 64 * 2'048 * kib;
    auto* const probe =
        static_cast<char*>(weft::sys::reserve(bytes, 2'048 * kib, weft::sys::pages::small, "weft test"));
    for (std::size_t at = 0; at < bytes; at += 2'048 * kib)
        probe[at] = 1;
    const std::uint64_t with = weft::memory().page_tables;
    weft::sys::discard(probe, bytes);
    const std::uint64_t without = weft::memory().page_tables;
    weft::sys::release(probe, bytes);
    return without + 32 * 4 * kib < with;
}

// Nobody has to ask for it: the whole process is idle, and the thread wakes by itself, until all is done.
TEST_F(scavenger_test, by_itself_and_completely)
{
    const std::size_t count = scaled_live(10'000);
    weft::run(let_decay);
    const weft::runtime_memory base = weft::memory();
    weft::run([&] { EXPECT_EQ(burst(count, 32 * kib), 0U); });
    const weft::runtime_memory peak = weft::memory();
    EXPECT_TRUE(spin_until(
        []
        {
            const weft::runtime_stats s = weft::stats();
            return s.stack_committed / 4'096 <= s.stacks_in_use;
        }))
        << "every free stack is given back, those in the caches of idle Ps as well";
    EXPECT_TRUE(spin_until([] { return weft::rt::scavenger_word.load() == weft::rt::scavenger_sleep::deep; }))
        << "and then it sleeps for good";
    const weft::runtime_memory after = weft::memory();
    EXPECT_LE(after.stacks, base.stacks + (peak.stacks - base.stacks) / 20);
    // A few tables are too little beside what others need.
    if (!under_sanitizer && !weft::test::slow() && weft::sys::guards_are_markers() && page_tables_are_freed()) {
        const std::uint64_t tables =
            count * weft::rt::stack_bytes(weft::rt::default_stack_class) / (2'048 * kib) * 4 * kib;  // a page for 2 MiB
        EXPECT_LE(after.page_tables, peak.page_tables - tables * 9 / 10) << peak.page_tables << " before";
    }
    // Reused, not made anew.
    const std::uint64_t reserved = weft::stats().stack_reserved;
    weft::run([&] { EXPECT_EQ(burst(count, 32 * kib), 0U); });
    EXPECT_EQ(weft::stats().stack_reserved, reserved);
}

// Stacks come and go, deep and shallow, of several sizes, while somebody looks at the free ones all the time.
WEFT_TEST(scavenger_test, never_takes_what_is_in_use)
{
    const procs four(4);
    std::atomic<bool> stop{false};
    std::thread looker(
        [&]
        {
            while (!stop)
                (void)weft::rt::scavenge_once();
        });
    std::atomic<unsigned> bad{0};
    weft::wait_group all;
    for (std::size_t worker = 0; worker < 8; ++worker) {
        all.go(
            [&, worker]
            {
                for (std::size_t round = 0; round < scaled(60); ++round) {
                    weft::wait_group some;
                    for (std::size_t i = 0; i < 40; ++i) {
                        const std::size_t size = (32 * kib) << ((worker + i) % 5);
                        some.add();
                        weft::go(weft::attr{.stack_size = size},
                                 [&, i]
                                 {
                                     const auto value = static_cast<unsigned char>(i);
                                     std::array<volatile unsigned char, 2 * kib> mine;
                                     for (volatile unsigned char& byte : mine)
                                         byte = value;
                                     bad += go_deep(1 + (i % 3) * 4 * kib, value);
                                     weft::yield();
                                     for (const volatile unsigned char& byte : mine)
                                         bad += byte == value ? 0U : 1U;
                                     some.done();
                                 });
                    }
                    some.wait();
                }
            });
    }
    all.wait();
    stop = true;
    looker.join();
    EXPECT_EQ(bad, 0U);
}

TEST_F(scavenger_test, memory_adds_up_to_what_the_process_has)
{
    if (under_sanitizer)
        GTEST_SKIP() << "a sanitizer's shadow is most of the process";
    // Without guard markers each stack costs two of vm.max_map_count.
    const std::size_t count = weft::test::slow() ? 1'000 : weft::sys::guards_are_markers() ? 100'000 : 20'000;
    weft::run(
        [&]
        {
            SKIP_WHERE_MEMORY_IS_UNKNOWN();
            let_decay();
            // What tests before this one have freed, 200 MB of it, malloc gives back at some free() to come unless
            // asked to now.
            (void)::malloc_trim(0);
            const weft::runtime_memory before = weft::memory();
            const std::uint64_t committed_before = weft::stats().stack_committed;
            gate finish;
            weft::wait_group all;
            std::atomic<std::size_t> arrived{0};
            all.add(static_cast<int>(count));
            for (std::size_t i = 0; i < count; ++i)
                weft::go(hot,
                         [&]
                         {
                             ++arrived;
                             finish.wait();
                             all.done();
                         });
            EXPECT_TRUE(eventually([&] { return arrived == count && weft::stats().goroutines_waiting == count; }));
            const weft::runtime_memory during = weft::memory();
            EXPECT_GE(during.stacks, count * 4 * kib);
            EXPECT_GE(during.control_blocks, count * 128);
            // The rest was there before.
            const double rest = static_cast<double>(before.resident - before.stacks - before.control_blocks);
            const double sum = rest + static_cast<double>(during.stacks + during.control_blocks + during.page_tables);
            const double whole = static_cast<double>(during.resident + during.page_tables);
            EXPECT_NEAR(sum, whole, whole / 20);
            // Those that are there already may be deep, in a P's cache.
            EXPECT_GE((weft::stats().stack_committed - committed_before) * 21, (during.stacks - before.stacks) * 20)
                << "as long as all are shallow";
            finish.open();
            all.wait();
        });
}

/// Whether this kernel keeps names of anonymous mappings.
bool names_are_kept()
{
    void* const page = ::mmap(nullptr, 4 * kib, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    constexpr int set_vma = 0x53564d41;
    const bool kept = ::prctl(set_vma, 0, page, 4 * kib, "weft test") == 0;
    ::munmap(page, 4 * kib);
    return kept;
}

TEST_F(scavenger_test, the_kernel_knows_what_is_whose)
{
    if (!names_are_kept())
        GTEST_SKIP() << "this kernel was built without CONFIG_ANON_VMA_NAME";
    weft::run([] { weft::async(weft::attr{.stack_size = 1'024 * kib}, [] {}).get(); });
    std::ifstream maps("/proc/self/maps");
    const std::string text((std::istreambuf_iterator<char>(maps)), std::istreambuf_iterator<char>());
    for (const char* const name : {"[anon:weft stacks]", "[anon:weft stacks 1M]", "[anon:weft goroutines]"})
        EXPECT_NE(text.find(name), std::string::npos) << name << " in\n" << text;
}

}  // namespace
