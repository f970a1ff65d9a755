// What a thread needs for signals: the alternate stack, which goes when the thread does.
#include "sys/signal.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>

#include <thread>

namespace {

namespace sys = weft::sys;

bool has_alternate_stack()
{
    stack_t now{};
    return ::sigaltstack(nullptr, &now) == 0 && (now.ss_flags & SS_DISABLE) == 0;
}

volatile sig_atomic_t depth = 0;
char* volatile handled_at = nullptr;

void handle(int)
{
    char here = 0;
    handled_at = &here;
    depth = depth + 1;
}

TEST(signal_stack_test, handlers_run_there_while_it_lives)
{
    std::thread(
        []
        {
            const bool had_one = has_alternate_stack();  // a sanitizer's
            struct sigaction ours = {};
            struct sigaction before = {};
            ours.sa_handler = &handle;
            ours.sa_flags = SA_ONSTACK;
            ::sigaction(SIGUSR1, &ours, &before);
            depth = 0;
            void* at = nullptr;
            {
                const sys::signal_stack alternate;
                EXPECT_TRUE(alternate.good());
                stack_t now{};
                ::sigaltstack(nullptr, &now);
                at = now.ss_sp;
                ::raise(SIGUSR1);
                EXPECT_GE(handled_at, static_cast<char*>(now.ss_sp));
                EXPECT_LT(handled_at, static_cast<char*>(now.ss_sp) + now.ss_size);
                const sys::signal_stack another;  // leaves the first one where it is
                EXPECT_TRUE(another.good());
                stack_t then{};
                ::sigaltstack(nullptr, &then);
                EXPECT_EQ(then.ss_sp, now.ss_sp);
            }
            EXPECT_EQ(has_alternate_stack(), had_one);
            unsigned char in_memory = 0;
            EXPECT_TRUE(had_one || ::mincore(at, 1, &in_memory) != 0) << "it is still mapped";
            ::raise(SIGUSR1);
            EXPECT_EQ(depth, 2);
            ::sigaction(SIGUSR1, &before, nullptr);
        })
        .join();
}

}  // namespace
