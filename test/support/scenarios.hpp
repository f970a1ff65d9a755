// main() of a child program: runs the scenario that its first argument names.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <initializer_list>
#include <string_view>

namespace weft::test {

struct scenario {
    std::string_view name;
    int (*run)();
};

/// Writes one line to stdout at once, whatever becomes of the process.
[[gnu::format(printf, 1, 2)]] inline void say(const char* format, ...)
{
    char line[1'024];
    va_list values;
    va_start(values, format);
    const int length = std::vsnprintf(line, sizeof line - 1, format, values);
    va_end(values);
    const auto n = length < static_cast<int>(sizeof line) - 2 ? static_cast<std::size_t>(length) : sizeof line - 2;
    line[n] = '\n';
    for (std::size_t done = 0; done <= n;) {
        const ssize_t written = ::write(STDOUT_FILENO, line + done, n + 1 - done);
        if (written <= 0)
            break;
        done += static_cast<std::size_t>(written);
    }
}

inline int run_scenario(int argc, char** argv, std::initializer_list<scenario> scenarios)
{
    // They die on purpose; a core file of each is of no use.
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    if (argc == 2)
        for (const scenario& s : scenarios)
            if (s.name == argv[1])
                return s.run();
    std::fprintf(stderr, "usage: %s SCENARIO\n", argv[0]);
    for (const scenario& s : scenarios)
        std::fprintf(stderr, "    %.*s\n", static_cast<int>(s.name.size()), s.name.data());
    return 64;
}

}  // namespace weft::test
