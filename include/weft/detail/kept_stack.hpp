// Stacks that are not hibernated for a while, because system calls have addresses in them: the kernel says EFAULT where
// a page is missing. docs/design/hibernation.md, "Kept".
#pragma once

#include "weft/detail/config.hpp"

namespace weft::detail {

/// While it lives, the stack of a goroutine that an address is in stays in memory, whatever that goroutine does.
/// Nothing is done for an address elsewhere, nor for one in the caller's own stack, which is in memory while the caller
/// runs. Must not lie in a stack that may be hibernated: a goroutine that has one in its own does not park meanwhile,
/// or has a kept_own_stack around it.
class kept_stack {
public:
    kept_stack() noexcept = default;
    explicit kept_stack(const void* address) noexcept { keep(address); }
    kept_stack(const kept_stack&) = delete;
    kept_stack& operator=(const kept_stack&) = delete;
    ~kept_stack()
    {
        if (top_ != nullptr)
            let_go();
    }
    /// Once, after the default constructor.
    WEFT_API void keep(const void* address) noexcept;

private:
    WEFT_API void let_go() noexcept;

    friend class kept_stacks;
    char* top_ = nullptr;            ///< of the stack; null: none
    kept_stack* next_ = nullptr;     ///< guarded by the stripe
    kept_stack** before_ = nullptr;  ///< guarded by the stripe: what points to this one
};

/// While it lives, the calling goroutine's stack is not hibernated: for a wait in which other threads have system calls
/// use it. On a plain thread: nothing. Begins and ends on the same goroutine.
class kept_own_stack {
public:
    WEFT_API kept_own_stack() noexcept;
    kept_own_stack(const kept_own_stack&) = delete;
    kept_own_stack& operator=(const kept_own_stack&) = delete;
    WEFT_API ~kept_own_stack();

private:
    bool set_;  ///< by this one, and not by attr::hibernate or one around it
};

}  // namespace weft::detail
