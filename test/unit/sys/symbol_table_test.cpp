// Names of functions from the files that the process has mapped.
#include "sys/symbol_table.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using weft::sys::is_static;
using weft::sys::symbol_at;

[[gnu::noinline]] int not_exported(int n)
{
    asm volatile("" : "+r"(n));
    return n + 1;
}

std::string name_at(const void* address)
{
    const char* const name = symbol_at(address);
    return name != nullptr ? name : "";
}

const void* inside(int (*function)(int))
{
    return reinterpret_cast<const char*>(function) + 1;
}

TEST(symbol_table_test, functions_that_are_not_exported_have_names)
{
    EXPECT_NE(name_at(inside(&not_exported)).find("not_exported"), std::string::npos) << name_at(inside(&not_exported));
    EXPECT_EQ(symbol_at(inside(&not_exported)), symbol_at(inside(&not_exported))) << "remembered";
}

TEST(symbol_table_test, functions_of_libraries_have_names)
{
    EXPECT_NE(name_at(reinterpret_cast<const void*>(&std::malloc)).find("malloc"), std::string::npos);
}

TEST(symbol_table_test, what_is_no_function_has_none)
{
    const auto on_heap = std::make_unique<int>();
    const int on_stack = 0;
    EXPECT_EQ(symbol_at(nullptr), nullptr);
    EXPECT_EQ(symbol_at(on_heap.get()), nullptr);
    EXPECT_EQ(symbol_at(&on_stack), nullptr);
}

TEST(symbol_table_test, threads_ask_at_once)
{
    std::atomic<std::size_t> right{0};
    std::vector<std::thread> all;
    for (int i = 0; i < 8; ++i)
        all.emplace_back(
            [&]
            {
                for (int n = 0; n < 1'000; ++n)
                    right += name_at(inside(&not_exported)).find("not_exported") != std::string::npos ? 1U : 0U;
            });
    for (std::thread& t : all)
        t.join();
    EXPECT_EQ(right, 8'000U);
}

TEST(symbol_table_test, tells_static_memory)
{
    static int here;
    const int on_stack = 0;
    const auto on_heap = std::make_unique<int>();
    EXPECT_TRUE(is_static(&here));
    EXPECT_FALSE(is_static(&on_stack));
    EXPECT_FALSE(is_static(on_heap.get()));
}

}  // namespace
