// Counts the words of all files in a folder, many files at a time, as `sort | uniq -c` would, and prints the most
// frequent ones.
//
//   wordcount [PATH]      a folder or a file; this repository when left out
//
// One goroutine walks through the folders and sends the files' names; as many workers as there are Ps read them
// (reading a file keeps the OS thread, so more would not help), each into a table of its own; at the end the tables are
// added up. What can't be read is named on stderr and makes the exit status 1. Left out: hidden entries, folders named
// "build", links, and files that are no text (they contain a zero byte).
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ranges>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "weft/weft.hpp"

namespace {

namespace fs = std::filesystem;

constexpr std::size_t shown = 10;

/// What one worker, or all of them, have found.
struct tally {
    std::size_t files = 0;
    std::size_t words = 0;
    std::unordered_map<std::string, std::size_t> count;
    std::vector<std::string> problems;

    void failed(const fs::path& path, const std::error_code& why)
    {
        problems.push_back(path.string() + ": " + why.message());
    }
    void add(tally other)
    {
        files += other.files;
        words += other.words;
        for (const auto& [word, n] : other.count)
            count[word] += n;
        std::ranges::move(other.problems, std::back_inserter(problems));
    }
};

bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// A word is a run of ASCII letters; case does not matter.
void count_words(std::string_view text, tally& into)
{
    std::string word;
    for (auto at = text.begin(); at != text.end();) {
        const auto begin = std::find_if(at, text.end(), is_letter);
        at = std::find_if_not(begin, text.end(), is_letter);
        if (begin == at)
            break;
        word.assign(begin, at);
        for (char& c : word)
            c = static_cast<char>(c | 0x20);
        ++into.count[word];
        ++into.words;
    }
}

/// Reads a whole file. Not inlined: the compiler may keep the address of errno, which is the thread's, and a caller
/// that parks may go on in another thread (docs/guide/hazards.md).
[[gnu::noinline]] std::error_code read_file(const fs::path& path, std::string& text)
{
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(file), {});
    if (file.is_open() && !file.bad())
        return {};
    return {errno != 0 ? errno : EIO, std::generic_category()};
}

void count_file(const fs::path& path, tally& into)
{
    std::string text;
    if (const std::error_code error = read_file(path, text))
        return into.failed(path, error);
    if (text.find('\0') != std::string::npos)
        return;
    ++into.files;
    count_words(text, into);
}

/// Sends the files at and below `path`; what can't be looked into is noted in `into`.
void walk(const fs::path& path, const weft::sender<fs::path>& files, tally& into)
{
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (error)
        return into.failed(path, error);
    if (!fs::is_directory(status))
        return files.send(path);
    fs::directory_iterator entries(path, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
        const fs::path& entry = entries->path();
        const std::string name = entry.filename();
        std::error_code ignored;  // of what can't be asked for its type, walk() says why
        if (name.starts_with('.') || entries->is_symlink(ignored))
            continue;
        if (entries->is_directory(ignored) ? name != "build" : entries->is_regular_file(ignored))
            walk(entry, files, into);
    }
    if (error)
        into.failed(path, error);
}

int report(const tally& all)
{
    for (const std::string& problem : all.problems)
        std::fprintf(stderr, "wordcount: can't read %s\n", problem.c_str());
    std::printf("%zu words, %zu of them different, in %zu files\n", all.words, all.count.size(), all.files);
    std::vector<std::pair<std::size_t, std::string_view>> by_count;
    for (const auto& [word, n] : all.count)
        by_count.emplace_back(n, word);
    const auto more_frequent = [](const auto& a, const auto& b)
    { return a.first != b.first ? a.first > b.first : a.second < b.second; };
    const auto end = by_count.begin() + static_cast<std::ptrdiff_t>(std::min(shown, by_count.size()));
    std::partial_sort(by_count.begin(), end, by_count.end(), more_frequent);
    for (const auto& [n, word] : std::ranges::subrange(by_count.begin(), end))
        std::printf("%8zu %.*s\n", n, static_cast<int>(word.size()), word.data());
    return all.problems.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc > 2) {
        std::fprintf(stderr, "usage: wordcount [PATH]\n");
        return 2;
    }
    const fs::path root = argc == 2 ? fs::path(argv[1]) : fs::path(__FILE__).parent_path().parent_path();
    return weft::run(
        [&root]
        {
            const weft::chan<fs::path> files(64);
            const weft::chan<tally> tallies;

            weft::go(
                [&root, files, tallies]
                {
                    tally found;
                    walk(root, files, found);
                    files.close();
                    tallies.send(std::move(found));
                });
            const int workers = weft::max_procs();
            for (int w = 0; w < workers; ++w)
                weft::go(
                    [files, tallies]
                    {
                        tally found;
                        for (const fs::path& file : files)
                            count_file(file, found);
                        tallies.send(std::move(found));
                    });

            tally all;
            for (int goroutines = workers + 1; goroutines > 0; --goroutines)
                all.add(tallies.recv().value());
            return report(all);
        });
}
