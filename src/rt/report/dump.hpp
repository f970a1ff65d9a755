// Looking at goroutines while everything runs: dumps, and what reports say of one that runs. docs/design/dump.md.
#pragma once

#include <array>
#include <cstdint>

#include "base/printer.hpp"
#include "rt/core/g.hpp"
#include "rt/report/stack_walk.hpp"
#include "sys/unwind.hpp"

namespace weft::rt {

struct m;

/// A name's copy; cut off where it is too long.
struct name_copy {
    std::array<char, 64> text{};

    /// `extra` may be gone.
    static name_copy of(const g_extra* extra) noexcept;
    [[nodiscard]] bool empty() const noexcept { return text[0] == '\0'; }
};

/// A goroutine that had a thread when that thread was asked.
struct running_goroutine {
    g* who = nullptr;  ///< null: the thread runs none
    std::uint64_t id = 0;
    const void* started_at = nullptr;
    int thread_id = 0;
    bool asleep = false;  ///< in the kernel
    name_copy name;
    goroutine_stack stack;
};

/// Asks the thread of `on`, by a signal. False: it has not answered until `deadline` (monotonic, ns), or is gone; then
/// all but the stack and the name may be filled in, from outside.
[[nodiscard]] bool ask(m& on, running_goroutine& out, std::int64_t deadline) noexcept;

/// Who wants a dump, if it is a goroutine.
struct dump_caller {
    m* on = nullptr;  ///< null: it is none
    sys::register_set registers{};
    const void* outside_of = nullptr;  ///< the function that its stack is shown outside of
};
/// Prints every goroutine.
void dump_all(base::printer& out, const dump_caller& caller) noexcept;

/// For a goroutine that can't run meanwhile: who it is, what it waits for, where it was started, its stack if wanted.
void report_parked(base::printer& out, const g& item, bool with_stack) noexcept;

/// Marks all that wait now and were not marked yet, so that later dumps can say for how long at least. Returns how long
/// that has taken, in ns.
std::int64_t mark_waiting() noexcept;

}  // namespace weft::rt
