#include "net/socket_set.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include "sys/poll.hpp"

namespace weft::net {

socket_set::socket_set(const context& ctx) noexcept : ctx_(ctx)
{
    const int poller = sys::poller_open();
    if (poller < 0) {
        error_ = {-poller, std::generic_category()};
        return;
    }
    poller_ = io::fd::take(poller, io::fd::kind::file);
    if (poller_ == nullptr)
        error_ = std::make_error_code(std::errc::not_enough_memory);
    else
        canceler_.emplace(ctx, *poller_, io::poll_side::read);
}

socket_set::~socket_set() = default;

void socket_set::watch(int socket, bool readable, bool writable) noexcept
{
    sys::poller_remove(poller_->number(), socket);
    const auto what = static_cast<std::uint8_t>((readable ? sys::poll_event::readable : 0) |
                                                (writable ? sys::poll_event::writable : 0));
    if (what != 0)
        (void)sys::poller_add_level(poller_->number(), socket, what, static_cast<std::uint64_t>(socket));
}

std::size_t socket_set::look(std::span<ready_socket> out) const noexcept
{
    std::array<sys::poll_report, 16> found;
    const auto room = std::span(found).first(std::min(found.size(), out.size()));
    const auto n = static_cast<std::size_t>(std::max(sys::poller_wait(poller_->number(), 0, room), 0));
    std::ranges::transform(room.first(n), out.begin(),
                           [](const sys::poll_report& e)
                           {
                               return ready_socket{static_cast<int>(e.tag()),
                                                   (e.what() & sys::poll_event::readable) != 0,
                                                   (e.what() & sys::poll_event::writable) != 0};
                           });
    return n;
}

std::error_code socket_set::wait(std::int64_t time, std::span<ready_socket> out, std::size_t& count) noexcept
{
    count = 0;
    const io::fd::side_guard mine(*poller_, io::poll_side::read);
    int error = mine.error();
    if (error == 0) {
        mine.look();
        count = look(out);
        if (count != 0)
            return {};
        error = mine.wait_for(time);
    }
    if (error == ETIMEDOUT) {  // only a context sets a deadline
        if (const std::error_code why = ctx_.err())
            return why;
    }
    if (error != 0)
        return {error, std::generic_category()};
    count = look(out);
    return {};
}

}  // namespace weft::net
