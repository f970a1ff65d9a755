// Open files. What a call is given stays in memory for as long as it blocks: it may be in the stack of a goroutine that
// is parked for just that.
#include "fs/internal.hpp"

namespace weft::fs {

namespace {

using weft::detail::kept_stack;

/// What the kernel takes as an offset; beyond that, EINVAL is what it would say.
[[nodiscard]] bool fits(std::uint64_t offset) noexcept
{
    return offset <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
}

sys::open_how how_of(open_flags flags, perms permissions)
{
    if (!(flags & open_flags::read_write))
        throw std::invalid_argument("weft::fs::open: the flags need read, write or read_write");
    if ((flags & open_flags::exclusive) && !(flags & open_flags::create))
        throw std::invalid_argument("weft::fs::open: open_flags::exclusive needs open_flags::create");
    if ((flags & (open_flags::truncate | open_flags::append)) && !(flags & open_flags::write))
        throw std::invalid_argument("weft::fs::open: open_flags::truncate and append need open_flags::write");
    return {.read = flags & open_flags::read,
            .write = flags & open_flags::write,
            .create = flags & open_flags::create,
            .exclusive = flags & open_flags::exclusive,
            .truncate = flags & open_flags::truncate,
            .append = flags & open_flags::append,
            .sync = flags & open_flags::sync,
            .no_follow = flags & open_flags::no_follow,
            .mode = static_cast<unsigned>(permissions)};
}

}  // namespace

file open(const path& name, open_flags flags, perms permissions, std::error_code& ec)
{
    const sys::open_how how = how_of(flags, permissions);
    path shown = name;
    const int fd = with_name(name, [&](const char* text) noexcept { return sys::open_file(text, how); });
    ec = error_of(fd);
    return fd < 0 ? file() : file(fd, std::move(shown));
}

file open(const path& name, open_flags flags, perms permissions)
{
    return or_throw("weft::fs::open", [&](std::error_code& ec) { return open(name, flags, permissions, ec); }, name);
}

file open(const path& name, open_flags flags, std::error_code& ec)
{
    return open(name, flags, default_file_perms, ec);
}

file open(const path& name, std::error_code& ec)
{
    return open(name, open_flags::read, default_file_perms, ec);
}

std::size_t file::read(std::span<std::byte> into, std::error_code& ec)
{
    return static_cast<std::size_t>(result_of(ec,
                                              [&]() noexcept
                                              {
                                                  const kept_stack kept(into.data());
                                                  return sys::read_once(fd_, into.data(), into.size());
                                              }));
}

std::size_t file::read_full(std::span<std::byte> into, std::error_code& ec)
{
    std::size_t done = 0;
    ec.clear();
    while (done < into.size()) {
        const std::size_t n = read(into.subspan(done), ec);
        if (n == 0)
            break;
        done += n;
    }
    return done;
}

std::size_t file::write(std::span<const std::byte> from, std::error_code& ec)
{
    std::size_t done = 0;
    (void)result_of(ec,
                    [&]() noexcept
                    {
                        const kept_stack kept(from.data());
                        return sys::write_all(fd_, from.data(), from.size(), done);
                    });
    return done;
}

std::size_t file::pread(std::span<std::byte> into, std::uint64_t offset, std::error_code& ec) const
{
    return static_cast<std::size_t>(result_of(ec,
                                              [&]() noexcept
                                              {
                                                  const kept_stack kept(into.data());
                                                  return fits(offset) ? sys::read_at(fd_, into.data(), into.size(),
                                                                                     static_cast<std::int64_t>(offset))
                                                                      : std::int64_t{-EINVAL};
                                              }));
}

std::size_t file::pwrite(std::span<const std::byte> from, std::uint64_t offset, std::error_code& ec)
{
    std::size_t done = 0;
    (void)result_of(ec,
                    [&]() noexcept
                    {
                        const kept_stack kept(from.data());
                        return fits(offset) ? sys::write_all_at(fd_, from.data(), from.size(),
                                                                static_cast<std::int64_t>(offset), done)
                                            : -EINVAL;
                    });
    return done;
}

std::uint64_t file::seek(std::int64_t offset, seek_from from, std::error_code& ec)
{
    const auto whence = from == seek_from::begin     ? sys::seek_from::begin
                        : from == seek_from::current ? sys::seek_from::current
                                                     : sys::seek_from::end;
    // The one call here that never waits for a disk.
    const std::int64_t at = sys::seek_file(fd_, offset, whence);
    ec = error_of(at);
    return at < 0 ? 0 : static_cast<std::uint64_t>(at);
}

void file::fsync(std::error_code& ec)
{
    (void)result_of(ec, [&]() noexcept { return sys::sync_file(fd_, false); });
}

void file::datasync(std::error_code& ec)
{
    (void)result_of(ec, [&]() noexcept { return sys::sync_file(fd_, true); });
}

void file::truncate(std::uint64_t size, std::error_code& ec)
{
    (void)result_of(
        ec, [&]() noexcept { return fits(size) ? sys::truncate_file(fd_, static_cast<std::int64_t>(size)) : -EFBIG; });
}

file_status file::stat(std::error_code& ec) const
{
    sys::file_facts facts{};
    (void)result_of(ec, [&]() noexcept { return sys::facts_of(fd_, facts); });
    return ec ? file_status() : status_of(facts);
}

void file::close(std::error_code& ec)
{
    const int fd = std::exchange(fd_, -1);
    (void)result_of(ec, [&]() noexcept { return fd < 0 ? -EBADF : sys::close_file(fd); });
}

void file::discard() noexcept
{
    if (fd_ < 0)
        return;
    const int fd = std::exchange(fd_, -1);
    (void)weft::blocking([fd]() noexcept { return sys::close_file(fd); });
}

// --- the forms that throw

std::size_t file::read(std::span<std::byte> into)
{
    return or_throw("weft::fs::file::read", [&](std::error_code& ec) { return read(into, ec); }, path_);
}

std::size_t file::read_full(std::span<std::byte> into)
{
    return or_throw("weft::fs::file::read_full", [&](std::error_code& ec) { return read_full(into, ec); }, path_);
}

std::size_t file::write(std::span<const std::byte> from)
{
    return or_throw("weft::fs::file::write", [&](std::error_code& ec) { return write(from, ec); }, path_);
}

std::size_t file::pread(std::span<std::byte> into, std::uint64_t offset) const
{
    return or_throw("weft::fs::file::pread", [&](std::error_code& ec) { return pread(into, offset, ec); }, path_);
}

std::size_t file::pwrite(std::span<const std::byte> from, std::uint64_t offset)
{
    return or_throw("weft::fs::file::pwrite", [&](std::error_code& ec) { return pwrite(from, offset, ec); }, path_);
}

std::uint64_t file::seek(std::int64_t offset, seek_from from)
{
    return or_throw("weft::fs::file::seek", [&](std::error_code& ec) { return seek(offset, from, ec); }, path_);
}

void file::fsync()
{
    or_throw("weft::fs::file::fsync", [&](std::error_code& ec) { fsync(ec); }, path_);
}

void file::datasync()
{
    or_throw("weft::fs::file::datasync", [&](std::error_code& ec) { datasync(ec); }, path_);
}

void file::truncate(std::uint64_t size)
{
    or_throw("weft::fs::file::truncate", [&](std::error_code& ec) { truncate(size, ec); }, path_);
}

file_status file::stat() const
{
    return or_throw("weft::fs::file::stat", [&](std::error_code& ec) { return stat(ec); }, path_);
}

void file::close()
{
    or_throw("weft::fs::file::close", [&](std::error_code& ec) { close(ec); }, path_);
}

}  // namespace weft::fs
