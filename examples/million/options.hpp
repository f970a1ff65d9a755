// The command line.
#pragma once

#include <cstdint>
#include <string>

namespace million {

struct settings {
    std::uint64_t goroutines = 1'000'000;
    std::uint64_t threads = 32'000;
    int procs = 0;
    std::uint64_t memory = 0;  ///< bytes to use at the most; 0: what there is
    bool progress = true;
    std::string json;  ///< path, empty for none
    std::string html;
};

enum class parsed { run, help, error };

/// Fills `s`. help and error: what there is to say has been printed.
[[nodiscard]] parsed parse_options(int argc, char** argv, settings& s);

}  // namespace million
