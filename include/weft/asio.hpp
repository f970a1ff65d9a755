// weft with Boost.Asio and Boost.Beast. Headers only: link weft::asio, which brings Boost's headers (1.81 or later).
//
// - asio_stream: a connection of weft's as a SyncReadStream and SyncWriteStream, so that Beast's HTTP and Asio's
//   algorithms (asio::read_until, asio::write, ...) run over it. They look blocking and park the goroutine.
// - use_goroutine: a completion token with which any asynchronous operation of Asio's parks the goroutine until it
//   completes. The io_context runs on plain threads of its own.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <exception>
#include <forward_list>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <boost/version.hpp>

#include "weft/detail/kept_stack.hpp"
#include "weft/semaphore.hpp"

#if BOOST_VERSION < 108100
#error "weft/asio.hpp needs Boost 1.81 or later (Debian 12: libboost1.81-dev)"
#endif

namespace weft {

namespace detail {

/// As Boost's own operations would say it: what callers of Asio compare with.
inline boost::system::error_code asio_error(const std::error_code& ec)
{
    if (!ec)
        return {};
    if (ec == std::errc::operation_canceled)
        return boost::asio::error::operation_aborted;
    if (ec == std::errc::timed_out)
        return boost::asio::error::timed_out;
    if (ec.category() == std::generic_category() || ec.category() == std::system_category())
        return {ec.value(), boost::system::system_category()};
    return ec;
}

}  // namespace detail

/// A connection as Asio's SyncReadStream and SyncWriteStream. `C` is a connection (net::tcp_conn, net::unix_conn,
/// tls::stream), which the stream then owns, or a reference to one, which must outlive it. The end of the stream is
/// boost::asio::error::eof, a deadline that has passed error::timed_out, a connection closed by another goroutine
/// error::operation_aborted; other errors keep their code. As the connection, for one reader and one writer at a time.
template <class C>
class asio_stream {
public:
    using next_layer_type = std::remove_reference_t<C>;

    /// Keeps `conn`, or the reference.
    explicit asio_stream(C&& conn) : conn_(std::forward<C>(conn)) {}

    [[nodiscard]] next_layer_type& next_layer() noexcept { return conn_; }
    [[nodiscard]] const next_layer_type& next_layer() const noexcept { return conn_; }

    /// Reads at least a byte into the first of `buffers` that is not empty. Throws boost::system::system_error.
    template <class MutableBuffers>
    std::size_t read_some(const MutableBuffers& buffers)
    {
        boost::system::error_code ec;
        const std::size_t n = read_some(buffers, ec);
        if (ec)
            throw boost::system::system_error(ec, "weft::asio_stream::read_some");
        return n;
    }
    template <class MutableBuffers>
    std::size_t read_some(const MutableBuffers& buffers, boost::system::error_code& ec)
    {
        ec = {};
        const auto end = boost::asio::buffer_sequence_end(buffers);
        for (auto i = boost::asio::buffer_sequence_begin(buffers); i != end; ++i) {
            const boost::asio::mutable_buffer b(*i);
            if (b.size() == 0)
                continue;
            std::error_code failed;
            const std::size_t n = conn_.read(std::span(static_cast<std::byte*>(b.data()), b.size()), failed);
            if (failed)
                ec = detail::asio_error(failed);
            else if (n == 0)
                ec = boost::asio::error::eof;
            return n;
        }
        return 0;
    }

