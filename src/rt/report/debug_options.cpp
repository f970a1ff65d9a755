#include "rt/report/debug_options.hpp"

#include <array>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <system_error>

#include "base/check.hpp"

namespace weft::rt {

namespace {

constexpr std::int64_t millisecond = 1'000'000;

struct word {
    std::string_view name;
    bool debug_options::* on;
};
constexpr std::array words{
    word{"hibernate", &debug_options::hibernate},
    word{"locks", &debug_options::locks},
    word{"migrate", &debug_options::migrate},
    word{"nocoldspans", &debug_options::nocoldspans},
    word{"noguardmarker", &debug_options::noguardmarker},
    word{"nomembarrier", &debug_options::nomembarrier},
    word{"nomemoryfile", &debug_options::nomemoryfile},
    word{"nouserfault", &debug_options::nouserfault},
    word{"sigquit", &debug_options::sigquit},
    word{"stacks", &debug_options::stacks},
    word{"waits", &debug_options::waits},
};

struct duration {
    std::string_view name;
    std::int64_t debug_options::* value;
};
constexpr std::array durations{
    duration{"schedtrace", &debug_options::schedtrace},
    duration{"stall", &debug_options::stall},
};

constexpr const char* known =
    "hibernate, locks, migrate, nocoldspans, noguardmarker, nomembarrier, nomemoryfile, nouserfault, "
    "schedtrace=1000 (ms), sigquit, stacks, stall=50ms, waits";

/// A number with a unit, without one ms; 0: it is none.
std::int64_t parse_duration(std::string_view text) noexcept
{
    std::int64_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
    std::int64_t factor = 0;
    if (unit.empty() || unit == "ms")
        factor = millisecond;
    else if (unit == "us")
        factor = 1'000;
    else if (unit == "s")
        factor = 1'000 * millisecond;
    if (error != std::errc() || n <= 0 || factor == 0 || n > std::numeric_limits<std::int64_t>::max() / factor)
        return 0;
    return n * factor;
}

int length(std::string_view text) noexcept
{
    return static_cast<int>(text.size() < 200 ? text.size() : 200);
}

void understand(std::string_view text, debug_options& out) noexcept
{
    const std::size_t equals = text.find('=');
    const std::string_view name = text.substr(0, equals);
    for (const duration& d : durations) {
        if (d.name != name)
            continue;
        const std::int64_t value = equals == text.npos ? 0 : parse_duration(text.substr(equals + 1));
        if (value == 0)
            base::report(
                "weft: WEFT_DEBUG has '%.*s', which wants a time, as in %.*s=50ms (us, ms, s; ms is meant "
                "without a unit); left out\n",
                length(text), text.data(), length(name), name.data());
        out.*d.value = value;
        return;
    }
    for (const word& w : words) {
        if (w.name == text) {
            out.*w.on = true;
            return;
        }
    }
    base::report("weft: WEFT_DEBUG has '%.*s', which is not known and left out; known are: %s\n", length(text),
                 text.data(), known);
}

}  // namespace

debug_options parse_debug_options(const char* text) noexcept
{
    debug_options out;
    std::string_view rest = text == nullptr ? std::string_view() : std::string_view(text);
    while (!rest.empty()) {
        const std::size_t comma = rest.find(',');
        if (const std::string_view one = rest.substr(0, comma); !one.empty())
            understand(one, out);
        rest = comma == rest.npos ? std::string_view() : rest.substr(comma + 1);
    }
    return out;
}

const debug_options& debugging() noexcept
{
    static const debug_options options = parse_debug_options(std::getenv("WEFT_DEBUG"));
    return options;
}

}  // namespace weft::rt
