// Files and folders, for goroutines.
//
// The kernel has no "try again when the disk is ready": a call on a file blocks its OS thread. So each of these runs as
// weft::blocking() does, with the P free for others meanwhile, and they work on plain threads as they are.
//
// Errors: the plain form throws std::filesystem::filesystem_error, a std::system_error that names the paths; each has
// an overload with a last std::error_code& that does not throw (but std::bad_alloc), sets it when it fails, clears it
// when it does not, and then returns what stands for nothing: 0, false, an empty object.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "weft/detail/config.hpp"

namespace weft::fs {

using std::filesystem::file_type;
using std::filesystem::path;
using std::filesystem::perms;

/// How open() opens. Combine with |.
enum class open_flags : unsigned {
    read = 1,         ///< for reading
    write = 2,        ///< for writing
    read_write = 3,   ///< for both
    create = 4,       ///< a file that is not there is created, empty
    exclusive = 8,    ///< with create: fails with errc::file_exists when it is there
    truncate = 16,    ///< what is in it goes
    append = 32,      ///< each write goes to the end, wherever that is then
    sync = 64,        ///< each write returns when the data is on the disk
    no_follow = 128,  ///< fails with errc::too_many_symbolic_link_levels when the name is a symbolic link
};
[[nodiscard]] constexpr open_flags operator|(open_flags a, open_flags b) noexcept
{
    return static_cast<open_flags>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
[[nodiscard]] constexpr bool operator&(open_flags a, open_flags b) noexcept
{
    return (static_cast<unsigned>(a) & static_cast<unsigned>(b)) != 0;
}

/// Permissions of what is created, less the process's umask.
inline constexpr perms default_file_perms = perms{0666};
/// The same of folders.
inline constexpr perms default_folder_perms = perms{0777};

/// What the file system knows about a file.
struct file_status {
    using time = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

    file_type type = file_type::none;
    perms permissions = perms::none;
    std::uint64_t size = 0;       ///< bytes
    std::uint64_t allocated = 0;  ///< bytes on the disk: less than size when there are holes
    time modified{};              ///< the content
    time changed{};               ///< the content or this status
    time accessed{};
    std::uint64_t device = 0;  ///< with inode: which file it is, whatever its name
    std::uint64_t inode = 0;
    std::uint64_t links = 0;  ///< names that it has
    std::uint32_t owner = 0;
    std::uint32_t group = 0;

    [[nodiscard]] bool is_regular() const noexcept { return type == file_type::regular; }
    [[nodiscard]] bool is_directory() const noexcept { return type == file_type::directory; }
    [[nodiscard]] bool is_symlink() const noexcept { return type == file_type::symlink; }
};

enum class seek_from { begin, current, end };

/// An open file; closed by its destructor. Move-only. Reads and writes may run at the same time from anywhere; those
/// without an offset share one position, so order them. close(), moving from and destroying want the object for
/// themselves. On an object that is not open, each call fails with errc::bad_file_descriptor.
class file {
public:
    file() noexcept = default;
    /// Takes over an open descriptor; `name` is for error messages.
    explicit file(int descriptor, path name = {}) noexcept : fd_(descriptor), path_(std::move(name)) {}
    file(file&& from) noexcept : fd_(std::exchange(from.fd_, -1)), path_(std::move(from.path_)) {}
    file& operator=(file&& from) noexcept
    {
        if (this != &from) {
            discard();
            fd_ = std::exchange(from.fd_, -1);
            path_ = std::move(from.path_);
        }
        return *this;
    }
    ~file() { discard(); }

    [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
    explicit operator bool() const noexcept { return is_open(); }
    [[nodiscard]] int native_handle() const noexcept { return fd_; }
    /// Gives the descriptor up: it is the caller's to close.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    /// As it was given to open().
    [[nodiscard]] const path& name() const noexcept { return path_; }

    /// Reads up to `into.size()` bytes at the position and moves it. Returns how many: 0 at the end (or for an empty
    /// `into`); a pipe or a terminal gives what there is.
    WEFT_API std::size_t read(std::span<std::byte> into);
    WEFT_API std::size_t read(std::span<std::byte> into, std::error_code& ec);
    /// read() until `into` is full or the file ends; returns how many bytes. With an error, those before it.
    WEFT_API std::size_t read_full(std::span<std::byte> into);
    WEFT_API std::size_t read_full(std::span<std::byte> into, std::error_code& ec);
    /// Writes all of `from` at the position and moves it. Returns the bytes written: fewer only with an error.
    WEFT_API std::size_t write(std::span<const std::byte> from);
    WEFT_API std::size_t write(std::span<const std::byte> from, std::error_code& ec);
    std::size_t write(std::string_view from) { return write(std::as_bytes(std::span(from))); }
    std::size_t write(std::string_view from, std::error_code& ec) { return write(std::as_bytes(std::span(from)), ec); }

    /// Reads `into.size()` bytes from `offset` on, fewer only when the file ends there. The position stays.
    WEFT_API std::size_t pread(std::span<std::byte> into, std::uint64_t offset) const;
    WEFT_API std::size_t pread(std::span<std::byte> into, std::uint64_t offset, std::error_code& ec) const;
    /// Writes all of `from` from `offset` on; the position stays. Returns the bytes written: fewer only with an error.
    WEFT_API std::size_t pwrite(std::span<const std::byte> from, std::uint64_t offset);
    WEFT_API std::size_t pwrite(std::span<const std::byte> from, std::uint64_t offset, std::error_code& ec);

    /// Moves the position; returns it, from the begin.
    WEFT_API std::uint64_t seek(std::int64_t offset, seek_from from = seek_from::begin);
    WEFT_API std::uint64_t seek(std::int64_t offset, seek_from from, std::error_code& ec);
    /// Returns when what was written is on the disk.
    WEFT_API void fsync();
    WEFT_API void fsync(std::error_code& ec);
    /// fsync() without what reading the data back does not need, such as the time of modification.
    WEFT_API void datasync();
    WEFT_API void datasync(std::error_code& ec);
    /// Makes the file `size` bytes long; what is new reads as zeros.
    WEFT_API void truncate(std::uint64_t size);
    WEFT_API void truncate(std::uint64_t size, std::error_code& ec);
    [[nodiscard]] WEFT_API file_status stat() const;
    [[nodiscard]] WEFT_API file_status stat(std::error_code& ec) const;

    /// Closes; some file systems say only here that a write has failed. It is closed then too. Closing twice is
    /// errc::bad_file_descriptor.
    WEFT_API void close();
    WEFT_API void close(std::error_code& ec);

private:
    WEFT_API void discard() noexcept;

    int fd_ = -1;
    path path_;
};

/// Opens `name`; a file that open_flags::create creates gets `permissions`. Throws std::invalid_argument for flags
/// without read and write, or that contradict each other.
[[nodiscard]] WEFT_API file open(const path& name, open_flags flags = open_flags::read,
                                 perms permissions = default_file_perms);
[[nodiscard]] WEFT_API file open(const path& name, open_flags flags, perms permissions, std::error_code& ec);
[[nodiscard]] WEFT_API file open(const path& name, open_flags flags, std::error_code& ec);
[[nodiscard]] WEFT_API file open(const path& name, std::error_code& ec);

/// A new file of one's own, open for reading and writing and readable by its owner only; removed by the destructor
/// unless it was kept. Move-only.
class temp_file {
public:
    temp_file() noexcept = default;
    temp_file(temp_file&& from) noexcept : file_(std::move(from.file_)), path_(std::exchange(from.path_, path())) {}
    temp_file& operator=(temp_file&& from) noexcept
    {
        if (this != &from) {
            discard();
            file_ = std::move(from.file_);
            path_ = std::exchange(from.path_, path());
        }
        return *this;
    }
    ~temp_file() { discard(); }

    [[nodiscard]] file& get() noexcept { return file_; }
    file* operator->() noexcept { return &file_; }
    [[nodiscard]] const path& name() const noexcept { return path_; }

    /// Renames it to `to`, which is replaced in one step if it is there and must be on the same file system. It is
    /// still open, and the destructor removes nothing any more.
    WEFT_API void keep_as(const path& to);
    WEFT_API void keep_as(const path& to, std::error_code& ec);
    /// The destructor leaves it where it is.
    void keep() noexcept { path_.clear(); }

private:
    friend temp_file new_file_in(const path& folder, perms permissions, std::error_code& ec);
    temp_file(file f, path name) noexcept : file_(std::move(f)), path_(std::move(name)) {}
    WEFT_API void discard() noexcept;

    file file_;
    path path_;  ///< empty: nothing to remove
};

/// Creates a file with a name that nobody else has in `folder`; in an empty one:
/// std::filesystem::temp_directory_path().
[[nodiscard]] WEFT_API temp_file make_temp_file(const path& folder = {});
[[nodiscard]] WEFT_API temp_file make_temp_file(const path& folder, std::error_code& ec);

/// The whole content. Files whose size the kernel does not know in advance (/proc, pipes) too.
[[nodiscard]] WEFT_API std::string read_file(const path& name);
[[nodiscard]] WEFT_API std::string read_file(const path& name, std::error_code& ec);

enum class write_mode {
    replace,  ///< what was in the file goes; who reads meanwhile, or a crash, finds it half written
    append,   ///< at the end
    /// A new file is written, brought to the disk and renamed over the old one: everybody, also after a crash, finds
    /// the old content or the new one. It has the old file's permissions; owner and further names (hard links) are not
    /// kept, and a symbolic link is replaced itself.
    atomic,
};
/// Writes `content` to a file, which is created if it is not there.
WEFT_API void write_file(const path& name, std::span<const std::byte> content, write_mode mode = write_mode::replace);
WEFT_API void write_file(const path& name, std::span<const std::byte> content, write_mode mode, std::error_code& ec);
inline void write_file(const path& name, std::string_view content, write_mode mode = write_mode::replace)
{
    write_file(name, std::as_bytes(std::span(content)), mode);
}
inline void write_file(const path& name, std::string_view content, write_mode mode, std::error_code& ec)
{
    write_file(name, std::as_bytes(std::span(content)), mode, ec);
}

/// Of the file that `name` leads to, symbolic links followed. None there: errc::no_such_file_or_directory.
[[nodiscard]] WEFT_API file_status stat(const path& name);
[[nodiscard]] WEFT_API file_status stat(const path& name, std::error_code& ec);
/// Of `name` itself, be it a symbolic link.
[[nodiscard]] WEFT_API file_status lstat(const path& name);
[[nodiscard]] WEFT_API file_status lstat(const path& name, std::error_code& ec);
/// Whether stat() finds something. "Can't look" is an error, "not there" is not.
[[nodiscard]] WEFT_API bool exists(const path& name);
[[nodiscard]] WEFT_API bool exists(const path& name, std::error_code& ec);

/// Renames; what `to` names is replaced in one step (a folder only by a folder, and only if it is empty).
WEFT_API void rename(const path& from, const path& to);
WEFT_API void rename(const path& from, const path& to, std::error_code& ec);
/// Removes a file, a symbolic link itself or an empty folder; false: nothing was there.
WEFT_API bool remove(const path& name);
WEFT_API bool remove(const path& name, std::error_code& ec);
/// Removes `name` and all that is in it, without following symbolic links; returns how many names went.
WEFT_API std::uint64_t remove_all(const path& name);
WEFT_API std::uint64_t remove_all(const path& name, std::error_code& ec);
/// Creates a folder; false: it was there already. Its parent must be there.
WEFT_API bool mkdir(const path& name, perms permissions = default_folder_perms);
WEFT_API bool mkdir(const path& name, perms permissions, std::error_code& ec);
/// Creates a folder and those above it that are missing; false: it was there already.
WEFT_API bool mkdirs(const path& name);
WEFT_API bool mkdirs(const path& name, std::error_code& ec);

/// What walk comes by.
struct entry {
    fs::path path;  ///< begins with what was given to walk
    /// What the name itself is: a symbolic link is file_type::symlink unless links are followed.
    file_type type = file_type::none;
    int depth = 0;  ///< 0: what was given to walk
};

struct walk_options {
    /// Symbolic links to folders are walked into, those that lead back to a folder above are an error
    /// (errc::too_many_symbolic_link_levels).
    bool follow_symlinks = false;
    /// Folders this deep are named and not walked into.
    int max_depth = std::numeric_limits<int>::max();
    /// Called for what can't be read; the walk then goes on with the next. Without it, or when it throws, the error is
    /// thrown and the walk may be continued after it.
    std::function<void(const path&, std::error_code)> on_error{};
};

/// Walks through a folder and all that is in it: a folder before what is in it, names in their byte order. A folder's
/// names are read in one go when the walk comes to it, so it may be changed meanwhile, and one descriptor is open at a
/// time at most. A range, to be gone through once:
///
///     for (const weft::fs::entry& e : weft::fs::walk("src")) ...
class walk {
public:
    /// Nothing is read before the first step. A `root` that is a symbolic link is followed.
    WEFT_API explicit walk(const path& root, walk_options options = {});
    WEFT_API walk(walk&&) noexcept;
    WEFT_API walk& operator=(walk&&) noexcept;
    WEFT_API ~walk();

    /// The next entry, valid until the next call; null at the end.
    [[nodiscard]] WEFT_API const entry* next();
    /// The last entry, a folder, is not walked into.
    WEFT_API void skip() noexcept;

    class iterator {
    public:
        using value_type = entry;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        iterator() noexcept = default;
        const entry& operator*() const noexcept { return *now_; }
        const entry* operator->() const noexcept { return now_; }
        iterator& operator++()
        {
            now_ = from_->next();
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept { return i.now_ == nullptr; }

    private:
        friend class walk;
        explicit iterator(walk& w) : from_(&w), now_(w.next()) {}
        walk* from_ = nullptr;
        const entry* now_ = nullptr;
    };
    [[nodiscard]] iterator begin() { return iterator(*this); }
    [[nodiscard]] static std::default_sentinel_t end() noexcept { return {}; }

private:
    struct state;
    std::unique_ptr<state> state_;
};

/// The entries of one folder, names in their byte order, each with depth 1.
[[nodiscard]] WEFT_API std::vector<entry> list(const path& folder);
[[nodiscard]] WEFT_API std::vector<entry> list(const path& folder, std::error_code& ec);

}  // namespace weft::fs
