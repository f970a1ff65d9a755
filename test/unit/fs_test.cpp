// fs: files, whole files, names, walks.
#include "weft/fs.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"

namespace {

namespace fs = weft::fs;

/// A folder for a test, gone after it.
struct folder {
    fs::path path;
    folder()
    {
        std::string name = (std::filesystem::temp_directory_path() / "weft_fs_XXXXXX").string();
        path = ::mkdtemp(name.data());
    }
    folder(const folder&) = delete;
    folder& operator=(const folder&) = delete;
    ~folder() { std::filesystem::remove_all(path); }
    fs::path operator/(const char* name) const { return path / name; }
};

std::span<const std::byte> bytes(std::string_view text)
{
    return std::as_bytes(std::span(text));
}

template <class Call>
std::error_code thrown_by(Call call)
{
    try {
        call();
    } catch (const std::system_error& e) {
        return e.code();
    }
    return {};
}

class fs_test : public weft::test::fixture {
protected:
    folder in;
};
using fs_walk_test = fs_test;

// Each on a goroutine and on a plain thread.
#define FS_TEST(suite, name)                         \
    struct suite##_##name : suite {                  \
        void body();                                 \
    };                                               \
    TEST_F(suite##_##name, on_a_goroutine)           \
    {                                                \
        EXPECT_EQ(weft::run([this] { body(); }), 0); \
    }                                                \
    TEST_F(suite##_##name, on_a_plain_thread)        \
    {                                                \
        body();                                      \
    }                                                \
    void suite##_##name::body()

FS_TEST(fs_test, reads_and_writes_at_the_position)
{
    fs::file f = fs::open(in / "f", fs::open_flags::read_write | fs::open_flags::create);
    EXPECT_TRUE(f);
    EXPECT_EQ(f.name(), in / "f");
    EXPECT_EQ(f.write("hello, "), 7U);
    EXPECT_EQ(f.write("world"), 5U);
    EXPECT_EQ(f.seek(0), 0U);
    std::array<std::byte, 64> buffer{};
    EXPECT_EQ(f.read(std::span(buffer).first(5)), 5U);
    EXPECT_EQ(f.read_full(buffer), 7U);
    EXPECT_EQ(f.read(buffer), 0U);
    EXPECT_EQ(f.seek(-3, fs::seek_from::current), 9U);
    EXPECT_EQ(f.seek(-1, fs::seek_from::end), 11U);
    EXPECT_EQ(f.read(buffer), 1U);
    EXPECT_EQ(buffer[0], std::byte{'d'});
    f.datasync();
    f.fsync();
    EXPECT_EQ(thrown_by([&] { f.seek(-100); }), std::errc::invalid_argument);
    f.close();
    EXPECT_FALSE(f.is_open());
}

FS_TEST(fs_test, reads_and_writes_at_an_offset)
{
    fs::file f = fs::open(in / "f", fs::open_flags::read_write | fs::open_flags::create);
    EXPECT_EQ(f.pwrite(bytes("abc"), 5), 3U);
    std::array<std::byte, 16> buffer{};
    buffer.fill(std::byte{1});
    EXPECT_EQ(f.pread(buffer, 0), 8U);
    EXPECT_EQ(buffer[0], std::byte{0});
    EXPECT_EQ(buffer[7], std::byte{'c'});
    EXPECT_EQ(f.pread(buffer, 8), 0U);
    EXPECT_EQ(f.seek(0, fs::seek_from::current), 0U);
    EXPECT_EQ(thrown_by([&] { (void)f.pread(buffer, ~std::uint64_t{0}); }), std::errc::invalid_argument);
    EXPECT_EQ(thrown_by([&] { (void)f.pwrite(buffer, ~std::uint64_t{0}); }), std::errc::invalid_argument);
    EXPECT_EQ(thrown_by([&] { f.truncate(~std::uint64_t{0}); }), std::errc::file_too_large);
    f.truncate(2);
    EXPECT_EQ(f.stat().size, 2U);
}

FS_TEST(fs_test, appends)
{
    fs::write_file(in / "f", "one\n");
    fs::file f = fs::open(in / "f", fs::open_flags::write | fs::open_flags::append);
    fs::write_file(in / "f", "two\n", fs::write_mode::append);
    f.write("three\n");
    EXPECT_EQ(fs::read_file(in / "f"), "one\ntwo\nthree\n");
}

FS_TEST(fs_test, flags)
{
    std::error_code ec;
    using enum fs::open_flags;
    EXPECT_FALSE(fs::open(in / "f", ec));
    EXPECT_EQ(ec, std::errc::no_such_file_or_directory);
    EXPECT_TRUE(fs::open(in / "f", write | create | exclusive, fs::perms{0640}, ec));
    EXPECT_FALSE(ec);
    EXPECT_EQ(fs::stat(in / "f").permissions, fs::perms{0640});
    EXPECT_FALSE(fs::open(in / "f", write | create | exclusive, ec));
    EXPECT_EQ(ec, std::errc::file_exists);
    std::filesystem::create_symlink(in / "f", in / "link");
    EXPECT_FALSE(fs::open(in / "link", read | no_follow, ec));
    EXPECT_EQ(ec, std::errc::too_many_symbolic_link_levels);
    EXPECT_THROW((void)fs::open(in / "f", create), std::invalid_argument);
    EXPECT_THROW((void)fs::open(in / "f", write | exclusive), std::invalid_argument);
    EXPECT_THROW((void)fs::open(in / "f", read | truncate), std::invalid_argument);
}

FS_TEST(fs_test, errors_name_the_call_and_the_path)
{
    try {
        (void)fs::open(in / "missing");
        FAIL();
    } catch (const std::filesystem::filesystem_error& e) {
        EXPECT_EQ(e.code(), std::errc::no_such_file_or_directory);
        EXPECT_EQ(e.path1(), in / "missing");
        EXPECT_NE(std::string(e.what()).find("weft::fs::open"), std::string::npos) << e.what();
        EXPECT_NE(std::string(e.what()).find("missing"), std::string::npos) << e.what();
    }
    fs::file f = fs::open(in / "f", fs::open_flags::write | fs::open_flags::create);
    std::array<std::byte, 4> buffer{};
    EXPECT_EQ(thrown_by([&] { (void)f.read(buffer); }), std::errc::bad_file_descriptor);
    f.close();
    EXPECT_EQ(thrown_by([&] { f.close(); }), std::errc::bad_file_descriptor);
    EXPECT_EQ(thrown_by([&] { f.write("x"); }), std::errc::bad_file_descriptor);
    fs::file full = fs::open("/dev/full", fs::open_flags::write);
    EXPECT_EQ(thrown_by([&] { full.write("x"); }), std::errc::no_space_on_device);
}

FS_TEST(fs_test, files_move)
{
    fs::file a = fs::open(in / "f", fs::open_flags::write | fs::open_flags::create);
    const int fd = a.native_handle();
    fs::file b = std::move(a);
    EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(b.native_handle(), fd);
    a = std::move(b);
    EXPECT_EQ(a.native_handle(), fd);
    a = fs::open(in / "f");
    EXPECT_EQ(::fcntl(a.native_handle(), F_GETFD), FD_CLOEXEC);
    const fs::file c(a.release());
    EXPECT_TRUE(c);
    EXPECT_FALSE(a);
}

FS_TEST(fs_test, a_pipe_gives_what_there_is)
{
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    fs::file r(ends[0], "read end");
    fs::file w(ends[1]);
    w.write("some");
    std::array<std::byte, 64> buffer{};
    EXPECT_EQ(r.read(buffer), 4U);
    EXPECT_EQ(thrown_by([&] { r.seek(1); }), std::errc::invalid_seek);
    // More than a pipe holds: the write comes in pieces.
    std::string big(1 << 20, 'x');
    std::thread writer(
        [&]
        {
            w.write(big);
            w.close();
        });
    std::string got(big.size() + 10, ' ');
    EXPECT_EQ(r.read_full(std::as_writable_bytes(std::span(got))), big.size());
    writer.join();
    EXPECT_EQ(r.read(buffer), 0U);
}

FS_TEST(fs_test, whole_files)
{
    for (const std::size_t size : {0U, 1U, 4'095U, 4'096U, 4'097U, 1'000'000U}) {
        std::string content(size, ' ');
        for (std::size_t i = 0; i < size; ++i)
            content[i] = static_cast<char>(i * 7 % 251);
        for (const auto mode : {fs::write_mode::replace, fs::write_mode::atomic}) {
            fs::write_file(in / "f", content, mode);
            EXPECT_EQ(fs::read_file(in / "f"), content);
        }
    }
    EXPECT_GT(fs::read_file("/proc/self/maps").size(), 100U);
    std::error_code ec;
    EXPECT_EQ(fs::read_file(in.path, ec), "");
    EXPECT_EQ(ec, std::errc::is_a_directory);
    EXPECT_EQ(fs::read_file(in / "missing", ec), "");
    EXPECT_EQ(ec, std::errc::no_such_file_or_directory);
    fs::write_file(in / "missing/f", "x", fs::write_mode::atomic, ec);
    EXPECT_EQ(ec, std::errc::no_such_file_or_directory);
    fs::write_file("/dev/full", "x", fs::write_mode::replace, ec);
    EXPECT_EQ(ec, std::errc::no_space_on_device);
}

FS_TEST(fs_test, atomic_writes)
{
    fs::write_file(in / "new", "1", fs::write_mode::atomic);
    fs::write_file(in / "plain", "1");
    EXPECT_EQ(fs::stat(in / "new").permissions, fs::stat(in / "plain").permissions);
    std::filesystem::permissions(in / "new", fs::perms{0751});
    const std::uint64_t inode = fs::stat(in / "new").inode;
    fs::write_file(in / "new", "2", fs::write_mode::atomic);
    EXPECT_EQ(fs::stat(in / "new").permissions, fs::perms{0751});
    EXPECT_NE(fs::stat(in / "new").inode, inode);
    // One that fails leaves nothing behind.
    fs::mkdir(in / "folder");
    std::error_code ec;
    fs::write_file(in / "folder", "x", fs::write_mode::atomic, ec);
    EXPECT_TRUE(ec);
    EXPECT_EQ(fs::list(in.path).size(), 3U);
}

FS_TEST(fs_test, readers_of_atomic_writes_see_all_or_nothing)
{
    const weft::test::procs four(4);
    fs::write_file(in / "f", std::string(10'000, 'a'));
    std::atomic<bool> over{false};
    std::atomic<int> torn{0};
    weft::wait_group all;
    for (int i = 0; i < 2; ++i)
        all.go(
            [&]
            {
                while (!over) {
                    const std::string seen = fs::read_file(in / "f");
                    if (seen.size() != 10'000 || std::count(seen.begin(), seen.end(), seen[0]) != 10'000)
                        ++torn;
                    weft::yield();
                }
            });
    for (std::size_t i = 0; i < weft::test::scaled(20); ++i)
        fs::write_file(in / "f", std::string(10'000, static_cast<char>('a' + i % 26)), fs::write_mode::atomic);
    over = true;
    all.wait();
    EXPECT_EQ(torn, 0);
}

FS_TEST(fs_test, temporary_files)
{
    fs::path name;
    {
        fs::temp_file t = fs::make_temp_file(in.path);
        name = t.name();
        EXPECT_EQ(name.parent_path(), in.path);
        EXPECT_EQ(fs::stat(name).permissions, fs::perms{0600});
        t->write("x");
        fs::temp_file u = std::move(t);
        EXPECT_EQ(u.name(), name);
        EXPECT_TRUE(fs::exists(name));
    }
    EXPECT_FALSE(fs::exists(name));
    {
        fs::temp_file t = fs::make_temp_file(in.path);
        t->write("kept");
        t.keep_as(in / "kept");
        fs::temp_file u = fs::make_temp_file(in.path);
        name = u.name();
        u.keep();
    }
    EXPECT_EQ(fs::read_file(in / "kept"), "kept");
    EXPECT_TRUE(fs::exists(name));
    EXPECT_EQ(fs::make_temp_file().name().parent_path(), std::filesystem::temp_directory_path());
    std::error_code ec;
    EXPECT_FALSE(fs::make_temp_file(in / "missing", ec).get());
    EXPECT_EQ(ec, std::errc::no_such_file_or_directory);
}

FS_TEST(fs_test, statuses)
{
    fs::write_file(in / "f", "12345");
    std::filesystem::create_symlink("f", in / "link");
    std::filesystem::create_symlink("nowhere", in / "dangling");
    const fs::file_status s = fs::stat(in / "link");
    EXPECT_TRUE(s.is_regular());
    EXPECT_EQ(s.size, 5U);
    EXPECT_EQ(s.links, 1U);
    EXPECT_EQ(s.owner, ::geteuid());
    struct stat raw{};
    ASSERT_EQ(::stat((in / "f").c_str(), &raw), 0);
    EXPECT_EQ(s.inode, raw.st_ino);
    EXPECT_EQ(s.modified.time_since_epoch(),
              std::chrono::seconds(raw.st_mtim.tv_sec) + std::chrono::nanoseconds(raw.st_mtim.tv_nsec));
    EXPECT_TRUE(fs::lstat(in / "link").is_symlink());
    EXPECT_TRUE(fs::lstat(in / "dangling").is_symlink());
    EXPECT_FALSE(fs::exists(in / "dangling"));
    EXPECT_FALSE(fs::exists(in / "f/below"));
    EXPECT_EQ(fs::stat("/dev/null").type, fs::file_type::character);
    EXPECT_EQ(thrown_by([&] { (void)fs::stat(in / "dangling"); }), std::errc::no_such_file_or_directory);
}

FS_TEST(fs_test, names)
{
    EXPECT_TRUE(fs::mkdir(in / "a"));
    EXPECT_FALSE(fs::mkdir(in / "a"));
    EXPECT_EQ(thrown_by([&] { fs::mkdir(in / "x/y"); }), std::errc::no_such_file_or_directory);
    EXPECT_TRUE(fs::mkdirs(in / "a/b/c"));
    EXPECT_FALSE(fs::mkdirs(in / "a/b/c"));
    fs::write_file(in / "a/f", "x");
    EXPECT_EQ(thrown_by([&] { fs::mkdir(in / "a/f"); }), std::errc::file_exists);
    fs::rename(in / "a/f", in / "a/b/g");
    EXPECT_EQ(thrown_by([&] { fs::rename(in / "a/f", in / "h"); }), std::errc::no_such_file_or_directory);
    EXPECT_EQ(thrown_by([&] { fs::remove(in / "a/b"); }), std::errc::directory_not_empty);
    EXPECT_TRUE(fs::remove(in / "a/b/g"));
    EXPECT_FALSE(fs::remove(in / "a/b/g"));
    EXPECT_EQ(fs::remove_all(in / "a"), 3U);
    EXPECT_EQ(fs::remove_all(in / "a"), 0U);
}

std::vector<std::string> names(fs::walk walk, const fs::path& root)
{
    std::vector<std::string> found;
    for (const fs::entry& e : walk)
        found.push_back(e.path.lexically_relative(root).string() + (e.type == fs::file_type::directory ? "/" : ""));
    return found;
}

FS_TEST(fs_walk_test, goes_through_everything_in_order)
{
    fs::mkdirs(in / "b/deep/er");
    fs::mkdir(in / "empty");
    for (const char* name : {"a", "c", "b/1", "b/deep/2", "b/deep/er/3"})
        fs::write_file(in / name, name);
    std::filesystem::create_directory_symlink("b", in / "link");
    const std::vector<std::string> all = {"./",         "a",           "b/", "b/1",    "b/deep/", "b/deep/2",
                                          "b/deep/er/", "b/deep/er/3", "c",  "empty/", "link"};
    EXPECT_EQ(names(fs::walk(in.path), in.path), all);
    EXPECT_EQ(names(fs::walk(in.path, {.max_depth = 1}), in.path),
              (std::vector<std::string>{"./", "a", "b/", "c", "empty/", "link"}));
    EXPECT_EQ(names(fs::walk(in.path, {.max_depth = 0}), in.path), (std::vector<std::string>{"./"}));
    EXPECT_EQ(names(fs::walk(in / "a"), in.path), (std::vector<std::string>{"a"}));
    EXPECT_EQ(names(fs::walk(in / "link"), in.path).size(), 6U);

    std::vector<std::string> some;
    fs::walk w(in.path);
    while (const fs::entry* e = w.next()) {
        some.push_back(e->path.filename().string() + std::to_string(e->depth));
        if (e->path.filename() == "b")
            w.skip();
    }
    EXPECT_EQ(some, (std::vector<std::string>{in.path.filename().string() + "0", "a1", "b1", "c1", "empty1", "link1"}));
    EXPECT_EQ(fs::list(in.path).size(), 5U);
    EXPECT_EQ(fs::list(in.path)[1].type, fs::file_type::directory);
    EXPECT_EQ(thrown_by([&] { (void)fs::list(in / "a"); }), std::errc::not_a_directory);
}

FS_TEST(fs_walk_test, many_names)
{
    for (int i = 0; i < 2'000; ++i)
        std::ofstream(in / ("a rather long name to fill the buffer " + std::to_string(i)).c_str());
    EXPECT_EQ(fs::list(in.path).size(), 2'000U);
}

FS_TEST(fs_walk_test, follows_links_when_told_to_and_finds_circles)
{
    fs::mkdirs(in / "a/b");
    std::filesystem::create_directory_symlink("..", in / "a/b/up");
    std::filesystem::create_symlink("nowhere", in / "a/dangling");
    std::vector<std::pair<fs::path, std::error_code>> errors;
    fs::walk_options options{.follow_symlinks = true};
    options.on_error = [&](const fs::path& p, std::error_code ec) { errors.emplace_back(p, ec); };
    EXPECT_EQ(names(fs::walk(in.path, options), in.path),
              (std::vector<std::string>{"./", "a/", "a/b/", "a/b/up/", "a/dangling"}));
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_EQ(errors[0].first, in / "a/b/up");
    EXPECT_EQ(errors[0].second, std::errc::too_many_symbolic_link_levels);
}

FS_TEST(fs_walk_test, errors_are_thrown_or_reported)
{
    EXPECT_EQ(thrown_by([&] { (void)names(fs::walk(in / "missing"), in.path); }), std::errc::no_such_file_or_directory);
    int errors = 0;
    fs::walk_options count;
    count.on_error = [&](const fs::path&, std::error_code) { ++errors; };
    EXPECT_TRUE(names(fs::walk(in / "missing", count), in.path).empty());
    EXPECT_EQ(errors, 1);

    // A folder that goes away between its name and its content; the walk goes on.
    fs::mkdirs(in / "a/x");
    fs::mkdir(in / "b");
    fs::walk w(in.path);
    std::vector<std::string> seen;
    bool failed = false;
    for (bool over = false; !over;) {
        try {
            const fs::entry* e = w.next();
            over = e == nullptr;
            if (!over)
                seen.push_back(e->path.filename().string());
            if (!over && seen.back() == "a")
                fs::remove_all(in / "a");
        } catch (const std::filesystem::filesystem_error& e) {
            failed = true;
            EXPECT_EQ(e.path1(), in / "a");
        }
    }
    EXPECT_TRUE(failed);
    EXPECT_EQ(seen.back(), "b");
}

// The kernel would take the part before it for the name.
FS_TEST(fs_test, a_name_with_a_nul_is_refused)
{
    using namespace std::string_literals;
    const fs::path there = in / "there";
    fs::write_file(there, bytes("content"));
    const fs::path odd = there.native() + "\0.txt"s;
    std::error_code ec;
    const auto expect_refused = [&](const char* what)
    {
        EXPECT_EQ(ec, std::errc::invalid_argument) << what;
        ec.clear();
    };
    (void)fs::open(odd, ec), expect_refused("open");
    (void)fs::stat(odd, ec), expect_refused("stat");
    (void)fs::lstat(odd, ec), expect_refused("lstat");
    (void)fs::exists(odd, ec), expect_refused("exists");
    (void)fs::read_file(odd, ec), expect_refused("read_file");
    fs::write_file(odd, bytes("x"), fs::write_mode::replace, ec), expect_refused("write_file");
    fs::write_file(odd, bytes("x"), fs::write_mode::atomic, ec), expect_refused("write_file");
    fs::rename(odd, in / "other", ec), expect_refused("rename from");
    fs::rename(there, odd, ec), expect_refused("rename to");
    (void)fs::remove(odd, ec), expect_refused("remove");
    (void)fs::remove_all(odd, ec), expect_refused("remove_all");
    (void)fs::mkdir(odd, fs::perms{0700}, ec), expect_refused("mkdir");
    (void)fs::mkdirs(odd, ec), expect_refused("mkdirs");
    EXPECT_EQ(fs::read_file(there), "content");
}

WEFT_TEST(fs_test, many_goroutines_at_once)
{
    const weft::test::procs four(4);
    const folder in;
    std::atomic<int> good{0};
    weft::wait_group all;
    const int count = static_cast<int>(weft::test::scaled(400));
    for (int i = 0; i < count; ++i)
        all.go(
            [&, i]
            {
                const fs::path name = in / std::to_string(i % 20).c_str();
                fs::file f = fs::open(name, fs::open_flags::read_write | fs::open_flags::create);
                const std::string text = std::to_string(i);
                f.pwrite(bytes(text), static_cast<std::uint64_t>(i) * 100);
                std::string back(text.size(), ' ');
                f.pread(std::as_writable_bytes(std::span(back)), static_cast<std::uint64_t>(i) * 100);
                good += back == text ? 1 : 0;
            });
    all.wait();
    EXPECT_EQ(good, count);
}

}  // namespace
