#include "base/check.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace weft::base {

namespace {

void write_all(const char* text, std::size_t size) noexcept
{
    while (size > 0) {
        const ssize_t n = ::write(STDERR_FILENO, text, size);
        if (n <= 0)
            return;
        text += n;
        size -= static_cast<std::size_t>(n);
    }
}

__attribute__((format(printf, 3, 0))) void vreport(const char* prefix, const char* suffix, const char* format,
                                                   std::va_list args) noexcept
{
    char text[4096];
    constexpr std::size_t room = sizeof text - 2;
    auto used = static_cast<std::size_t>(std::snprintf(text, room, "%s", prefix));
    const int n = std::vsnprintf(text + used, room - used, format, args);
    used = std::min(used + static_cast<std::size_t>(std::max(n, 0)), room - 1);
    for (; *suffix != '\0' && used < sizeof text; ++suffix)
        text[used++] = *suffix;
    write_all(text, used);
}

}  // namespace

void report(const char* format, ...) noexcept
{
    std::va_list args;
    va_start(args, format);
    vreport("", "", format, args);
    va_end(args);
}

void end_process(int status) noexcept
{
    if (::ftrylockfile(stdout) == 0)
        ::fflush_unlocked(stdout);
    ::_exit(status);
}

void fatal(const char* format, ...) noexcept
{
    std::va_list args;
    va_start(args, format);
    vreport("fatal error: ", "\n", format, args);
    va_end(args);
    std::abort();
}

}  // namespace weft::base
