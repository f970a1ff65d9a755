// Functions that stand on each parked stack and say nothing to a reader of reports. Each is named, behind its
// definition, by WEFT_HIDDEN_FRAME(function), which puts its address into a section of the binary of its own.
#pragma once

#include "weft/detail/config.hpp"

#define WEFT_HIDDEN_FRAME_JOIN(a, b) a##b
#define WEFT_HIDDEN_FRAME_NAME(n) WEFT_HIDDEN_FRAME_JOIN(hidden_frame_, n)
#define WEFT_HIDDEN_FRAME(...)                                                                                     \
    [[gnu::used, gnu::section("weft_hidden_frames")]] static constinit auto* WEFT_HIDDEN_FRAME_NAME(__COUNTER__) = \
        &__VA_ARGS__

namespace weft::rt {

/// Whether the function that begins at `function` is one of them.
[[nodiscard]] bool is_hidden_frame(const void* function) noexcept;

}  // namespace weft::rt
