// Text of a report on its way to a file descriptor or into memory: formatted into a buffer, passed on in large pieces.
#pragma once

#include <array>
#include <cstddef>

namespace weft::base {

class printer {
public:
    /// Takes the next piece; false: it can't, and will not be asked again.
    using sink = bool (*)(const char* text, std::size_t bytes, void* argument);

    printer(sink to, void* argument) noexcept : sink_(to), argument_(argument) {}
    /// To a file descriptor.
    explicit printer(int fd) noexcept;
    ~printer() { flush(); }
    printer(const printer&) = delete;
    printer& operator=(const printer&) = delete;

    /// printf; what is longer than 4 KiB is cut off.
    void print(const char* format, ...) noexcept __attribute__((format(printf, 2, 3)));
    void flush() noexcept;
    /// Whether some of the text is lost.
    [[nodiscard]] bool failed() const noexcept { return failed_; }

private:
    sink sink_;
    void* argument_;
    std::size_t used_ = 0;
    bool failed_ = false;
    std::array<char, 8'192> text_;
};

}  // namespace weft::base
