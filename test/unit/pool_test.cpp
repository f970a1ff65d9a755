// weft::pool: objects that are used again.
#include <atomic>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "weft/pool.hpp"

namespace {

using pool_test = weft::test::fixture;
using weft::test::counted;
using weft::test::procs;
using weft::test::scaled;

struct buffer : counted {
    std::atomic<bool> in_use{false};
    std::string text;
};

WEFT_TEST(pool_test, gives_back_what_was_put)
{
    weft::pool<buffer> p;
    std::unique_ptr<buffer> b = p.get();
    b->text = "kept";
    const buffer* const was = b.get();
    p.put(std::move(b));
    EXPECT_EQ(p.size(), 1U);
    b = p.get();
    EXPECT_EQ(b.get(), was);
    EXPECT_EQ(b->text, "kept");
    EXPECT_EQ(p.size(), 0U);
    EXPECT_NE(p.get(), nullptr);
    p.put(nullptr);
    EXPECT_EQ(p.size(), 0U);
}

WEFT_TEST(pool_test, makes_by_its_factory)
{
    weft::pool<std::string> p([] { return std::make_unique<std::string>("made"); });
    EXPECT_EQ(*p.get(), "made");
    weft::pool<int> fails([]() -> std::unique_ptr<int> { throw std::runtime_error("none"); });
    EXPECT_THROW((void)fails.get(), std::runtime_error);
}

WEFT_TEST(pool_test, keeps_no_more_than_its_bound)
{
    weft::pool<buffer> p;
    std::vector<std::unique_ptr<buffer>> many;
    for (int i = 0; i < 100'000; ++i)
        many.push_back(p.get());
    for (auto& each : many)
        p.put(std::move(each));
    EXPECT_LE(p.size(), 64U * 256U);
    EXPECT_EQ(static_cast<std::size_t>(counted::alive), p.size());
    p.clear();
    EXPECT_EQ(p.size(), 0U);
    EXPECT_EQ(counted::alive, 0);
}

// Between goroutines and threads: an object has one user at a time, and none is lost.
TEST_F(pool_test, is_shared_by_threads_and_goroutines)
{
    const procs four(4);
    weft::pool<buffer> p;
    std::atomic<int> twice{0};
    const auto work = [&]
    {
        for (std::size_t i = 0; i < scaled(5'000); ++i) {
            std::unique_ptr<buffer> b = p.get();
            if (b->in_use.exchange(true))
                ++twice;
            b->text = "x";
            if (i % 32 == 0)
                weft::yield();
            b->in_use = false;
            p.put(std::move(b));
        }
    };
    std::vector<std::thread> threads;
    weft::wait_group all;
    for (int i = 0; i < 3; ++i)
        threads.emplace_back(work);
    for (int i = 0; i < 20; ++i)
        all.go(work);
    for (std::thread& t : threads)
        t.join();
    all.wait();
    EXPECT_EQ(twice, 0);
    EXPECT_EQ(static_cast<std::size_t>(counted::alive), p.size());
}

// An object that another P has put is found.
TEST_F(pool_test, looks_into_other_parts)
{
    weft::pool<buffer> p;
    for (int i = 0; i < 50; ++i) {
        std::thread([&] { p.put(std::make_unique<buffer>()); }).join();
        EXPECT_NE(p.get(), nullptr);
        EXPECT_EQ(p.size(), 0U);
    }
}

}  // namespace
