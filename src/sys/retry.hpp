// What every wrapper of a system call does.
#pragma once

#include <cerrno>

namespace weft::sys {

/// call() again while it fails with EINTR; its result, or a negative errno.
template <class Call>
auto uninterrupted(Call&& call) noexcept
{
    using result = decltype(call());
    for (;;) {
        const result r = call();
        if (r >= 0)
            return r;
        if (errno != EINTR)
            return static_cast<result>(-errno);
    }
}

}  // namespace weft::sys
