// Names to addresses. Numbers and "localhost" are answered here; for the rest there is the resolver that weft::dns has
// installed, or getaddrinfo(3), which blocks, on a few threads.
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>
#include <new>
#include <string>

#include "io/result.hpp"
#include "net/address.hpp"
#include "net/dial.hpp"
#include "rt/rt.hpp"
#include "sys/thread.hpp"
#include "weft/net.hpp"
#include "weft/semaphore.hpp"

namespace weft::net {

namespace {

class category : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "weft.lookup"; }
    [[nodiscard]] std::string message(int e) const override
    {
        switch (static_cast<lookup_errc>(e)) {
            case lookup_errc::not_found:
                return "no such host";
            case lookup_errc::try_again:
                return "the name servers do not answer";
            case lookup_errc::failed:
                return "the look-up of a host's name has failed";
        }
        return "unknown";
    }
};

constexpr std::ptrdiff_t most_threads = 16;
constinit counting_semaphore<> threads{most_threads};

/// Shared by the thread and who waits, who may give up before.
struct question {
    std::string host{};
    std::vector<address> found{};
    std::error_code error{};
    binary_semaphore answered{0};
};

std::error_code meaning_of(int failure) noexcept
{
    switch (failure) {
        case EAI_NONAME:
        case EAI_NODATA:
        case EAI_ADDRFAMILY:
            return lookup_errc::not_found;
        case EAI_AGAIN:
            return lookup_errc::try_again;
        case EAI_MEMORY:
            return std::make_error_code(std::errc::not_enough_memory);
        case EAI_SYSTEM:
            return {errno, std::generic_category()};
        default:
            return lookup_errc::failed;
    }
}

void answer(question& q)
{
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    if (const int failure = ::getaddrinfo(q.host.c_str(), nullptr, &hints, &list); failure != 0) {
        q.error = meaning_of(failure);
        return;
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, &::freeaddrinfo);
    for (const addrinfo* at = list; at != nullptr; at = at->ai_next)
        if (const address a(at->ai_addr, at->ai_addrlen); a)
            q.found.push_back(a);
    if (q.found.empty())
        q.error = lookup_errc::not_found;
}

void* answer_on_thread(void* argument) noexcept
{
    sys::name_this_thread("weft-lookup");
    const std::unique_ptr<std::shared_ptr<question>> q(static_cast<std::shared_ptr<question>*>(argument));
    try {
        answer(**q);
    } catch (...) {
        (*q)->error = std::make_error_code(std::errc::not_enough_memory);
    }
    (*q)->answered.release();
    threads.release();
    return nullptr;
}

std::error_code by_thread(const std::string& host, const context& ctx, std::vector<address>& found)
{
    if (const std::error_code ended = threads.acquire(ctx))
        return ended;
    auto q = std::make_shared<question>();
    q->host = host;
    auto handed = std::make_unique<std::shared_ptr<question>>(q);
    if (const int error = sys::start_thread(&answer_on_thread, handed.get()); error != 0) {
        threads.release();
        return {error, std::generic_category()};
    }
    (void)handed.release();
    if (const std::error_code ended = q->answered.acquire(ctx))
        return ended;
    found = std::move(q->found);
    return q->error;
}

constinit base::atomic<detail::resolver> current_resolver{&by_thread};

constexpr bool same_letter(char a, char b) noexcept
{
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
    return lower(a) == lower(b);
}

/// RFC 6761: it is this machine, whatever servers say.
bool is_localhost(std::string_view host) noexcept
{
    constexpr std::string_view name = "localhost";
    if (host.ends_with('.'))
        host.remove_suffix(1);
    if (host.size() < name.size())
        return false;
    const std::string_view end = host.substr(host.size() - name.size());
    return std::ranges::equal(end, name, same_letter) &&
           (host.size() == name.size() || host[host.size() - name.size() - 1] == '.');
}

/// Whether resolvers may be asked. Not of what is no name: a NUL, at which some of them would stop; a colon; and a last
/// part that is a number. That would be an address in a form that one resolver takes as octal ("0127.0.0.1"), another
/// as decimal and a third not at all.
bool is_name(std::string_view host) noexcept
{
    if (host.find_first_of(std::string_view("\0:", 2)) != std::string_view::npos)
        return false;
    if (host.ends_with('.'))
        host.remove_suffix(1);
    const std::string_view last = host.substr(host.rfind('.') + 1);  // npos + 1 is 0
    if (last.empty())
        return false;
    const bool hexadecimal = last.size() >= 2 && last[0] == '0' && same_letter(last[1], 'x');
    return !hexadecimal && last.find_first_not_of("0123456789") != std::string_view::npos;
}

}  // namespace

namespace detail {

void set_resolver(resolver r) noexcept
{
    current_resolver.store(r, base::memory_order_release);
}

}  // namespace detail

const std::error_category& lookup_category() noexcept
{
    static const category only;
    return only;
}

std::vector<address> lookup(std::string_view host, const context& ctx, std::error_code& ec)
{
    std::vector<address> found;
    ec = ctx.err();
    if (ec)
        return found;
    if (const address a = numeric_host(host, 0)) {
        found.push_back(a);
    } else if (is_localhost(host)) {
        found.push_back(numeric_host("127.0.0.1", 0));
        found.push_back(numeric_host("::1", 0));
    } else if (!is_name(host)) {
        ec = lookup_errc::failed;
    } else {
        ec = current_resolver.load(base::memory_order_acquire)(std::string(host), ctx, found);
    }
    return found;
}

std::vector<address> lookup(std::string_view host, const context& ctx)
{
    std::error_code ec;
    std::vector<address> found = lookup(host, ctx, ec);
    if (ec)
        throw std::system_error(ec, "weft::net::lookup(\"" + std::string(host) + "\")");
    return found;
}

std::vector<address> resolve(std::string_view where, const context& ctx, bool passive, std::error_code& ec)
{
    std::vector<address> found;
    if (where.starts_with(unix_prefix)) {
        if (const address a = address::of_path(where.substr(unix_prefix.size())))
            found.push_back(a);
        io::set_error(ec, found.empty() ? EINVAL : 0);
        return found;
    }
    std::string_view host;
    std::string_view service;
    std::uint16_t port = 0;
    if (!split_host_port(where, host, service) || !parse_port(service, port)) {
        io::set_error(ec, EINVAL);
        return found;
    }
    if (host.empty())
        host = passive ? "::" : "localhost";
    found = lookup(host, ctx, ec);
    for (address& a : found)
        a = a.with_port(port);
    return found;
}

}  // namespace weft::net
