#include "sys/syscall.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "sys/io.hpp"
#include "sys/socket.hpp"

namespace {

using namespace weft::sys;

TEST(syscall_test, says_what_the_kernel_says)
{
    EXPECT_EQ(direct_call(SYS_getppid), ::getppid());
    errno = 1'234;
    EXPECT_EQ(direct_call(SYS_close, -1), -EBADF);
    EXPECT_EQ(errno, 1'234);
}

TEST(syscall_test, all_six_arguments_arrive)
{
    const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* const whole = ::mmap(nullptr, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(whole, MAP_FAILED);
    const int file = ::memfd_create("syscall_test", 0);
    ASSERT_EQ(::ftruncate(file, static_cast<off_t>(2 * bytes)), 0);
    ASSERT_EQ(::pwrite(file, "second page", 12, static_cast<off_t>(bytes)), 12);
    void* const wanted = static_cast<char*>(whole) + bytes;
    EXPECT_EQ(direct_call(SYS_mmap, wanted, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, file, bytes),
              reinterpret_cast<long>(wanted));
    EXPECT_STREQ(static_cast<const char*>(wanted), "second page");
    EXPECT_EQ(::munmap(whole, 2 * bytes), 0);
    ::close(file);
}

// Under a sanitizer these four go through libc, and say the same.
TEST(syscall_test, reads_and_writes)
{
    int ends[2];
    ASSERT_EQ(open_socket_pair(AF_UNIX, SOCK_STREAM, ends), 0);
    std::array<char, 8> got{};
    EXPECT_EQ(recv_some(ends[1], got.data(), got.size()), -EAGAIN);
    EXPECT_EQ(send_some(ends[0], "abc", 3), 3);
    EXPECT_EQ(write_some(ends[0], "def", 3), 3);
    EXPECT_EQ(recv_some(ends[1], got.data(), 2), 2);
    EXPECT_EQ(read_some(ends[1], got.data() + 2, got.size() - 2), 4);
    EXPECT_STREQ(got.data(), "abcdef");
    ::close(ends[1]);
    EXPECT_EQ(send_some(ends[0], "abc", 3), -EPIPE);  // and no signal
    EXPECT_EQ(recv_some(ends[0], got.data(), got.size()), 0);
    ::close(ends[0]);
    EXPECT_EQ(read_some(ends[0], got.data(), got.size()), -EBADF);
    EXPECT_EQ(write_some(ends[0], got.data(), got.size()), -EBADF);
}

}  // namespace
