#include "sys/exception_globals.hpp"

#include <cxxabi.h>

namespace weft::sys {

exception_globals* thread_exception_globals() noexcept
{
    return reinterpret_cast<exception_globals*>(abi::__cxa_get_globals());
}

}  // namespace weft::sys
