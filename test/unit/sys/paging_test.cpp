// sys/paging.hpp: pages are taken away and come back, by both ways, and nobody who touches one meanwhile sees it
// missing.
//
// Each test runs in a child of fork(): how pages come back is one choice for the whole process, and the runtime of this
// one has made it.
#include "sys/paging.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "../../support/in_child.hpp"
#include "../../support/scale.hpp"
#include "sys/memory.hpp"

namespace {

using namespace weft::sys;
using weft::test::in_child;

constexpr std::size_t page = 4'096;

/// Sets the process up for `how`; what this machine refuses is said, not passed over.
bool set_up(refill how)
{
    (void)init_guards(false);
    if (init_paging(how != refill::userfault, how != refill::memory_file) == how)
        return true;
    std::printf("left out on this machine: %s\n", refill_refusal());
    return false;
}

/// Whether this machine can do `how`; asked in a child, since it is a choice for the whole process.
bool has(refill how)
{
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(set_up(how) ? 0 : 1);
    int status = -1;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class paging_test : public testing::TestWithParam<refill> {
protected:
    /// Runs `f` in a child that is set up.
    template <class F>
    void run(F&& f)
    {
        if (weft::test::under_tsan)
            GTEST_SKIP() << "TSan itself does not go on in the child of a process with threads";
        if (!has(GetParam()))
            GTEST_SKIP() << "this machine refuses it";
        in_child(
            [&]
            {
                EXPECT_TRUE(set_up(GetParam()));
                f();
            });
    }
};
INSTANTIATE_TEST_SUITE_P(each, paging_test, testing::Values(refill::userfault, refill::memory_file),
                         [](const auto& i) { return i.param == refill::userfault ? "userfault" : "memory_file"; });

/// Some pages that may be paged.
struct paged {
    explicit paged(std::size_t pages)
        : bytes(pages * page), at(static_cast<char*>(reserve(bytes, page, pages::small, "weft test")))
    {
        EXPECT_NE(at, nullptr);
        EXPECT_TRUE(allow_paging(at, bytes));
    }
    char* page_at(std::size_t i) const { return at + i * page; }

    std::size_t bytes;
    char* at;
};

/// What a system call makes of the byte there: 0 or an errno.
int error_of_reading(const char* at)
{
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0)
        return errno;
    const int error = ::write(ends[1], at, 1) == 1 ? 0 : errno;
    ::close(ends[0]);
    ::close(ends[1]);
    return error;
}

TEST_P(paging_test, pages_come_back_in_place_of_markers)
{
    run(
        []
        {
            EXPECT_EQ(refill_in_use(), GetParam());
            const paged memory(5);
            for (std::size_t i = 0; i < 5; ++i)
                *memory.page_at(i) = static_cast<char>('a' + i);
            ASSERT_TRUE(guard(memory.page_at(1), 3 * page));
            EXPECT_EQ(error_of_reading(memory.page_at(2)), EFAULT);
            std::vector<char> image(2 * page, 'x');
            image.back() = 'y';
            EXPECT_EQ(put_back(memory.page_at(2), image.data(), image.size()), 0);
            EXPECT_EQ(*memory.page_at(0), 'a');
            EXPECT_EQ(error_of_reading(memory.page_at(1)), EFAULT) << "the next one still has its marker";
            EXPECT_EQ(std::memcmp(memory.page_at(2), image.data(), image.size()), 0);
            EXPECT_EQ(*memory.page_at(4), 'e');
            *memory.page_at(2) = 'z';  // and can be written to
            EXPECT_EQ(*memory.page_at(2), 'z');
            release(memory.at, memory.bytes);
        });
}

TEST_P(paging_test, pages_come_back_where_there_is_no_access)
{
    run(
        []
        {
            const paged memory(4);
            for (std::size_t i = 0; i < 4; ++i)
                *memory.page_at(i) = static_cast<char>('a' + i);
            ASSERT_TRUE(set_access(memory.at, memory.bytes, access::none));
            discard(memory.page_at(1), 2 * page);
            const std::vector<char> image(page, 'x');
            EXPECT_EQ(put_below(memory.page_at(1), image.data(), page), 0);
            EXPECT_EQ(error_of_reading(memory.page_at(1)), EFAULT) << "its access is as it was";
            EXPECT_EQ(error_of_reading(memory.page_at(0)), EFAULT);
            ASSERT_TRUE(set_access(memory.at, memory.bytes, access::all));
            EXPECT_EQ(*memory.page_at(0), 'a');
            EXPECT_EQ(std::memcmp(memory.page_at(1), image.data(), page), 0);
            EXPECT_EQ(*memory.page_at(2), 0) << "the other one was discarded";
            EXPECT_EQ(*memory.page_at(3), 'd');
            *memory.page_at(1) = 'z';
            EXPECT_EQ(*memory.page_at(1), 'z');
            release(memory.at, memory.bytes);
        });
}

TEST_P(paging_test, markers_can_be_taken_away)
{
    run(
        []
        {
            const paged memory(2);
            *memory.page_at(1) = 'b';
            ASSERT_TRUE(guard(memory.at, page));
            EXPECT_EQ(error_of_reading(memory.at), EFAULT);
            ASSERT_TRUE(unguard(memory.at, memory.bytes));
            EXPECT_EQ(error_of_reading(memory.at), 0);
            EXPECT_EQ(*memory.page_at(1), 'b');
            release(memory.at, memory.bytes);
        });
}

TEST_P(paging_test, access_is_what_it_is_set_to)
{
    run(
        []
        {
            const paged memory(1);
            *memory.at = 'a';
            ASSERT_TRUE(set_access(memory.at, page, access::none));
            EXPECT_EQ(error_of_reading(memory.at), EFAULT);
            ASSERT_TRUE(set_access(memory.at, page, access::read));
            EXPECT_EQ(error_of_reading(memory.at), 0);
            EXPECT_EQ(*memory.at, 'a');
            ASSERT_TRUE(set_access(memory.at, page, access::all));
            *memory.at = 'b';
            EXPECT_EQ(*memory.at, 'b');
            release(memory.at, memory.bytes);
        });
}

TEST_P(paging_test, the_rest_is_touched_as_ever)
{
    run(
        []
        {
            // Pages that were never touched come when they are wanted, for system calls too.
            const paged memory(3);
            EXPECT_EQ(error_of_reading(memory.at), 0);
            std::array<int, 2> ends{};
            ASSERT_EQ(::pipe(ends.data()), 0);
            ASSERT_EQ(::write(ends[1], "x", 1), 1);
            EXPECT_EQ(::read(ends[0], memory.page_at(1), 1), 1);
            EXPECT_EQ(*memory.page_at(1), 'x');
            release(memory.at, memory.bytes);
        });
}

// --- against readers and writers

/// One page with counters, taken away and put back all the time; whoever finds it missing has it put back.
struct contended_page {
    static constexpr std::size_t slots = 8;

