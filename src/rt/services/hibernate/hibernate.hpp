// Hibernation: the stack of a goroutine that has been parked for long is kept packed, and its pages go back to the
// kernel. It is put back before the goroutine runs again, and as soon as anybody touches it: pointers into it stay
// valid. docs/design/hibernation.md has the protocol, its interleavings and what it costs.
//
// This file: taking one stack away and putting it back. hibernator.cpp: which ones, and when. What is given to system
// calls: weft/detail/kept_stack.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "rt/core/g.hpp"
#include "sys/unwind.hpp"

namespace weft::rt {

/// What is chosen when the runtime starts.
struct hibernation_setup {
    bool off = false;                ///< options::hibernate_after is 0
    bool depth_is_measured = false;  ///< WEFT_DEBUG=stacks: by the pages that a stack has
    bool no_userfault = false;       ///< as if the kernel refused it
    bool no_memory_file = false;     ///< the same
    bool no_cold_spans = false;      ///< markers only
};
void init_hibernation(const hibernation_setup& setup) noexcept;
/// Whether stacks can be hibernated; else hibernation_refusal() says why not.
[[nodiscard]] bool can_hibernate() noexcept;
[[nodiscard]] const char* hibernation_refusal() noexcept;

/// Whether `item` may be hibernated as far as can be seen now, without any lock.
[[nodiscard]] bool may_hibernate(const g& item) noexcept;

/// The most goroutines of one hibernate() call.
inline constexpr std::size_t hibernation_batch = 256;
/// Hibernates those of `items` that are parked; none of them may be who calls. By one thread at a time, see
/// lock_hibernation(). Returns how many stacks were taken away.
std::size_t hibernate(std::span<g*> items) noexcept;

/// False: somebody else hibernates now.
[[nodiscard]] bool try_lock_hibernation() noexcept;
void lock_hibernation() noexcept;
void unlock_hibernation() noexcept;

/// Before a goroutine whose `why` says cold runs: `item` is running by its state already. Its stack is there
/// afterwards.
void thaw(g& item) noexcept;

/// By who goes through many waiters, before it touches the next one: spares the fault, which costs as much as putting
/// the stack back.
void expect_to_touch(const void* object) noexcept;

/// In the handler of SIGSEGV, on any thread, before anything else is made of the fault. True: what was missing at
/// `address` is there now.
[[nodiscard]] bool restore_at(std::uintptr_t address, std::uintptr_t instruction) noexcept;

/// For those who walk stacks of goroutines that do not run. False: it is not hibernated; true: `look` has been called
/// with the used part, in a copy.
bool with_hibernated(char* top, void (*look)(const sys::stack_piece& copy, void* argument) noexcept,
                     void* argument) noexcept;

/// Around fork(): the child finds all stacks whole or away, none in between.
void hold_hibernation_for_fork() noexcept;
void release_hibernation_after_fork() noexcept;
void restart_hibernation_in_child() noexcept;

struct hibernation_counts {
    std::uint64_t stacks;      ///< away now
    std::uint64_t hibernated;  ///< taken away, ever
    std::uint64_t restored;    ///< put back, ever
    std::uint64_t by_fault;    ///< of those, because somebody else touched them
};
[[nodiscard]] hibernation_counts count_hibernation() noexcept;

}  // namespace weft::rt
