// From errno values to std::error_code.
#pragma once

#include <cstddef>
#include <system_error>

#include "io/fd.hpp"

namespace weft::io {

inline void set_error(std::error_code& ec, int error) noexcept
{
    if (error != 0) [[unlikely]]
        ec.assign(error, std::generic_category());
    else if (ec) [[unlikely]]
        ec.clear();
}

inline std::size_t finish(std::error_code& ec, const outcome& o) noexcept
{
    set_error(ec, o.error);
    return o.count;
}

}  // namespace weft::io
