#include "files.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>

namespace million {

namespace {

constexpr std::string_view blanks = " \t\n";

std::string_view strip(std::string_view text)
{
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::string_view rest_of_line(std::string_view text, std::string_view key)
{
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view line = text.substr(at, end - at);
        if (line.starts_with(key))
            return strip(line.substr(key.size()));
        at = end + 1;
    }
    return {};
}

}  // namespace

std::string read_file(const std::string& path)
{
    const std::ifstream in(path);
    std::ostringstream text;
    if (in)
        text << in.rdbuf();
    return std::move(text).str();
}

std::uint64_t count_lines(const std::string& path)
{
    std::ifstream in(path);
    return static_cast<std::uint64_t>(std::count(std::istreambuf_iterator<char>(in), {}, '\n'));
}

std::optional<std::uint64_t> leading_number(std::string_view text)
{
    text = strip(text);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() ? std::optional(value) : std::nullopt;
}

std::optional<std::uint64_t> read_number(const std::string& path)
{
    return leading_number(read_file(path));
}

std::optional<std::uint64_t> number_after(std::string_view text, std::string_view key)
{
    return leading_number(rest_of_line(text, key));
}

std::string line_after(std::string_view text, std::string_view key)
{
    return std::string(rest_of_line(text, key));
}

}  // namespace million
