// What docs/guide/files.md shows.
#include <array>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>

#include "weft/weft.hpp"

namespace fs = weft::fs;

namespace {

void whole(const fs::path& folder)
{
    // [whole]
    fs::write_file(folder / "greeting", "hello\n");
    fs::write_file(folder / "greeting", "again\n", fs::write_mode::append);
    std::printf("%s", fs::read_file(folder / "greeting").c_str());
    // [/whole]
    // [atomic]
    fs::write_file(folder / "settings", "colour = blue\n", fs::write_mode::atomic);
    // [/atomic]
}

void open(const fs::path& folder)
{
    // [open]
    using enum fs::open_flags;
    fs::file f = fs::open(folder / "table", read_write | create);
    f.pwrite(std::as_bytes(std::span("second", 6)), 8);
    f.pwrite(std::as_bytes(std::span("first", 5)), 0);
    std::array<char, 6> record{};
    f.pread(std::as_writable_bytes(std::span(record)), 8);
    f.datasync();
    std::printf("%.*s, %llu bytes\n", 6, record.data(), static_cast<unsigned long long>(f.stat().size));
    // [/open]
}

void errors(const fs::path& folder)
{
    // [errors]
    std::error_code ec;
    const std::string text = fs::read_file(folder / "missing", ec);
    if (ec == std::errc::no_such_file_or_directory)
        std::printf("not there\n");
    // [/errors]
}

void walk(const fs::path& folder)
{
    // [walk]
    fs::mkdirs(folder / "a/b");
    fs::write_file(folder / "a/b/deep", "");
    for (const fs::entry& e : fs::walk(folder / "a"))
        std::printf("%d %s\n", e.depth, e.path.filename().c_str());
    // [/walk]
}

}  // namespace

int main()
{
    return weft::run(
        []
        {
            fs::temp_file name = fs::make_temp_file();
            const fs::path folder = name.name().string() + ".d";
            fs::mkdir(folder);
            whole(folder);
            open(folder);
            errors(folder);
            walk(folder);
            fs::remove_all(folder);
        });
}

// Output:
// hello
// again
// second, 14 bytes
// not there
// 0 a
// 1 b
// 2 deep
