// The public side of dumps.
#include "weft/debug.hpp"

#include <new>

#include "rt/core/m.hpp"
#include "rt/core/thread_local.hpp"
#include "rt/report/dump.hpp"

namespace weft::debug {

namespace {

constexpr int to_stderr = 2;

const void* address_of(bool (*function)(int) noexcept) noexcept
{
    return reinterpret_cast<const void*>(function);
}

}  // namespace

WEFT_NOINLINE bool dump(int fd) noexcept
{
    base::printer out(fd);
    rt::dump_all(out, {rt::this_m(), sys::registers_here(), address_of(&dump)});
    out.flush();
    return !out.failed();
}

void dump() noexcept
{
    (void)dump(to_stderr);
}

WEFT_NOINLINE std::string dump_string()
{
    std::string text;
    base::printer out(
        [](const char* piece, std::size_t bytes, void* into) noexcept
        {
            try {
                static_cast<std::string*>(into)->append(piece, bytes);
                return true;
            } catch (const std::bad_alloc&) {
                return false;
            }
        },
        &text);
    rt::dump_all(out, {rt::this_m(), sys::registers_here(), reinterpret_cast<const void*>(&dump_string)});
    out.flush();
    if (out.failed())
        throw std::bad_alloc();
    return text;
}

}  // namespace weft::debug
