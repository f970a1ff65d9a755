#include "net/dial.hpp"

#include <string>

#include "io/result.hpp"
#include "net/address.hpp"
#include "net/socket.hpp"
#include "rt/rt.hpp"
#include "weft/net.hpp"

namespace weft::net {

namespace {

using io::set_error;

/// While it lives, the end of a context ends the attempts to connect.
class canceler : rt::cancel_hook {
public:
    canceler(const context& ctx, io::fd& f) noexcept : fd_(f), list_(weft::detail::cancel_list_of(ctx))
    {
        fire = [](rt::cancel_hook& hook) noexcept { static_cast<canceler&>(hook).give_up(); };
        if (list_ != nullptr && !list_->add(*this))
            give_up();
    }
    canceler(const canceler&) = delete;
    canceler& operator=(const canceler&) = delete;
    ~canceler()
    {
        if (list_ != nullptr)
            list_->remove(*this);
    }

private:
    void give_up() noexcept { fd_.set_deadline(io::poll_side::write, 0); }

    io::fd& fd_;
    rt::cancel_list* list_;
};

/// An errno.
int connect_one(const address& to, const context& ctx, tcp_conn& out)
{
    const int number = sys::open_socket(domain_of(to), SOCK_STREAM, 0);
    if (number < 0)
        return -number;
    if (to.kind() != address::family::unix_socket)
        prepare(number, true, {});
    io::detail::fd_ptr f = own(number, to.kind() == address::family::unix_socket ? io::fd::kind::socket : io::fd::kind::tcp);
    if (f == nullptr)
        return ENOMEM;
    int error;
    {
        const canceler watch(ctx, *f);
        error = connect_stream(*f, to);
    }
    if (error != 0)
        return error;
    f->set_deadline(io::poll_side::write, rt::never);
    out = tcp_conn(std::move(f));
    return 0;
}

}  // namespace

std::vector<address> resolve(std::string_view where, const context& ctx, bool passive, std::error_code& ec)
{
    (void)ctx;
    std::vector<address> found;
    if (where.starts_with(unix_prefix)) {
        found.push_back(address::of_path(where.substr(unix_prefix.size())));
        set_error(ec, found.front() ? 0 : EINVAL);
        return found;
    }
    std::string_view host;
    std::string_view service;
    std::uint16_t port = 0;
    if (!split_host_port(where, host, service) || !parse_port(service, port)) {
        set_error(ec, EINVAL);
        return found;
    }
    if (host.empty() && passive) {
        found.push_back(numeric_host("::", port));
    } else if (host.empty() || host == "localhost") {
        found.push_back(numeric_host("127.0.0.1", port));
    } else if (const address a = numeric_host(host, port)) {
        found.push_back(a);
    }
    set_error(ec, found.empty() ? EHOSTUNREACH : 0);
    return found;
}

tcp_conn dial(std::string_view where, const context& ctx, std::error_code& ec)
{
    tcp_conn made;
    ec = ctx.err();
    if (ec)
        return made;
    const std::vector<address> found = resolve(where, ctx, false, ec);
    if (ec)
        return made;
    int error = 0;
    for (const address& to : found) {
        error = connect_one(to, ctx, made);
        if (error == 0)
            break;
    }
    set_error(ec, error);
    if (error == ETIMEDOUT || error == ECANCELED)
        if (const std::error_code ended = ctx.err())
            ec = ended;
    return made;
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
