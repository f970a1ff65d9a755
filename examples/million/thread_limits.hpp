// How many more threads each of the system's limits allows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace million {

struct thread_limit {
    std::string name;
    std::uint64_t value = 0;  ///< the limit
    bool in_bytes = false;    ///< `value` is; otherwise it is a count
    std::uint64_t room = 0;   ///< how many more threads it allows
    std::string why;          ///< how `room` follows from `value`
};

/// The limit's value to show.
[[nodiscard]] std::string value_text(const thread_limit& l);

/// All limits that apply to this process, the tightest first, for threads with stacks of `stack` bytes.
[[nodiscard]] std::vector<thread_limit> thread_limits(std::uint64_t stack);

/// After a thread could not be started: names the limit that is used up, or says that none of the known ones is.
[[nodiscard]] std::string exhausted_limit(std::uint64_t stack);

}  // namespace million
