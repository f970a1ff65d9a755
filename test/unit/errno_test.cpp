// errno belongs to the goroutine: it survives every park, also when the goroutine goes on elsewhere.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

#include "fixture.hpp"

namespace {

using errno_test = weft::test::fixture;
using weft::test::get_errno;
using weft::test::procs;
using weft::test::scaled;
using weft::test::set_errno;

WEFT_TEST(errno_test, survives_parks_of_every_kind)
{
    const procs four(4);
    std::atomic<int> lost{0};
    weft::wait_group all;
    weft::mutex m;
    for (int g = 1; g <= 50; ++g) {
        all.go(
            [&, g]
            {
                const auto check = [&](int expected) { lost += get_errno() == expected ? 0 : 1; };
                for (std::size_t i = 0; i < scaled(200); ++i) {
                    const int mine = g * 1'000 + static_cast<int>(i);
                    set_errno(mine);
                    weft::yield();
                    check(mine);
                    set_errno(mine + 1);
                    weft::sleep_for(std::chrono::microseconds(10));
                    check(mine + 1);
                    auto f = weft::async(
                        []
                        {
                            set_errno(-1);
                            weft::yield();
                        });
                    set_errno(mine + 2);
                    f.wait();
                    check(mine + 2);
                    set_errno(mine + 3);
                    m.lock();
                    weft::yield();
                    m.unlock();
                    check(mine + 3);
                    set_errno(mine + 4);
                    weft::go([] { set_errno(-2); });
                    weft::yield();
                    check(mine + 4);
                }
            });
    }
    all.wait();
    EXPECT_EQ(lost, 0);
}

WEFT_TEST(errno_test, survives_a_migration)
{
    const procs four(4);
    int moves = 0;
    for (std::size_t i = 0; i < scaled(100); ++i) {
        const int mine = 10'000 + static_cast<int>(i);
        set_errno(mine);
        moves += weft::test::migrate() ? 1 : 0;
        // migrate() makes system calls of its own on the way, but none that fails.
        ASSERT_EQ(get_errno(), mine);
    }
    EXPECT_GT(moves, 0);
}

WEFT_TEST(errno_test, survives_a_wait_while_locked_to_the_thread)
{
    const weft::pin p;
    for (std::size_t i = 1; i < scaled(200); ++i) {
        set_errno(static_cast<int>(i));
        weft::async([] { set_errno(-3); }).get();
        ASSERT_EQ(get_errno(), static_cast<int>(i));
    }
}

TEST_F(errno_test, survives_on_a_plain_thread)
{
    set_errno(77);
    weft::yield();
    EXPECT_EQ(get_errno(), 77);
    auto f = weft::async([] { set_errno(-4); });
    f.wait();
    EXPECT_EQ(get_errno(), 77);
    weft::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(get_errno(), 77);
}

}  // namespace
