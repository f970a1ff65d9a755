// System calls on files: EINTR is retried, and what fails says so by a negative errno, so that nobody has to read errno
// after a park.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::sys {

/// How to open; the values are ours.
struct open_how {
    bool read = false;
    bool write = false;
    bool create = false;
    bool exclusive = false;
    bool truncate = false;
    bool append = false;
    bool sync = false;
    bool no_follow = false;
    bool directory = false;
    unsigned mode = 0;  ///< of a file that is created
};

/// stat(2)'s fields in plain types; times in ns since the epoch.
struct file_facts {
    std::uint32_t mode;  ///< type and permissions, as st_mode
    std::uint64_t device;
    std::uint64_t inode;
    std::uint64_t links;
    std::uint32_t owner;
    std::uint32_t group;
    std::int64_t size;
    std::int64_t allocated;
    std::int64_t accessed;
    std::int64_t modified;
    std::int64_t changed;
};

/// The descriptor (close-on-exec, large files).
[[nodiscard]] int open_file(const char* path, const open_how& how) noexcept;
/// The descriptor is gone whatever this returns.
int close_file(int fd) noexcept;

/// One read(2): may be short. 0: the end.
[[nodiscard]] std::int64_t read_once(int fd, void* data, std::size_t size) noexcept;
/// pread(2) until all `size` bytes are there or the file ends; what came before an error is returned, and the error the
/// next time.
[[nodiscard]] std::int64_t read_at(int fd, void* data, std::size_t size, std::int64_t offset) noexcept;
/// write(2) until all is written. 0 or an error; `done` is what was written.
[[nodiscard]] int write_all(int fd, const void* data, std::size_t size, std::size_t& done) noexcept;
/// pwrite(2), the same.
[[nodiscard]] int write_all_at(int fd, const void* data, std::size_t size, std::int64_t offset,
                               std::size_t& done) noexcept;

enum class seek_from { begin, current, end };
[[nodiscard]] std::int64_t seek_file(int fd, std::int64_t offset, seek_from from) noexcept;
[[nodiscard]] int sync_file(int fd, bool data_only) noexcept;
[[nodiscard]] int truncate_file(int fd, std::int64_t size) noexcept;
[[nodiscard]] int change_mode(int fd, unsigned mode) noexcept;
[[nodiscard]] int make_folder(const char* path, unsigned mode) noexcept;

[[nodiscard]] int facts_of(int fd, file_facts& facts) noexcept;
[[nodiscard]] int facts_of(const char* path, bool follow, file_facts& facts) noexcept;

/// Entries of a directory, as getdents64(2) writes them. The bytes written; 0: no more.
[[nodiscard]] std::int64_t read_directory(int fd, void* buffer, std::size_t size) noexcept;
/// One of them.
struct directory_entry {
    const char* name;
    unsigned type;  ///< as the type bits of st_mode; 0: the file system does not say
};
/// The entry at `at`, which is moved to the next one.
[[nodiscard]] directory_entry next_entry(const char*& at) noexcept;

/// Fills with random bytes of the kernel's.
void random_bytes(void* data, std::size_t size) noexcept;

}  // namespace weft::sys
