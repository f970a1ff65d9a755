// A test's part that runs in a child process.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "scale.hpp"

namespace weft::test {

/// Runs `f` in a child, where no other thread sees what it changes; its failures are printed there and counted here.
template <class F>
void in_child(F&& f)
{
    if (under_tsan)
        GTEST_SKIP() << "TSan itself does not go on in the child of a process with threads";
    std::fflush(nullptr);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        f();
        std::fflush(nullptr);
        ::_exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "in the child: status " << status;
}

}  // namespace weft::test
