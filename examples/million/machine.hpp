// What the numbers were measured on.
#pragma once

#include <cstdint>
#include <string>

namespace million {

struct machine {
    std::string cpu;           ///< model, or the architecture where there is no model
    std::uint64_t cpus = 0;    ///< that this process may use
    std::uint64_t memory = 0;  ///< bytes
    std::string kernel;
    std::string system;  ///< the distribution
    std::string compiler;
    std::string started;  ///< local time
};

[[nodiscard]] machine this_machine();

}  // namespace million