    char* at = nullptr;
    std::atomic_flag lock = ATOMIC_FLAG_INIT;
    bool away = false;             // guarded by lock
    std::array<char, page> image;  // guarded by lock
    bool with_marker = true;
    std::atomic<std::uint64_t> faults{0};

    std::atomic<std::uint64_t>* slot(std::size_t i) { return reinterpret_cast<std::atomic<std::uint64_t>*>(at) + i; }

    void acquire()
    {
        while (lock.test_and_set(std::memory_order_acquire))
            ::sched_yield();
    }
    void release() { lock.clear(std::memory_order_release); }
    /// As src/rt/services/hibernate/hibernate.cpp does, with a marker in its place or without access to it. False: it
    /// is away already.
    bool take_away()
    {
        acquire();
        if (away) {
            release();
            return false;
        }
        bool good = set_access(at, page, access::read);
        std::memcpy(image.data(), at, page);
        good = good && set_access(at, page, access::none);
        discard(at, page);
        if (with_marker)
            good = good && guard(at, page) && set_access(at, page, access::all);
        away = true;
        release();
        EXPECT_TRUE(good) << std::strerror(errno);
        return true;
    }
    /// In a signal handler.
    bool put_back()
    {
        acquire();
        bool good = true;
        if (away && with_marker)
            good = weft::sys::put_back(at, image.data(), page) == 0;
        else if (away)
            good = put_below(at, image.data(), page) == 0 && set_access(at, page, access::all);
        away = false;
        release();
        ++faults;
        return good;
    }
};
contended_page contended;

void on_fault(int, siginfo_t* info, void*)
{
    auto* const where = static_cast<char*>(info->si_addr);
    if (where < contended.at || where >= contended.at + page || !contended.put_back())
        ::_exit(3);
}

void run_contended(bool with_marker)
{
    contended_page& c = contended;
    const paged memory(1);
    c.at = memory.at;
    c.with_marker = with_marker;
    struct sigaction ours = {};
    ours.sa_sigaction = &on_fault;
    ours.sa_flags = SA_SIGINFO | SA_NODEFER;
    ASSERT_EQ(::sigaction(SIGSEGV, &ours, nullptr), 0);

    std::atomic<bool> stop{false};
    std::atomic<bool> shrank{false};
    std::array<std::uint64_t, contended_page::slots> written{};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < 2; ++i) {
        threads.emplace_back(
            [&, i]
            {
                for (std::uint64_t n = i; !stop; n += 2) {
                    c.slot(n % contended_page::slots)->fetch_add(1, std::memory_order_relaxed);
                    ++written[i];
                }
            });
    }
    threads.emplace_back(
        [&]
        {
            std::array<std::uint64_t, contended_page::slots> seen{};
            while (!stop) {
                for (std::size_t i = 0; i < seen.size(); ++i) {
                    const std::uint64_t now = c.slot(i)->load(std::memory_order_relaxed);
                    if (now < seen[i])
                        shrank = true;
                    seen[i] = now;
                }
            }
        });
    const std::size_t wanted = weft::test::scaled(500);  // once for each number of Ps, which mean nothing here
    for (std::size_t taken = 0; taken < wanted;) {
        if (c.take_away())
            ++taken;
        if (taken % 64 == 0)
            std::this_thread::yield();  // with one CPU the others' turn
        else
            (void)c.slot(0)->load();
    }
    stop = true;
    for (std::thread& t : threads)
        t.join();
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < contended_page::slots; ++i)
        sum += c.slot(i)->load();
    EXPECT_EQ(sum, written[0] + written[1]) << "writes were lost";
    EXPECT_FALSE(shrank) << "a reader has found a page of zeros, or an old one";
}

