// What Go's sync.Once and sync.Pool promise (src/sync/once_test.go, pool_test.go), of weft::once and weft::pool.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

#include "../unit/fixture.hpp"
#include "weft/sync.hpp"

namespace {

using conform_sync_once = weft::test::fixture;
using conform_sync_pool = weft::test::fixture;
using weft::test::counted;
using weft::test::procs;
using weft::test::scaled;

// TestOnce: ten callers, one call, which all of them see.
WEFT_TEST(conform_sync_once, one_of_many)
{
    weft::once once;
    int value = 0;
    weft::wait_group all;
    for (int i = 0; i < 10; ++i) {
        all.go(
            [&]
            {
                once.call([&] { ++value; });
                EXPECT_EQ(value, 1);
            });
    }
    all.wait();
    EXPECT_EQ(value, 1);
}

// TestOncePanic, with the meaning of std::call_once: an exception is not the once.
WEFT_TEST(conform_sync_once, an_exception_does_not_count)
{
    weft::once once;
    EXPECT_THROW(once.call([] { throw std::runtime_error("failed"); }), std::runtime_error);
    bool called = false;
    once.call([&] { called = true; });
    EXPECT_TRUE(called);
    once.call([] { FAIL() << "called twice"; });
}

// TestPool: what was put comes back before anything new is made; nothing is a valid thing to put.
WEFT_TEST(conform_sync_pool, what_was_put_comes_back)
{
    int made = 0;
    weft::pool<std::string> p(
        [&made]
        {
            ++made;
            return std::make_unique<std::string>("new");
        });
    EXPECT_EQ(*p.get(), "new");
    p.put(std::make_unique<std::string>("a"));
    p.put(std::make_unique<std::string>("b"));
    p.put(nullptr);
    const auto first = p.get();
    const auto second = p.get();
    EXPECT_EQ(first->size() + second->size(), 2U);
    EXPECT_NE(*first, *second);
    EXPECT_EQ(*p.get(), "new");
    EXPECT_EQ(made, 2);
}

// TestPoolGC, TestPoolRelease: what lies in it is given back; here by clear() and by the end of the pool.
WEFT_TEST(conform_sync_pool, gives_back)
{
    {
        weft::pool<counted> p;
        for (int i = 0; i < 100; ++i)
            p.put(std::make_unique<counted>());
        p.clear();
        EXPECT_EQ(counted::alive, 0);
        p.put(std::make_unique<counted>());
        EXPECT_EQ(counted::alive, 1);
    }
    EXPECT_EQ(counted::alive, 0);
}

// TestPoolStress: what one puts, another gets whole.
WEFT_TEST(conform_sync_pool, stress)
{
    const procs four(4);
    weft::pool<std::uint64_t> p([] { return std::make_unique<std::uint64_t>(0); });
    weft::wait_group all;
    for (int g = 0; g < 10; ++g) {
        all.go(
            [&]
            {
                for (std::size_t i = 0; i < scaled(10'000); ++i) {
                    p.put(std::make_unique<std::uint64_t>(0));
                    const auto v = p.get();
                    EXPECT_EQ(*v, 0U);
                }
            });
    }
    all.wait();
}

}  // namespace
