// A goroutine's beginning. The entry points, detail::task_new() and task_start(), are in weft/detail/task.hpp.
#pragma once

#include "rt/core/g.hpp"
#include "weft/go.hpp"

namespace weft::rt {

/// What a goroutine is before its start. Throws std::invalid_argument (attributes), std::bad_alloc.
void prepare_goroutine(g& item, detail::task_body body, detail::storage_life life, const attr* attributes,
                       const void* started_at);

}  // namespace weft::rt
