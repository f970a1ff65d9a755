// dial: happy eyeballs (RFC 8305). Attempts run side by side, each in a goroutine; the first to succeed ends the others
// through their context, and dial() returns when all have ended.
#include <string>

#include "io/canceler.hpp"
#include "io/result.hpp"
#include "net/address.hpp"
#include "net/dial.hpp"
#include "net/socket.hpp"
#include "weft/chan.hpp"
#include "weft/net.hpp"
#include "weft/select.hpp"
#include "weft/wait_group.hpp"

namespace weft::net {

namespace {

using io::set_error;

constexpr std::chrono::milliseconds between_attempts{250};  // RFC 8305, 5.

struct attempt {
    tcp_conn made{};
    int error = 0;
};

attempt connect_one(const address& to, const context& ctx) noexcept
{
    const bool local = to.kind() == address::family::unix_socket;
    const int number = sys::open_socket(domain_of(to), SOCK_STREAM, 0);
    if (number < 0)
        return {{}, -number};
    if (!local)
        prepare(number, true, {});
    io::detail::fd_ptr f = own(number, local ? io::fd::kind::socket : io::fd::kind::tcp);
    if (f == nullptr)
        return {{}, ENOMEM};
    int error;
    {
        const io::canceler watch(ctx, *f, io::poll_side::write);
        error = connect_stream(*f, to);
    }
    if (error != 0)
        return {{}, error};
    f->set_deadline(io::poll_side::write, rt::never);  // it may have ended too late to matter
    return {tcp_conn(std::move(f)), 0};
}

/// IPv6 and IPv4 in turns, beginning with the kind that comes first; the order of each stays.
std::vector<address> in_turns(const std::vector<address>& all)
{
    std::vector<address> out;
    out.reserve(all.size());
    const address::family first = all.front().kind();
    auto a = all.begin();
    auto b = all.begin();
    const auto next = [&](auto& at, bool of_first)
    {
        while (at != all.end() && (at->kind() == first) != of_first)
            ++at;
        if (at != all.end())
            out.push_back(*at++);
    };
    while (out.size() < all.size()) {
        next(a, true);
        next(b, false);
    }
    return out;
}

attempt connect_any(const std::vector<address>& to, const context& ctx)
{
    // Declared in the order of their ends reversed: the losers are told, then waited for, then the channel goes.
    chan<attempt> ends(to.size());
    wait_group running;
    attempt won;
    int first_error = 0;
    {
        const cancel_context scope = with_cancel(ctx);
        std::size_t started = 0;
        std::size_t ended = 0;
        while (ended < to.size() && !won.made) {
            if (started < to.size() && (started == ended || !ctx.err())) {
                running.go([&ends, at = to[started], scope = context(scope)] { ends.send(connect_one(at, scope)); });
                ++started;
            }
            const auto take = [&](std::optional<attempt> a)
            {
                if (!a)
                    return;
                ++ended;
                if (a->error == 0)
                    won = std::move(*a);
                else if (first_error == 0)
                    first_error = a->error;
            };
            if (started < to.size())
                select(on_recv(ends, take), on_timeout(between_attempts));
            else
                take(ends.recv());
        }
    }
    running.wait();
    won.error = won.made ? 0 : first_error;
    return won;
}

}  // namespace

tcp_conn dial(std::string_view where, const context& ctx, std::error_code& ec)
{
    ec = ctx.err();
    if (ec)
        return {};
    const std::vector<address> found = resolve(where, ctx, false, ec);
    if (ec)
        return {};
    attempt result = found.size() == 1 ? connect_one(found.front(), ctx) : connect_any(in_turns(found), ctx);
    set_error(ec, result.error);
    if (result.error != 0)
        if (const std::error_code ended = ctx.err())
            ec = ended;
    return std::move(result.made);
}

tcp_conn dial(std::string_view where, const context& ctx)
{
    std::error_code ec;
    tcp_conn made = dial(where, ctx, ec);
    if (ec)
        throw std::system_error(ec, "weft::net::dial(\"" + std::string(where) + "\")");
    return made;
}

}  // namespace weft::net
