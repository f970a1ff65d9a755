// WEFT_DEBUG: what the environment asks of the runtime, words and values separated by commas. Read once, when the
// runtime starts; what is not understood is reported then, and left out.
#pragma once

#include <cstdint>

namespace weft::rt {

struct debug_options {
    bool nomembarrier = false;    ///< as if the kernel refused membarrier(2)
    bool noguardmarker = false;   ///< as if it had no MADV_GUARD_INSTALL
    bool hibernate = false;       ///< stacks are hibernated as soon as goroutines park, whatever that costs
    bool nouserfault = false;     ///< as if the kernel refused userfaultfd(2)
    bool nomemoryfile = false;    ///< as if it refused writing to /proc/self/mem
    bool nocoldspans = false;     ///< hibernated stacks keep their page tables
    bool sigquit = false;         ///< SIGQUIT prints a dump
    bool waits = false;           ///< how long goroutines wait is followed, for dumps
    bool migrate = false;         ///< a goroutine that has parked goes on on another thread
    bool locks = false;           ///< a park with a mutex of the system held is reported
    bool stacks = false;          ///< how deep goroutines go is measured, by where they were started
    std::int64_t stall = 0;       ///< ns; a goroutine that holds its thread for longer is reported. 0: off
    std::int64_t schedtrace = 0;  ///< ns between two lines about the scheduler. 0: off
};

/// `text`: the variable's value, or null. Reports what it does not understand, on stderr.
[[nodiscard]] debug_options parse_debug_options(const char* text) noexcept;

/// Those of this process.
[[nodiscard]] const debug_options& debugging() noexcept;

}  // namespace weft::rt
