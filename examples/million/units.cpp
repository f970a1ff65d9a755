#include "units.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace million {

namespace {

/// Three significant digits, without an exponent.
std::string three_digits(double value)
{
    if (value >= 99.95)
        return fmt::format("{:.0f}", value);
    return fmt::format("{:.{}f}", value, value >= 9.995 ? 1 : 2);
}

}  // namespace

std::string grouped(std::uint64_t value)
{
    std::string text = std::to_string(value);
    for (std::size_t at = text.size(); at > 3;) {
        at -= 3;
        text.insert(at, 1, ',');
    }
    return text;
}

std::string bytes_text(std::uint64_t bytes)
{
    constexpr std::uint64_t exact_below = std::uint64_t{1} << 20;
    if (bytes < exact_below)
        return grouped(bytes) + " B";
    double value = static_cast<double>(bytes) / static_cast<double>(exact_below);
    for (const char* unit : {"MiB", "GiB", "TiB"}) {
        if (value < 1000)
            return three_digits(value) + " " + unit;
        value /= 1024;
    }
    return three_digits(value) + " PiB";
}

std::string size_text(std::uint64_t bytes)
{
    static constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    for (; unit + 1 < units.size() && bytes >= 1024 && bytes % 1024 == 0; ++unit)
        bytes /= 1024;
    return grouped(bytes) + " " + units[unit];
}

std::string time_text(double seconds)
{
    struct unit {
        double seconds;
        const char* name;
    };
    static constexpr std::array units{unit{1e-9, "ns"}, unit{1e-6, "µs"}, unit{1e-3, "ms"}, unit{1, "s"}};
    for (const unit& u : units)
        if (seconds < u.seconds * 999.5)
            return three_digits(seconds / u.seconds) + " " + u.name;
    return grouped(static_cast<std::uint64_t>(std::llround(seconds))) + " s";
}

std::string ratio_text(double ratio)
{
    return ratio >= 999.5 ? grouped(static_cast<std::uint64_t>(std::llround(ratio))) + " x"
                          : three_digits(ratio) + " x";
}

}  // namespace million
