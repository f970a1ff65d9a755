// The control groups that this process is in, version 1 and 2.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace million {

/// One limit of one group: what it allows and what is used of it, in the controller's unit.
struct group_limit {
    std::string file;  ///< the limit's path, to show
    std::uint64_t value = 0;
    std::uint64_t used = 0;
};

/// The pids limits (tasks) of this process' group and its ancestors; groups without a limit are left out.
[[nodiscard]] std::vector<group_limit> pids_limits();

/// The memory limits (bytes) likewise. File cache that the kernel would drop first does not count as used.
[[nodiscard]] std::vector<group_limit> memory_limits();

}  // namespace million