    /// Writes: up to most_pieces of `buffers` at a time, small ones as one. Throws boost::system::system_error.
    template <class ConstBuffers>
    std::size_t write_some(const ConstBuffers& buffers)
    {
        boost::system::error_code ec;
        const std::size_t n = write_some(buffers, ec);
        if (ec)
            throw boost::system::system_error(ec, "weft::asio_stream::write_some");
        return n;
    }
    template <class ConstBuffers>
    std::size_t write_some(const ConstBuffers& buffers, boost::system::error_code& ec)
    {
        std::array<std::span<const std::byte>, most_pieces> pieces;
        std::size_t count = 0;
        std::size_t total = 0;
        const auto end = boost::asio::buffer_sequence_end(buffers);
        for (auto i = boost::asio::buffer_sequence_begin(buffers); i != end && count < most_pieces; ++i) {
            const boost::asio::const_buffer b(*i);
            if (b.size() == 0)
                continue;
            pieces[count++] = std::span(static_cast<const std::byte*>(b.data()), b.size());
            total += b.size();
        }
        std::error_code failed;
        ec = {};
        if (count == 1) {
            (void)conn_.write(pieces[0], failed);
        } else if (count > 1 && total <= most_joined) {
            // A header and a short body: one record of TLS, one segment of TCP, and copying is cheaper than a list.
            joined_.resize(total);
            std::byte* to = joined_.data();
            for (const auto& piece : std::span(pieces).first(count))
                to = std::copy(piece.begin(), piece.end(), to);
            (void)conn_.write(std::span<const std::byte>(joined_), failed);
        } else if (count > 1) {
            write_pieces(std::span(pieces).first(count), failed);
        }
        if (failed) {
            ec = detail::asio_error(failed);
            return 0;
        }
        return total;
    }

private:
    static constexpr std::size_t most_pieces = 16;
    static constexpr std::size_t most_joined = 4'096;

    void write_pieces(std::span<std::span<const std::byte>> pieces, std::error_code& failed)
    {
        if constexpr (requires { conn_.writev(std::span<const std::span<const std::byte>>(pieces), failed); }) {
            (void)conn_.writev(std::span<const std::span<const std::byte>>(pieces), failed);
        } else {
            for (const auto& piece : pieces) {
                (void)conn_.write(piece, failed);
                if (failed)
                    return;
            }
        }
    }

