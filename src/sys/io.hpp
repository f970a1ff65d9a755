// System calls on descriptors. All return what the call does, or a negative errno; all go on after EINTR, and none
// blocks on a descriptor that is non-blocking.
#pragma once

#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "sys/syscall.hpp"

namespace weft::sys {

namespace detail {
[[nodiscard]] ssize_t read_by_libc(int fd, void* data, std::size_t n) noexcept;
[[nodiscard]] ssize_t write_by_libc(int fd, const void* data, std::size_t n) noexcept;
}  // namespace detail

// These two may be interrupted: EINTR.
[[nodiscard]] inline ssize_t read_some(int fd, void* data, std::size_t n) noexcept
{
    return direct_calls ? direct_call(SYS_read, fd, data, n) : detail::read_by_libc(fd, data, n);
}
[[nodiscard]] inline ssize_t write_some(int fd, const void* data, std::size_t n) noexcept
{
    return direct_calls ? direct_call(SYS_write, fd, data, n) : detail::write_by_libc(fd, data, n);
}
[[nodiscard]] ssize_t readv_some(int fd, const iovec* parts, int n) noexcept;
[[nodiscard]] ssize_t writev_some(int fd, const iovec* parts, int n) noexcept;

// These two raise no SIGPIPE.
/// Moves up to `n` bytes between a pipe and something else, without copying where the kernel can.
[[nodiscard]] ssize_t splice_some(int from, int to, std::size_t n) noexcept;
/// Sends up to `n` bytes of a file from `*offset` on, which moves.
[[nodiscard]] ssize_t sendfile_some(int to, int file, std::int64_t* offset, std::size_t n) noexcept;

/// pread(2).
[[nodiscard]] ssize_t read_at(int fd, void* data, std::size_t n, std::uint64_t offset) noexcept;

/// A pipe whose ends are non-blocking and not inherited. 0 or a negative errno.
[[nodiscard]] int open_pipe(int (&ends)[2]) noexcept;
/// An event counter, non-blocking and not inherited.
[[nodiscard]] int open_event(unsigned initial) noexcept;
/// A descriptor that is readable when process `pid` has ended.
[[nodiscard]] int open_process(int pid) noexcept;
/// Collects how the child behind `process` has ended, as wait(2) has it, into `status`: 1; 0: it has not.
[[nodiscard]] int collect_process(int process, int& status) noexcept;

enum class file_kind : std::uint8_t {
    regular,  ///< or a directory or block device: is always ready, epoll does not take it
    socket,
    pipe,
    other,
};
/// What `fd` is: a file_kind, or a negative errno.
[[nodiscard]] int kind_of(int fd) noexcept;
[[nodiscard]] int make_nonblocking(int fd) noexcept;

/// A file as it was found: other files may have its name later. As long as it is open somewhere, no other file has its
/// number.
struct named_file {
    std::string path;  ///< absolute
    std::uint64_t device;
    std::uint64_t number;
};
/// None: there is no such file, or the current folder has no name. Throws std::bad_alloc.
[[nodiscard]] std::optional<named_file> find_file(const std::string& path);
/// Unlinks it, unless another file, or none, has its name by now.
void remove_file(const named_file& file) noexcept;
/// A copy of `fd`, not inherited.
[[nodiscard]] int duplicate(int fd) noexcept;

}  // namespace weft::sys
