// What is done to files by name.
//
// std::filesystem does those that are one system call and a table of errors; ours are those that it lacks or does in a
// way that loses something.
#include <array>
#include <string>

#include "fs/internal.hpp"

namespace weft::fs {

file_type type_of(std::uint32_t mode) noexcept
{
    switch (mode & 0170000U) {
        case 0100000U:
            return file_type::regular;
        case 0040000U:
            return file_type::directory;
        case 0120000U:
            return file_type::symlink;
        case 0060000U:
            return file_type::block;
        case 0020000U:
            return file_type::character;
        case 0010000U:
            return file_type::fifo;
        case 0140000U:
            return file_type::socket;
        default:
            return file_type::unknown;
    }
}

file_status status_of(const sys::file_facts& facts) noexcept
{
    const auto time = [](std::int64_t ns) { return file_status::time(std::chrono::nanoseconds(ns)); };
    return {.type = type_of(facts.mode),
            .permissions = static_cast<perms>(facts.mode & 07777U),
            .size = static_cast<std::uint64_t>(facts.size),
            .allocated = static_cast<std::uint64_t>(facts.allocated),
            .modified = time(facts.modified),
            .changed = time(facts.changed),
            .accessed = time(facts.accessed),
            .device = facts.device,
            .inode = facts.inode,
            .links = facts.links,
            .owner = facts.owner,
            .group = facts.group};
}

namespace {

file_status status_of_name(const path& name, bool follow, std::error_code& ec)
{
    sys::file_facts facts{};
    ec = error_of(with_name(name, [&](const char* text) noexcept { return sys::facts_of(text, follow, facts); }));
    return ec ? file_status() : status_of(facts);
}

}  // namespace

file_status stat(const path& name, std::error_code& ec)
{
    return status_of_name(name, true, ec);
}

file_status lstat(const path& name, std::error_code& ec)
{
    return status_of_name(name, false, ec);
}

bool exists(const path& name, std::error_code& ec)
{
    (void)stat(name, ec);
    if (ec != std::errc::no_such_file_or_directory && ec != std::errc::not_a_directory)
        return !ec;
    ec.clear();
    return false;
}

std::string read_file(const path& name, std::error_code& ec)
{
    std::string content;
    file from = open(name, ec);
    if (ec)
        return content;
    const file_status status = from.stat(ec);
    if (ec)
        return content;
    if (status.is_directory()) {
        ec = std::make_error_code(std::errc::is_a_directory);
        return content;
    }
    // One byte more than it has: then its end is seen by the same read. 0 is what /proc says of its files.
    std::size_t room = static_cast<std::size_t>(status.size) + 1;
    std::size_t done = 0;
    for (;;) {
        content.resize(std::max(room, done + 4'096));
        done += from.read_full(std::as_writable_bytes(std::span(content)).subspan(done), ec);
        if (ec || done < content.size())
            break;
        room = 2 * content.size();
    }
    content.resize(ec ? 0 : done);
    return content;
}

temp_file new_file_in(const path& folder, perms permissions, std::error_code& ec)
{
    do {
        std::array<unsigned char, 12> random{};
        sys::random_bytes(random.data(), random.size());
        std::string name = ".weft-";
        for (const unsigned char byte : random)
            name += "0123456789abcdefghijklmnopqrstuv"[byte & 31U];
        path full = folder / name;
        file made = open(full, open_flags::read_write | open_flags::create | open_flags::exclusive, permissions, ec);
        if (!ec)
            return {std::move(made), std::move(full)};
    } while (ec == std::errc::file_exists);
    return {};
}

namespace {

/// The folder in which `name` stands.
path folder_of(const path& name)
{
    path folder = name.parent_path();
    return folder.empty() ? path(".") : folder;
}

/// Brings a folder's names to the disk.
void sync_folder(const path& folder, std::error_code& ec)
{
    const int result = with_name(folder,
                                 [](const char* text) noexcept
                                 {
                                     const int fd = sys::open_file(text, {.read = true, .directory = true});
                                     if (fd < 0)
                                         return fd;
                                     const int synced = sys::sync_file(fd, false);
                                     (void)sys::close_file(fd);
                                     // Some file systems have nothing to bring there.
                                     return synced == -EINVAL || synced == -EROFS ? 0 : synced;
                                 });
    ec = error_of(result);
}

void write_atomically(const path& name, std::span<const std::byte> content, std::error_code& ec)
{
    const path folder = folder_of(name);
    std::error_code none;
    const file_status old = lstat(name, none);
    // A file that was not there gets what open() would have made of it. One that was may have to be kept from others
    // until it has its permissions.
    temp_file fresh = new_file_in(folder, old.is_regular() ? perms{0600} : default_file_perms, ec);
    if (ec)
        return;
    (void)fresh->write(content, ec);
    if (!ec && old.is_regular())
        (void)result_of(ec, [&]() noexcept
                        { return sys::change_mode(fresh->native_handle(), static_cast<unsigned>(old.permissions)); });
    if (!ec)
        fresh->fsync(ec);
    if (!ec)
        fresh->close(ec);
    if (!ec)
        fresh.keep_as(name, ec);
    if (!ec)
        sync_folder(folder, ec);
}

}  // namespace

void write_file(const path& name, std::span<const std::byte> content, write_mode mode, std::error_code& ec)
{
    if (mode == write_mode::atomic) {
        write_atomically(name, content, ec);
        return;
    }
    const open_flags how = mode == write_mode::append ? open_flags::append : open_flags::truncate;
    file to = open(name, open_flags::write | open_flags::create | how, ec);
    if (ec)
        return;
    (void)to.write(content, ec);
    std::error_code closed;
    to.close(closed);
    if (!ec)
        ec = closed;
}

temp_file make_temp_file(const path& folder, std::error_code& ec)
{
    const path where = folder.empty() ? std::filesystem::temp_directory_path(ec) : folder;
    if (folder.empty() && ec)
        return {};
    return new_file_in(where, perms{0600}, ec);
}

void temp_file::keep_as(const path& to, std::error_code& ec)
{
    fs::rename(path_, to, ec);
    if (!ec)
        path_.clear();
}

void temp_file::discard() noexcept
{
    if (path_.empty())
        return;
    std::error_code ignored;
    fs::remove(path_, ignored);
    path_.clear();
}

void rename(const path& from, const path& to, std::error_code& ec)
{
    if (has_nul(to)) {
        ec = std::make_error_code(std::errc::invalid_argument);
        return;
    }
    with_path(from, ec,
              [&]
              {
                  const weft::detail::kept_stack kept(to.c_str());
                  std::filesystem::rename(from, to, ec);
              });
}

bool remove(const path& name, std::error_code& ec)
{
    return with_path(name, ec, [&] { return std::filesystem::remove(name, ec); });
}

std::uint64_t remove_all(const path& name, std::error_code& ec)
{
    const std::uintmax_t removed = with_path(name, ec, [&] { return std::filesystem::remove_all(name, ec); });
    return ec ? 0 : removed;
}

bool mkdir(const path& name, perms permissions, std::error_code& ec)
{
    ec = error_of(with_name(
        name, [&](const char* text) noexcept { return sys::make_folder(text, static_cast<unsigned>(permissions)); }));
    if (ec != std::errc::file_exists)
        return !ec;
    std::error_code seen;
    if (stat(name, seen).is_directory())
        ec.clear();
    return false;
}

bool mkdirs(const path& name, std::error_code& ec)
{
    return with_path(name, ec, [&] { return std::filesystem::create_directories(name, ec); });
}

// --- the forms that throw

file_status stat(const path& name)
{
    return or_throw("weft::fs::stat", [&](std::error_code& ec) { return stat(name, ec); }, name);
}

file_status lstat(const path& name)
{
    return or_throw("weft::fs::lstat", [&](std::error_code& ec) { return lstat(name, ec); }, name);
}

bool exists(const path& name)
{
    return or_throw("weft::fs::exists", [&](std::error_code& ec) { return fs::exists(name, ec); }, name);
}

std::string read_file(const path& name)
{
    return or_throw("weft::fs::read_file", [&](std::error_code& ec) { return read_file(name, ec); }, name);
}

void write_file(const path& name, std::span<const std::byte> content, write_mode mode)
{
    or_throw("weft::fs::write_file", [&](std::error_code& ec) { write_file(name, content, mode, ec); }, name);
}

temp_file make_temp_file(const path& folder)
{
    return or_throw(
        "weft::fs::make_temp_file", [&](std::error_code& ec) { return make_temp_file(folder, ec); }, folder);
}

void temp_file::keep_as(const path& to)
{
    const path from = path_;
    or_throw("weft::fs::temp_file::keep_as", [&](std::error_code& ec) { keep_as(to, ec); }, from, to);
}

void rename(const path& from, const path& to)
{
    or_throw("weft::fs::rename", [&](std::error_code& ec) { fs::rename(from, to, ec); }, from, to);
}

bool remove(const path& name)
{
    return or_throw("weft::fs::remove", [&](std::error_code& ec) { return fs::remove(name, ec); }, name);
}

std::uint64_t remove_all(const path& name)
{
    return or_throw("weft::fs::remove_all", [&](std::error_code& ec) { return fs::remove_all(name, ec); }, name);
}

bool mkdir(const path& name, perms permissions)
{
    return or_throw("weft::fs::mkdir", [&](std::error_code& ec) { return mkdir(name, permissions, ec); }, name);
}

bool mkdirs(const path& name)
{
    return or_throw("weft::fs::mkdirs", [&](std::error_code& ec) { return mkdirs(name, ec); }, name);
}

}  // namespace weft::fs
