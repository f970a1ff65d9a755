// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace million {

/// 1000000 -> "1,000,000"
[[nodiscard]] std::string grouped(std::uint64_t value);

/// 4512 -> "4,512 B", 25275826176 -> "23.5 GiB". Bytes up to 1 MiB are exact.
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);

/// The size of something that has a round size: 65536 -> "64 KiB", 8388608 -> "8 MiB"
[[nodiscard]] std::string size_text(std::uint64_t bytes);

/// 3.5e-08 -> "35.0 ns", 1.25 -> "1.25 s": three digits.
[[nodiscard]] std::string time_text(double seconds);

/// 14.66 -> "14.7 x", 514 -> "514 x"
[[nodiscard]] std::string ratio_text(double ratio);

}  // namespace million
