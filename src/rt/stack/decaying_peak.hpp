// decaying_peak: how many of something that is kept for reuse are likely to be needed soon.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace weft::rt {

/// The most of the last few looks, and after those a quarter of what is above the present number with each look. So a
/// burst that comes back soon finds everything as it left it, and one that does not is forgotten after
/// window + log4(its size) looks.
class decaying_peak {
public:
    static constexpr std::size_t window = 4;  ///< looks

    /// `peak`: the most that were in use since the last look; `now`: at present.
    std::uint64_t look(std::uint64_t peak, std::uint64_t now) noexcept
    {
        peaks_[at_++ % window] = peak;
        const std::uint64_t recent = *std::max_element(peaks_.begin(), peaks_.end());
        const std::uint64_t faded = mark_ > now ? now + (mark_ - now) / 4 : now;
        mark_ = std::max(recent, faded);
        return mark_;
    }

private:
    std::array<std::uint64_t, window> peaks_{};
    std::size_t at_ = 0;
    std::uint64_t mark_ = 0;
};

}  // namespace weft::rt
