// What every wrapper of a system call does.
#pragma once

#include <cerrno>

namespace weft::sys {

/// What a system call has said to libc's wrapper: its result, or a negative errno.
template <class Result>
Result or_errno(Result r) noexcept
{
    return r >= 0 ? r : static_cast<Result>(-errno);
}

/// call() again while it fails with EINTR; its result, or a negative errno.
template <class Call>
auto uninterrupted(Call&& call) noexcept
{
    for (;;) {
        const auto r = or_errno(call());
        if (r != -EINTR)
            return r;
    }
}

}  // namespace weft::sys
