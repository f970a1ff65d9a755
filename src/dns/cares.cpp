// Names by c-ares, on weft's poller: the target weft::dns, which installs itself by being linked.
//
// Each look-up has a channel and a set of sockets of its own, so nothing is shared and nothing locked.
#include <ares.h>
#include <netdb.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "net/socket_set.hpp"
#include "weft/net.hpp"

namespace weft::net {

namespace {

struct library {
    library() noexcept : status(ares_library_init(ARES_LIB_INIT_ALL)) {}
    int status;
};

std::error_code meaning_of(int status) noexcept
{
    switch (status) {
        case ARES_SUCCESS:
            return {};
        case ARES_ENOTFOUND:
        case ARES_ENODATA:
        case ARES_ENONAME:
            return lookup_errc::not_found;
        case ARES_ETIMEOUT:
        case ARES_ECONNREFUSED:
        case ARES_ESERVFAIL:
        case ARES_EREFUSED:
            return lookup_errc::try_again;
        case ARES_ENOMEM:
            return std::make_error_code(std::errc::not_enough_memory);
        default:
            return lookup_errc::failed;
    }
}

class query {
public:
    query(const std::string& host, const context& ctx, std::vector<address>& found) noexcept
        : host_(host), found_(found), sockets_(ctx)
    {
    }
    query(const query&) = delete;
    query& operator=(const query&) = delete;
    ~query()
    {
        if (channel_ != nullptr)
            ares_destroy(channel_);
    }

    std::error_code run()
    {
        static const library once;
        if (once.status != ARES_SUCCESS)
            return lookup_errc::failed;
        if (sockets_.error())
            return sockets_.error();
        ares_options options{};
        options.sock_state_cb = &changed;
        options.sock_state_cb_data = this;
        if (const int status = ares_init_options(&channel_, &options, ARES_OPT_SOCK_STATE_CB); status != ARES_SUCCESS)
            return meaning_of(status);
        ares_addrinfo_hints hints{};
        hints.ai_family = AF_UNSPEC;
        hints.ai_socktype = SOCK_STREAM;
        ares_getaddrinfo(channel_, host_.c_str(), nullptr, &hints, &ended, this);
        while (!done_)
            if (const std::error_code failed = step())
                return failed;
        return result_;
    }

private:
    /// c-ares begins or ends to wait for a socket.
    static void changed(void* self, ares_socket_t socket, int readable, int writable)
    {
        static_cast<query*>(self)->sockets_.watch(socket, readable != 0, writable != 0);
    }

    static void ended(void* self, int status, int, ares_addrinfo* list)
    {
        auto& q = *static_cast<query*>(self);
        const std::unique_ptr<ares_addrinfo, void (*)(ares_addrinfo*)> owner(list, &ares_freeaddrinfo);
        q.done_ = true;
        q.result_ = meaning_of(status);
        if (status != ARES_SUCCESS)
            return;
        try {
            for (const ares_addrinfo_node* at = list->nodes; at != nullptr; at = at->ai_next)
                if (const address a(at->ai_addr, at->ai_addrlen); a)
                    q.found_.push_back(a);
            if (q.found_.empty())
                q.result_ = lookup_errc::not_found;
        } catch (...) {
            q.result_ = std::make_error_code(std::errc::not_enough_memory);
        }
    }

    /// Waits until a socket is ready or c-ares wants to try again, and lets it go on.
    std::error_code step()
    {
        timeval most{3'600, 0};
        timeval left{};
        const timeval* const next = ares_timeout(channel_, &most, &left);
        const std::int64_t wait = (std::int64_t{next->tv_sec} * 1'000'000 + next->tv_usec) * 1'000;  // ns
        std::array<socket_set::ready_socket, 16> found;
        std::size_t count = 0;
        if (const std::error_code failed = sockets_.wait(wait, found, count))
            return failed;
        for (const socket_set::ready_socket& s : std::span(found).first(count))
            ares_process_fd(channel_, s.readable ? s.number : ARES_SOCKET_BAD, s.writable ? s.number : ARES_SOCKET_BAD);
        if (count == 0)
            ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // what has waited for too long
        return {};
    }

    const std::string& host_;
    std::vector<address>& found_;
    socket_set sockets_;
    ares_channel channel_ = nullptr;
    std::error_code result_{};
    bool done_ = false;
};

std::error_code by_cares(const std::string& host, const context& ctx, std::vector<address>& found)
{
    query q(host, ctx, found);
    return q.run();
}

}  // namespace

}  // namespace weft::net

/// A link option of weft::dns names it, so that this file is taken out of its archive.
extern "C" WEFT_API bool weft_dns_installed;
bool weft_dns_installed = (weft::net::detail::set_resolver(&weft::net::by_cares), true);
