#include "base/printer.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>

namespace weft::base {

namespace {

bool write_all(const char* text, std::size_t bytes, void* argument) noexcept
{
    const auto fd = static_cast<int>(reinterpret_cast<std::intptr_t>(argument));
    while (bytes > 0) {
        const ssize_t n = ::write(fd, text, bytes);
        if (n > 0) {
            text += n;
            bytes -= static_cast<std::size_t>(n);
        } else if (n < 0 && errno == EAGAIN) {
            pollfd wanted{fd, POLLOUT, 0};  // somebody has made it non-blocking, for all who write there
            (void)::poll(&wanted, 1, -1);
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

}  // namespace

printer::printer(int fd) noexcept : printer(&write_all, reinterpret_cast<void*>(std::intptr_t{fd})) {}

void printer::print(const char* format, ...) noexcept
{
    constexpr std::size_t most = 4'096;
    if (text_.size() - used_ < most)
        flush();
    std::va_list args;
    va_start(args, format);
    const int n = std::vsnprintf(text_.data() + used_, most, format, args);
    va_end(args);
    used_ += std::min(static_cast<std::size_t>(std::max(n, 0)), most - 1);
}

void printer::flush() noexcept
{
    if (used_ > 0 && !failed_)
        failed_ = !sink_(text_.data(), used_, argument_);
    used_ = 0;
}

}  // namespace weft::base
