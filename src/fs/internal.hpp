// What the files of fs/ share: errors and statuses.
#pragma once

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "sys/file.hpp"
#include "weft/detail/kept_stack.hpp"
#include "weft/fs.hpp"
#include "weft/runtime.hpp"

namespace weft::fs {

/// As sys/file.hpp returns it: below 0 is -errno.
[[nodiscard]] inline std::error_code error_of(std::int64_t result) noexcept
{
    return result < 0 ? std::error_code(static_cast<int>(-result), std::generic_category()) : std::error_code();
}

/// The result of a call of sys/file.hpp that ran as blocking(): 0 and `ec` when it has failed.
template <class Call>
auto result_of(std::error_code& ec, Call&& call)
{
    const auto result = weft::blocking(std::forward<Call>(call));
    ec = error_of(result);
    return result < 0 ? 0 : result;
}

/// What the kernel would take for another name: it ends at a NUL.
[[nodiscard]] inline bool has_nul(const path& name) noexcept
{
    return name.native().find('\0') != std::string::npos;
}

/// `call(text)`, which returns as sys/file.hpp does, as blocking(), with `name` as the kernel takes it; that stays in
/// memory meanwhile, wherever it is.
template <class Call>
auto with_name(const path& name, Call&& call) -> decltype(call(""))
{
    if (has_nul(name))
        return -EINVAL;
    return weft::blocking(
        [&]
        {
            const weft::detail::kept_stack kept(name.c_str());
            return call(name.c_str());
        });
}

/// The same for a call of std::filesystem, which returns by `ec` how it has ended.
template <class Call>
auto with_path(const path& name, std::error_code& ec, Call&& call) -> decltype(call())
{
    if (has_nul(name)) {
        ec = std::make_error_code(std::errc::invalid_argument);
        return decltype(call())();
    }
    return weft::blocking(
        [&]
        {
            const weft::detail::kept_stack kept(name.c_str());
            return call();
        });
}

/// `call(ec)`, for the form that throws.
template <class Call, class... Paths>
auto or_throw(const char* what, Call&& call, const Paths&... paths)
{
    std::error_code ec;
    const auto check = [&]
    {
        if (ec)
            throw std::filesystem::filesystem_error(what, paths..., ec);
    };
    if constexpr (std::is_void_v<decltype(call(ec))>) {
        call(ec);
        check();
    } else {
        auto result = call(ec);
        check();
        return result;
    }
}

/// A file with a name that nobody else has.
[[nodiscard]] temp_file new_file_in(const path& folder, perms permissions, std::error_code& ec);

[[nodiscard]] file_type type_of(std::uint32_t mode) noexcept;
[[nodiscard]] file_status status_of(const sys::file_facts& facts) noexcept;

}  // namespace weft::fs
