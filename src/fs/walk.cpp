// walk and list.
//
// A folder is read as a whole when the walk comes to it, and closed: what is kept is a stack of lists of names, each
// with the next one to look at.
#include <algorithm>
#include <cstring>
#include <memory>

#include "fs/internal.hpp"

namespace weft::fs {

namespace {

struct item {
    std::string name;
    file_type type;  ///< none: the file system does not say
};

/// What a descriptor of a folder is while it is read.
struct open_folder {
    int fd;
    explicit open_folder(int f) noexcept : fd(f) {}
    open_folder(const open_folder&) = delete;
    open_folder& operator=(const open_folder&) = delete;
    ~open_folder()
    {
        if (fd >= 0)
            (void)weft::blocking([this]() noexcept { return sys::close_file(fd); });
    }
};

/// The names in a folder, sorted. `follow`: `name` may be a symbolic link.
std::vector<item> read_folder(const path& name, bool follow, std::error_code& ec)
{
    std::vector<item> items;
    const open_folder folder(
        with_name(name, [&](const char* text) noexcept
                  { return sys::open_file(text, {.read = true, .no_follow = !follow, .directory = true}); }));
    ec = error_of(folder.fd);
    if (ec)
        return items;
    constexpr std::size_t room = std::size_t{32} << 10;
    const auto buffer = std::make_unique<char[]>(room);
    for (;;) {
        const std::int64_t n =
            weft::blocking([&]() noexcept { return sys::read_directory(folder.fd, buffer.get(), room); });
        ec = error_of(n);
        if (n <= 0)
            break;
        for (const char* at = buffer.get(); at < buffer.get() + n;) {
            const sys::directory_entry found = sys::next_entry(at);
            if (std::strcmp(found.name, ".") != 0 && std::strcmp(found.name, "..") != 0)
                items.push_back({found.name, found.type == 0 ? file_type::none : type_of(found.type)});
        }
    }
    std::sort(items.begin(), items.end(), [](const item& a, const item& b) { return a.name < b.name; });
    return items;
}

}  // namespace

struct walk::state {
    struct level {
        path folder;
        std::vector<item> items;
        std::size_t at = 0;
        std::uint64_t device = 0;  ///< which folder it is, when links are followed
        std::uint64_t inode = 0;
    };

    walk_options options;
    path root;
    bool started = false;
    bool enter = false;  ///< `now` is a folder to be walked into by the next step
    entry now;
    std::vector<level> levels;

    void failed(const path& where, std::error_code ec) const
    {
        if (!options.on_error)
            throw std::filesystem::filesystem_error("weft::fs::walk", where, ec);
        options.on_error(where, ec);
    }

    /// Makes `now` the entry of that name; false: it can't be looked at, which has been reported.
    bool look_at(path name, file_type known, int depth)
    {
        file_type type = known;
        if (type == file_type::none || (type == file_type::symlink && options.follow_symlinks)) {
            std::error_code ec;
            file_status found = options.follow_symlinks ? fs::stat(name, ec) : fs::lstat(name, ec);
            if (ec && options.follow_symlinks)
                found = fs::lstat(name, ec);  // a link that leads nowhere is what it is
            if (ec) {
                failed(name, ec);
                return false;
            }
            type = found.type;
        }
        now.path = std::move(name);
        now.type = type;
        now.depth = depth;
        enter = type == file_type::directory && depth < options.max_depth;
        return true;
    }

    void enter_now()
    {
        enter = false;
        level next{.folder = now.path, .items = {}};
        std::error_code ec;
        if (options.follow_symlinks) {
            const file_status status = fs::stat(now.path, ec);
            if (ec) {
                failed(now.path, ec);
                return;
            }
            next.device = status.device;
            next.inode = status.inode;
            for (const level& above : levels) {
                if (above.device == next.device && above.inode == next.inode) {
                    failed(now.path, std::make_error_code(std::errc::too_many_symbolic_link_levels));
                    return;
                }
            }
        }
        // The root may be a link however the others are treated: who named it meant what it leads to.
        next.items = read_folder(now.path, options.follow_symlinks || now.depth == 0, ec);
        if (!next.items.empty())
            levels.push_back(std::move(next));
        if (ec)
            failed(now.path, ec);
    }

    const entry* next()
    {
        if (!started) {
            started = true;
            std::error_code ec;
            file_status status = fs::stat(root, ec);
            if (ec)
                status = fs::lstat(root, ec);
            if (ec)
                failed(root, ec);
            else if (look_at(root, status.type, 0))
                return &now;
        }
        if (enter)
            enter_now();
        while (!levels.empty()) {
            level& top = levels.back();
            if (top.at == top.items.size()) {
                levels.pop_back();
                continue;
            }
            const item& i = top.items[top.at++];
            if (look_at(top.folder / i.name, i.type, static_cast<int>(levels.size())))
                return &now;
        }
        return nullptr;
    }
};

walk::walk(const path& root, walk_options options) : state_(std::make_unique<state>())
{
    state_->options = std::move(options);
    state_->root = root;
}

walk::walk(walk&&) noexcept = default;
walk& walk::operator=(walk&&) noexcept = default;
walk::~walk() = default;

const entry* walk::next()
{
    return state_->next();
}

void walk::skip() noexcept
{
    state_->enter = false;
}

std::vector<entry> list(const path& folder, std::error_code& ec)
{
    std::vector<entry> entries;
    for (item& i : read_folder(folder, true, ec)) {
        path name = folder / i.name;
        if (i.type == file_type::none) {
            std::error_code gone;
            i.type = lstat(name, gone).type;
        }
        entries.push_back({.path = std::move(name), .type = i.type, .depth = 1});
    }
    if (ec)
        entries.clear();
    return entries;
}

std::vector<entry> list(const path& folder)
{
    return or_throw("weft::fs::list", [&](std::error_code& ec) { return list(folder, ec); }, folder);
}

}  // namespace weft::fs
