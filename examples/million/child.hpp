// Each measurement runs in a process of its own: it starts with fresh memory, it can't disturb the next one, and when
// the kernel kills it for want of memory somebody is left to say so.
#pragma once

#include <exception>
#include <functional>
#include <string>

#include "result.hpp"

namespace million {

/// Runs `measure` in a child process and returns its result. When it threw or the process died, the result has `error`
/// set and nothing else. The calling process must have no other thread.
[[nodiscard]] run_result run_in_child(const std::function<run_result()>& measure);

/// What `e` says, in words that are no implementation's names.
[[nodiscard]] std::string text_of(const std::exception& e);

/// In the child: hands over a result that is only this error, and ends the process at once.
[[noreturn]] void abandon_child(const std::string& why);

}  // namespace million
