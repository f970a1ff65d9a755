#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <charconv>
#include <cstring>

#include "io/result.hpp"
#include "net/address.hpp"
#include "weft/net.hpp"

namespace weft::net {

namespace {

template <class Sockaddr>
Sockaddr as(const address& a) noexcept
{
    Sockaddr out{};
    std::memcpy(&out, a.data(), std::min(sizeof out, a.size()));
    return out;
}

sa_family_t family_of(const address& a) noexcept
{
    return a ? as<sa_family_t>(a) : sa_family_t{AF_UNSPEC};
}

}  // namespace

bool split_host_port(std::string_view text, std::string_view& host, std::string_view& port) noexcept
{
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return false;
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (!host.empty() && host.front() == '[') {
        if (host.back() != ']')
            return false;
        host = host.substr(1, host.size() - 2);
        return !host.empty();
    }
    return host.find_first_of("[]:") == std::string_view::npos;
}

bool parse_port(std::string_view text, std::uint16_t& port) noexcept
{
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc() && end == text.data() + text.size();
}

address numeric_host(std::string_view host, std::uint16_t port) noexcept
{
    char text[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE];
    if (host.size() >= sizeof text || host.find('\0') != std::string_view::npos)
        return {};
    std::memcpy(text, host.data(), host.size());
    text[host.size()] = '\0';
    sockaddr_in v4{};
    if (::inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        return {&v4, sizeof v4};
    }
    sockaddr_in6 v6{};
    if (char* const zone = std::strchr(text, '%'); zone != nullptr) {
        *zone = '\0';
        const std::string_view name = zone + 1;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), v6.sin6_scope_id);
        if (error != std::errc() || end != name.data() + name.size())
            v6.sin6_scope_id = ::if_nametoindex(zone + 1);
        if (v6.sin6_scope_id == 0)
            return {};
    }
    if (::inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
        return {};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    return {&v6, sizeof v6};
}

address::address(const void* from, std::size_t size) noexcept
{
    sa_family_t f{};
    if (size < sizeof f || size > bytes_.size())
        return;
    std::memcpy(&f, from, sizeof f);
    sockaddr_in6 v6{};
    if (f == AF_INET6 && size >= sizeof v6) {
        std::memcpy(&v6, from, sizeof v6);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            sockaddr_in v4{};
            v4.sin_family = AF_INET;
            v4.sin_port = v6.sin6_port;
            std::memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
            std::memcpy(bytes_.data(), &v4, sizeof v4);
            size_ = sizeof v4;
            return;
        }
    }
    if ((f == AF_INET && size >= sizeof(sockaddr_in)) || (f == AF_INET6 && size >= sizeof v6) || f == AF_UNIX) {
        std::memcpy(bytes_.data(), from, size);
        size_ = static_cast<std::uint32_t>(size);
    }
}

address address::parse(std::string_view text, std::error_code& ec) noexcept
{
    address a;
    std::string_view host;
    std::string_view port;
    std::uint16_t number = 0;
    if (text.starts_with(unix_prefix))
        a = of_path(text.substr(unix_prefix.size()));
    else if (split_host_port(text, host, port) && parse_port(port, number))
        a = numeric_host(host.empty() ? "::" : host, number);
    io::set_error(ec, a ? 0 : EINVAL);
    return a;
}

address address::of_path(std::string_view path) noexcept
{
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof at.sun_path || path.find('\0') != std::string_view::npos)
        return {};
    std::memcpy(at.sun_path, path.data(), path.size());
    const bool abstract = path.front() == '@';
    if (abstract)
        at.sun_path[0] = '\0';
    // The name of an abstract one has no end mark.
    return {&at, offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1)};
}

address::family address::kind() const noexcept
{
    switch (family_of(*this)) {
        case AF_INET:
            return family::ipv4;
        case AF_INET6:
            return family::ipv6;
        case AF_UNIX:
            return family::unix_socket;
        default:
            return family::none;
    }
}

std::uint16_t address::port() const noexcept
{
    switch (kind()) {
        case family::ipv4:
            return ntohs(as<sockaddr_in>(*this).sin_port);
        case family::ipv6:
            return ntohs(as<sockaddr_in6>(*this).sin6_port);
        default:
            return 0;
    }
}

address address::with_port(std::uint16_t port) const noexcept
{
    if (kind() == family::ipv4) {
        auto v4 = as<sockaddr_in>(*this);
        v4.sin_port = htons(port);
        return {&v4, sizeof v4};
    }
    if (kind() == family::ipv6) {
        auto v6 = as<sockaddr_in6>(*this);
        v6.sin6_port = htons(port);
        return {&v6, sizeof v6};
    }
    return *this;
}

std::string address::host() const
{
    char text[INET6_ADDRSTRLEN];
    if (kind() == family::ipv4) {
        const auto v4 = as<sockaddr_in>(*this);
        return ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    }
    if (kind() == family::ipv6) {
        const auto v6 = as<sockaddr_in6>(*this);
        std::string host = ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        if (v6.sin6_scope_id != 0) {
            char name[IF_NAMESIZE];
            const bool named = ::if_indextoname(v6.sin6_scope_id, name) != nullptr;
            host += '%' + (named ? std::string(name) : std::to_string(v6.sin6_scope_id));
        }
        return host;
    }
    if (kind() != family::unix_socket)
        return {};
    const auto at = as<sockaddr_un>(*this);
    const std::size_t n = size_ - std::min<std::size_t>(size_, offsetof(sockaddr_un, sun_path));
    if (n == 0)
        return {};  // a socket without a name: that of who connects
    if (at.sun_path[0] == '\0')
        return '@' + std::string(at.sun_path + 1, n - 1);
    return {at.sun_path, ::strnlen(at.sun_path, n)};
}

std::string address::to_string() const
{
    switch (kind()) {
        case family::ipv4:
            return host() + ':' + std::to_string(port());
        case family::ipv6:
            return '[' + host() + "]:" + std::to_string(port());
        case family::unix_socket:
            return std::string(unix_prefix) + host();
        default:
            return {};
    }
}

bool address::equal(const address& a, const address& b) noexcept
{
    return a.size_ == b.size_ && std::memcmp(a.bytes_.data(), b.bytes_.data(), a.size_) == 0;
}

}  // namespace weft::net