    C conn_;
    std::vector<std::byte> joined_;
};

template <class C>
asio_stream(C&&) -> asio_stream<C>;

/// The type of use_goroutine.
struct use_goroutine_t {
    /// use_goroutine[ec]: the error goes there instead of being thrown.
    struct with_error {
        boost::system::error_code* ec;
    };
    [[nodiscard]] constexpr with_error operator[](boost::system::error_code& ec) const noexcept { return {&ec}; }
};

/// A completion token: `socket.async_read_some(buffer, weft::use_goroutine)` parks the calling goroutine (or blocks the
/// plain thread) until the operation completes, and returns its result: nothing, a value, or a std::tuple. An error is
/// thrown as boost::system::system_error, or goes to `ec` with use_goroutine[ec]; an operation whose io_context is
/// destroyed before it completes gives error::operation_aborted. Let plain threads run the io_context: one that runs it
/// must not wait for it.
///
/// Buffers may be on the caller's stack: it is not hibernated until the operation completes. Nor is the stack of
/// another goroutine that a buffer of a buffer sequence, or what the operation takes a pointer to, is on. What a
/// dynamic buffer makes room in must be on the caller's stack or on none.
inline constexpr use_goroutine_t use_goroutine{};

namespace detail {

/// What an operation of Asio's and the goroutine that waits for it share, on the goroutine's stack.
template <class... Results>
struct asio_wait {
    binary_semaphore over{0};
    std::optional<std::tuple<Results...>> results;  ///< none: the handler was destroyed, not called
    boost::system::error_code error;
    std::exception_ptr exception;
};

/// Results... without a leading error, which it stores beside them.
template <class... Args>
struct asio_signature {
    using wait = asio_wait<std::decay_t<Args>...>;
    static void complete(wait& w, Args... args) { w.results.emplace(std::forward<Args>(args)...); }
};
template <class... Args>
struct asio_signature<boost::system::error_code, Args...> {
    using wait = asio_wait<std::decay_t<Args>...>;
    static void complete(wait& w, boost::system::error_code ec, Args... args)
    {
        w.error = ec;
        w.results.emplace(std::forward<Args>(args)...);
    }
};
template <class... Args>
struct asio_signature<const boost::system::error_code&, Args...> : asio_signature<boost::system::error_code, Args...> {
};
template <class... Args>
struct asio_signature<std::exception_ptr, Args...> {
    using wait = asio_wait<std::decay_t<Args>...>;
    static void complete(wait& w, std::exception_ptr e, Args... args)
    {
        w.exception = std::move(e);
        w.results.emplace(std::forward<Args>(args)...);
    }
};

/// Called or destroyed once, by whoever runs the io_context; that ends the wait.
template <class... Args>
class asio_handler {
    using signature = asio_signature<Args...>;
    struct end_wait {
        void operator()(typename signature::wait* w) const { w->over.release(); }
    };

public:
    explicit asio_handler(typename signature::wait& w) noexcept : wait_(&w) {}
    void operator()(Args... args)
    {
        const auto ending = std::move(wait_);
        signature::complete(*ending, std::forward<Args>(args)...);
    }

private:
    std::unique_ptr<typename signature::wait, end_wait> wait_;
};

/// Keeps the stacks that an operation is told to use by its argument `given`: the io_context's threads have system
/// calls use them while their goroutines wait.
template <class T>
void keep_stacks_of(std::forward_list<kept_stack>& kept, const T& given)
{
    if constexpr (boost::asio::is_const_buffer_sequence<T>::value) {  // mutable ones too
        const auto end = boost::asio::buffer_sequence_end(given);
        for (auto i = boost::asio::buffer_sequence_begin(given); i != end; ++i)
            kept.emplace_front(boost::asio::const_buffer(*i).data());
    } else if constexpr (std::is_convertible_v<const T&, const void*>) {
        kept.emplace_front(given);
    }
}

template <class... Args, class Initiation, class... InitArgs>
auto asio_await(boost::system::error_code* into, Initiation&& initiation, InitArgs&&... init_args)
{
    const kept_own_stack own;
    std::forward_list<kept_stack> kept;
    (keep_stacks_of(kept, init_args), ...);
    typename asio_signature<Args...>::wait w;
    std::forward<Initiation>(initiation)(asio_handler<Args...>(w), std::forward<InitArgs>(init_args)...);
    w.over.acquire();
    if (!w.results)
        w.error = boost::asio::error::operation_aborted;
    if (into != nullptr)
        *into = w.error;
    else if (w.error)
        throw boost::system::system_error(w.error);
    if (w.exception)
        std::rethrow_exception(w.exception);
    using results = typename decltype(w.results)::value_type;
    constexpr std::size_t count = std::tuple_size_v<results>;
    if constexpr (count == 0) {
        return;
    } else {
        if (!w.results) {
            // Only with use_goroutine[ec]; nothing has been made.
            if constexpr (std::is_default_constructible_v<results>)
                w.results.emplace();
            else
                throw boost::system::system_error(w.error);
        }
        if constexpr (count == 1)
            return std::get<0>(*std::move(w.results));
        else
            return *std::move(w.results);
    }
}

}  // namespace detail

}  // namespace weft

namespace boost::asio {

/// How Asio starts an operation with weft::use_goroutine.
template <class R, class... Args>
class async_result<weft::use_goroutine_t, R(Args...)> {
public:
    template <class Initiation, class... InitArgs>
    static auto initiate(Initiation&& initiation, weft::use_goroutine_t, InitArgs&&... args)
    {
        return weft::detail::asio_await<Args...>(nullptr, std::forward<Initiation>(initiation),
                                                 std::forward<InitArgs>(args)...);
    }
};

/// The same with weft::use_goroutine[ec].
template <class R, class... Args>
class async_result<weft::use_goroutine_t::with_error, R(Args...)> {
public:
    template <class Initiation, class... InitArgs>
    static auto initiate(Initiation&& initiation, weft::use_goroutine_t::with_error token, InitArgs&&... args)
    {
        return weft::detail::asio_await<Args...>(token.ec, std::forward<Initiation>(initiation),
                                                 std::forward<InitArgs>(args)...);
    }
};

}  // namespace boost::asio
