// The measurements, each to be run in a process of its own (child.hpp).
#pragma once

#include <cstdint>

#include "result.hpp"

namespace million {

struct run_request {
    std::uint64_t asked = 0;  ///< tasks
    std::uint64_t stack = 0;  ///< of a thread, bytes; 0: the system's default
    int procs = 0;            ///< Ps of weft; 0: its default
    bool progress = true;
};

/// Goroutines through all phases, as many of those asked for as fit into memory.
[[nodiscard]] run_result run_goroutines(const run_request& request);
/// Threads through all phases, as many of those asked for as the system allows.
[[nodiscard]] run_result run_threads(const run_request& request);

/// The small costs alone, in run_result::costs.
[[nodiscard]] run_result goroutine_costs(const run_request& request);
[[nodiscard]] run_result thread_costs(const run_request& request);

}  // namespace million
