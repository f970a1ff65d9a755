// arena: hands out pieces of large reservations, each twice the last, so that any number of pieces costs a few dozen
// mappings.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sys/memory.hpp"

namespace weft::rt {

/// Not thread-safe: its owner locks.
class arena {
public:
    /// `first`, `largest`: size of the first and of the largest reservation, powers of two. `name`: for sys::reserve().
    constexpr arena(std::size_t first, std::size_t largest, sys::pages kind, const char* name) noexcept
        : next_size_(first), largest_(largest), kind_(kind), name_(name)
    {
    }

    /// `bytes` of zeroed memory. Reservations are aligned to `alignment` (a power of two), and so are pieces whose
    /// sizes are multiples of it. Null when no address space is left.
    [[nodiscard]] void* carve(std::size_t bytes, std::size_t alignment) noexcept
    {
        if (static_cast<std::size_t>(end_ - at_) < bytes && !grow(bytes, alignment))
            return nullptr;
        void* const piece = at_;
        at_ += bytes;
        return piece;
    }
    /// The reservation that the last piece is from.
    struct range {
        char* low;
        char* high;
    };
    /// Up to here that reservation has been handed out.
    [[nodiscard]] char* at() const noexcept { return at_; }
    [[nodiscard]] range newest() const noexcept { return {low_, end_}; }
    [[nodiscard]] std::uint64_t reserved() const noexcept { return reserved_; }

private:
    bool grow(std::size_t bytes, std::size_t alignment) noexcept
    {
        // Where the address space is limited (RLIMIT_AS, overcommit 2) a smaller reservation may still fit.
        for (std::size_t size = next_size_ > bytes ? next_size_ : bytes;; size /= 2) {
            if (size < bytes)
                size = bytes;
            if (void* const at = sys::reserve(size, alignment, kind_, name_); at != nullptr) {
                low_ = static_cast<char*>(at);
                at_ = low_;
                end_ = at_ + size;
                reserved_ += size;
                if (next_size_ < largest_)
                    next_size_ *= 2;
                return true;
            }
            if (size == bytes)
                return false;
        }
    }

    char* low_ = nullptr;
    char* at_ = nullptr;
    char* end_ = nullptr;
    std::size_t next_size_;
    std::size_t largest_;
    sys::pages kind_;
    const char* name_;
    std::uint64_t reserved_ = 0;
};

}  // namespace weft::rt
