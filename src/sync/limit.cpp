#include "sync/limit.hpp"

#include "weft/context.hpp"

namespace weft::detail {

std::error_code end_of(const context& ctx) noexcept
{
    return ctx.err();
}

}  // namespace weft::detail
