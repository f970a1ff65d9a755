#include "rt/sched/hidden_frames.hpp"

#include <algorithm>

// The linker's names for the beginning and the end of the section.
extern "C" [[gnu::visibility("hidden")]] const void* __start_weft_hidden_frames[];
extern "C" [[gnu::visibility("hidden")]] const void* __stop_weft_hidden_frames[];

namespace weft::rt {

bool is_hidden_frame(const void* function) noexcept
{
    const void* const* const end = __stop_weft_hidden_frames;
    return std::find<const void* const*>(__start_weft_hidden_frames, end, function) != end;
}

}  // namespace weft::rt