TEST_P(paging_test, who_touches_a_marked_page_meanwhile_sees_it_there)
{
    run([] { run_contended(true); });
}

TEST_P(paging_test, who_touches_a_page_without_access_meanwhile_sees_it_there)
{
    run([] { run_contended(false); });
}

// --- refused

TEST(paging_choice_test, nothing_where_both_are_refused)
{
    in_child(
        []
        {
            (void)init_guards(false);
            EXPECT_EQ(init_paging(true, true), refill::none);
            EXPECT_EQ(refill_in_use(), refill::none);
            EXPECT_NE(std::string(refill_refusal()), "");
            auto* const at = static_cast<char*>(reserve(page, page, pages::small, "weft test"));
            ASSERT_NE(at, nullptr);
            EXPECT_FALSE(allow_paging(at, page));
            release(at, page);
        });
}

TEST(paging_choice_test, nothing_without_markers)
{
    in_child(
        []
        {
            (void)init_guards(true);
            EXPECT_EQ(init_paging(false, false), refill::none);
            EXPECT_NE(std::string(refill_refusal()).find("guard markers"), std::string::npos) << refill_refusal();
        });
}

TEST(paging_choice_test, no_descriptor_is_left_behind)
{
    in_child(
        []
        {
            (void)init_guards(false);
            const auto next_descriptor = []
            {
                const int fd = ::dup(0);
                ::close(fd);
                return fd;
            };
            (void)init_paging(true, true);
            const int before = next_descriptor();
            for (int i = 0; i < 10; ++i) {
                (void)init_paging(false, false);
                (void)init_paging(true, false);
                (void)init_paging(false, true);
            }
            (void)init_paging(true, true);
            EXPECT_EQ(next_descriptor(), before);
        });
}

TEST_P(paging_test, a_forked_child_puts_back_what_its_parent_took_away)
{
    run(
        []
        {
            const paged memory(2);
            *memory.page_at(0) = 'a';
            *memory.page_at(1) = 'b';
            ASSERT_TRUE(guard(memory.at, page));
            in_child(
                [&]
                {
                    restart_paging_in_child();
                    EXPECT_EQ(refill_in_use(), refill::memory_file);
                    EXPECT_EQ(error_of_reading(memory.at), EFAULT);
                    const std::vector<char> image(page, 'x');
                    EXPECT_EQ(put_back(memory.at, image.data(), page), 0);
                    EXPECT_EQ(*memory.page_at(0), 'x');
                    EXPECT_EQ(*memory.page_at(1), 'b');
                });
            EXPECT_EQ(error_of_reading(memory.at), EFAULT) << "it was the child's own";
            const std::vector<char> image(page, 'y');
            EXPECT_EQ(put_back(memory.at, image.data(), page), 0);
            EXPECT_EQ(*memory.at, 'y');
        });
}

}  // namespace
