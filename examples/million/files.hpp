// Small reads from /proc and /sys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace million {

/// The whole file, empty when it can't be read.
[[nodiscard]] std::string read_file(const std::string& path);

/// Without holding the file in memory, of which there may be little left. 0 when it can't be read.
[[nodiscard]] std::uint64_t count_lines(const std::string& path);

/// The number that `text` begins with (blanks skipped); nothing for other text, such as the "max" of a cgroup.
[[nodiscard]] std::optional<std::uint64_t> leading_number(std::string_view text);

/// The number in the file, as leading_number().
[[nodiscard]] std::optional<std::uint64_t> read_number(const std::string& path);

/// The number after `key` at the start of a line, as in /proc/meminfo: "MemTotal:  24683956 kB". Units are left out.
[[nodiscard]] std::optional<std::uint64_t> number_after(std::string_view text, std::string_view key);

/// The rest of the line that starts with `key`, without blanks at both ends.
[[nodiscard]] std::string line_after(std::string_view text, std::string_view key);

}  // namespace million
