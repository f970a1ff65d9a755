#include "sys/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace weft::sys {

namespace {

/// `call()` until it is not EINTR; -errno when it is -1.
template <class Call>
auto retried(Call call) noexcept -> decltype(call())
{
    for (;;) {
        const auto result = call();
        if (result >= 0)
            return result;
        if (errno != EINTR)
            return -errno;
    }
}

/// The kernel does not take more at a time, and some file systems less.
constexpr std::size_t most_at_once = std::size_t{1} << 30;

template <class Write>
int write_in_pieces(std::size_t size, std::size_t& done, Write write_piece) noexcept
{
    done = 0;
    while (done < size) {
        const std::int64_t n =
            retried([&] { return std::int64_t{write_piece(done, std::min(size - done, most_at_once))}; });
        if (n < 0)
            return static_cast<int>(n);
        if (n == 0)
            return -EIO;  // no progress and no reason: not for ever
        done += static_cast<std::size_t>(n);
    }
    return 0;
}

std::int64_t nanoseconds(const timespec& t) noexcept
{
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

void convert(const struct stat& from, file_facts& to) noexcept
{
    to = {.mode = from.st_mode,
          .device = from.st_dev,
          .inode = from.st_ino,
          .links = from.st_nlink,
          .owner = from.st_uid,
          .group = from.st_gid,
          .size = from.st_size,
          .allocated = std::int64_t{from.st_blocks} * 512,
          .accessed = nanoseconds(from.st_atim),
          .modified = nanoseconds(from.st_mtim),
          .changed = nanoseconds(from.st_ctim)};
}

/// What getdents64(2) writes.
struct kernel_entry {
    std::uint64_t inode;
    std::int64_t offset;
    std::uint16_t length;
    std::uint8_t type;
    char name[1];
};

}  // namespace

int open_file(const char* path, const open_how& how) noexcept
{
    int flags = O_CLOEXEC | O_NOCTTY;
    flags |= how.read && how.write ? O_RDWR : how.write ? O_WRONLY : O_RDONLY;
    flags |= how.create ? O_CREAT : 0;
    flags |= how.exclusive ? O_EXCL : 0;
    flags |= how.truncate ? O_TRUNC : 0;
    flags |= how.append ? O_APPEND : 0;
    flags |= how.sync ? O_SYNC : 0;
    flags |= how.no_follow ? O_NOFOLLOW : 0;
    flags |= how.directory ? O_DIRECTORY : 0;
    return retried([&] { return open(path, flags, static_cast<mode_t>(how.mode)); });
}

int close_file(int fd) noexcept
{
    // Linux has closed it also when it says EINTR: trying again could close somebody else's.
    return close(fd) == 0 || errno == EINTR ? 0 : -errno;
}

std::int64_t read_once(int fd, void* data, std::size_t size) noexcept
{
    return retried([&] { return std::int64_t{read(fd, data, std::min(size, most_at_once))}; });
}

std::int64_t read_at(int fd, void* data, std::size_t size, std::int64_t offset) noexcept
{
    std::size_t done = 0;
    while (done < size) {
        const std::int64_t n = retried(
            [&]
            {
                return std::int64_t{pread(fd, static_cast<char*>(data) + done, std::min(size - done, most_at_once),
                                          offset + static_cast<std::int64_t>(done))};
            });
        if (n < 0 && done == 0)
            return n;
        if (n <= 0)
            break;
        done += static_cast<std::size_t>(n);
    }
    return static_cast<std::int64_t>(done);
}

int write_all(int fd, const void* data, std::size_t size, std::size_t& done) noexcept
{
    return write_in_pieces(
        size, done, [&](std::size_t at, std::size_t n) { return write(fd, static_cast<const char*>(data) + at, n); });
}

int write_all_at(int fd, const void* data, std::size_t size, std::int64_t offset, std::size_t& done) noexcept
{
    return write_in_pieces(
        size, done, [&](std::size_t at, std::size_t n)
        { return pwrite(fd, static_cast<const char*>(data) + at, n, offset + static_cast<std::int64_t>(at)); });
}

std::int64_t seek_file(int fd, std::int64_t offset, seek_from from) noexcept
{
    const int whence = from == seek_from::begin ? SEEK_SET : from == seek_from::current ? SEEK_CUR : SEEK_END;
    return retried([&] { return std::int64_t{lseek(fd, offset, whence)}; });
}

int sync_file(int fd, bool data_only) noexcept
{
    return retried([&] { return data_only ? fdatasync(fd) : fsync(fd); });
}

int truncate_file(int fd, std::int64_t size) noexcept
{
    return retried([&] { return ftruncate(fd, size); });
}

int change_mode(int fd, unsigned mode) noexcept
{
    return retried([&] { return fchmod(fd, static_cast<mode_t>(mode)); });
}

int make_folder(const char* path, unsigned mode) noexcept
{
    return retried([&] { return mkdir(path, static_cast<mode_t>(mode)); });
}

int facts_of(int fd, file_facts& facts) noexcept
{
    struct stat found{};
    const int failed = retried([&] { return fstat(fd, &found); });
    if (failed == 0)
        convert(found, facts);
    return failed;
}

int facts_of(const char* path, bool follow, file_facts& facts) noexcept
{
    struct stat found{};
    const int failed = retried([&] { return fstatat(AT_FDCWD, path, &found, follow ? 0 : AT_SYMLINK_NOFOLLOW); });
    if (failed == 0)
        convert(found, facts);
    return failed;
}

std::int64_t read_directory(int fd, void* buffer, std::size_t size) noexcept
{
    return retried([&] { return std::int64_t{syscall(SYS_getdents64, fd, buffer, size)}; });
}

directory_entry next_entry(const char*& at) noexcept
{
    const char* const begin = at;
    std::uint16_t length = 0;
    std::memcpy(&length, begin + offsetof(kernel_entry, length), sizeof length);
    const auto type = static_cast<unsigned char>(begin[offsetof(kernel_entry, type)]);
    at += length;
    return {begin + offsetof(kernel_entry, name), type == DT_UNKNOWN ? 0U : static_cast<unsigned>(DTTOIF(type))};
}

void random_bytes(void* data, std::size_t size) noexcept
{
    // Up to 256 bytes come whole.
    (void)retried([&] { return getrandom(data, std::min(size, std::size_t{256}), 0); });
}

}  // namespace weft::sys
