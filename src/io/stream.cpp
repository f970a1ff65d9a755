// Public streams over fd. Sockets are written with send(2), which can be told not to raise SIGPIPE; others can't.
#include <algorithm>
#include <array>
#include <climits>

#include "io/fd.hpp"
#include "io/result.hpp"
#include "sys/io.hpp"
#include "sys/socket.hpp"
#include "weft/io.hpp"

namespace weft::io {

namespace detail {

void fd_closer::operator()(fd* f) const noexcept
{
    delete f;
}

void throw_error(std::error_code why, const char* call)
{
    throw std::system_error(why, call);
}

}  // namespace detail

bool handle::is_open() const noexcept
{
    return fd_ != nullptr && !fd_->closed();
}

int handle::native_handle() const noexcept
{
    return is_open() ? fd_->number() : -1;
}

void handle::close(std::error_code& ec) noexcept
{
    set_error(ec, fd_ == nullptr ? EBADF : fd_->close() ? 0 : ECANCELED);
}

void handle::set_read_deadline(clock::time_point when) noexcept
{
    if (fd_ != nullptr)
        fd_->set_deadline(poll_side::read, when.time_since_epoch().count());
}

void handle::set_write_deadline(clock::time_point when) noexcept
{
    if (fd_ != nullptr)
        fd_->set_deadline(poll_side::write, when.time_since_epoch().count());
}

WEFT_HOT std::size_t stream::read(std::span<std::byte> to, std::error_code& ec) noexcept
{
    if (fd_ == nullptr) [[unlikely]]
        return finish(ec, {0, EBADF});
    if (to.empty()) [[unlikely]]
        return finish(ec, {0, fd_->closed() ? ECANCELED : 0});
    return finish(ec, fd_->read(to));
}

WEFT_HOT std::size_t stream::write(std::span<const std::byte> from, std::error_code& ec) noexcept
{
    if (fd_ == nullptr) [[unlikely]]
        return finish(ec, {0, EBADF});
    if (from.empty()) [[unlikely]]
        return finish(ec, fd_->write_all(std::span<const std::span<const std::byte>>()));
    return finish(ec, fd_->write_all(from));
}

std::size_t stream::writev(std::span<const std::span<const std::byte>> parts, std::error_code& ec) noexcept
{
    return finish(ec, fd_ == nullptr ? outcome{0, EBADF} : fd_->write_all(parts));
}

}  // namespace weft::io
