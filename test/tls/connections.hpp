// Connections for tests of tls: one in memory, and one over a socket of its own.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <system_error>
#include <utility>

#include "weft/weft.hpp"

namespace weft::test {

/// One end of a connection in memory that holds `room` bytes each way.
class memory_conn {
public:
    static std::pair<memory_conn, memory_conn> pair(std::size_t room = std::size_t{64} << 10)
    {
        auto a = std::make_shared<direction>(room);
        auto b = std::make_shared<direction>(room);
        return {memory_conn(a, b), memory_conn(b, a)};
    }
    memory_conn(memory_conn&&) noexcept = default;
    memory_conn& operator=(memory_conn&&) noexcept = default;
    ~memory_conn()
    {
        if (in_)
            close();
    }

    std::size_t read(std::span<std::byte> into, std::error_code& ec)
    {
        std::unique_lock lock(in_->m);
        while (in_->bytes.empty() && !in_->ended && !in_->deaf) {
            if (in_->cv.wait_until(lock, in_->read_deadline) == std::cv_status::timeout) {
                ec = std::make_error_code(std::errc::timed_out);
                return 0;
            }
        }
        ec.clear();
        if (in_->deaf) {
            ec = std::make_error_code(std::errc::operation_canceled);
            return 0;
        }
        const std::size_t n = std::min(into.size(), in_->bytes.size());
        std::copy_n(in_->bytes.begin(), n, into.begin());
        in_->bytes.erase(in_->bytes.begin(), in_->bytes.begin() + static_cast<std::ptrdiff_t>(n));
        in_->cv.notify_all();
        return n;
    }
    void write(std::span<const std::byte> from, std::error_code& ec)
    {
        std::unique_lock lock(out_->m);
        ec.clear();
        while (!from.empty()) {
            if (out_->ended || out_->deaf) {
                ec = std::make_error_code(out_->ended ? std::errc::operation_canceled : std::errc::broken_pipe);
                return;
            }
            const std::size_t n = std::min(from.size(), out_->room - out_->bytes.size());
            out_->bytes.insert(out_->bytes.end(), from.begin(), from.begin() + static_cast<std::ptrdiff_t>(n));
            from = from.subspan(n);
            out_->cv.notify_all();
            if (n == 0 && out_->cv.wait_until(lock, out_->write_deadline) == std::cv_status::timeout) {
                ec = std::make_error_code(std::errc::timed_out);
                return;
            }
        }
    }
    void close()
    {
        for (const auto& d : {in_, out_}) {
            const std::lock_guard guard(d->m);
            (d == in_ ? d->deaf : d->ended) = true;
            d->cv.notify_all();
        }
    }
    void set_read_deadline(weft::clock::time_point when)
    {
        const std::lock_guard guard(in_->m);
        in_->read_deadline = when;
        in_->cv.notify_all();
    }
    void set_write_deadline(weft::clock::time_point when)
    {
        const std::lock_guard guard(out_->m);
        out_->write_deadline = when;
        out_->cv.notify_all();
    }

private:
    struct direction {
        explicit direction(std::size_t n) : room(n) {}
        std::size_t room;
        weft::mutex m;
        weft::condition_variable cv;
        std::deque<std::byte> bytes;
        bool ended = false;  ///< closed by who writes
        bool deaf = false;   ///< closed by who reads
        weft::clock::time_point read_deadline = weft::clock::time_point::max();
        weft::clock::time_point write_deadline = weft::clock::time_point::max();
    };
    memory_conn(std::shared_ptr<direction> in, std::shared_ptr<direction> out)
        : in_(std::move(in)), out_(std::move(out))
    {
    }

    std::shared_ptr<direction> in_;
    std::shared_ptr<direction> out_;
};

/// A blocking socket, by way of blocking(); without deadlines.
class socket_conn {
public:
    explicit socket_conn(int fd) noexcept : fd_(fd) {}
    socket_conn(socket_conn&& from) noexcept : fd_(std::exchange(from.fd_, -1)) {}
    socket_conn& operator=(socket_conn&& from) noexcept
    {
        std::swap(fd_, from.fd_);
        return *this;
    }
    ~socket_conn() { close(); }

    std::size_t read(std::span<std::byte> into, std::error_code& ec)
    {
        const ssize_t n = weft::blocking([&] { return result(::recv(fd_, into.data(), into.size(), 0)); });
        ec = error_of(n);
        return n < 0 ? 0 : static_cast<std::size_t>(n);
    }
    void write(std::span<const std::byte> from, std::error_code& ec)
    {
        ec.clear();
        while (!from.empty() && !ec) {
            const ssize_t n =
                weft::blocking([&] { return result(::send(fd_, from.data(), from.size(), MSG_NOSIGNAL)); });
            ec = error_of(n);
            from = from.subspan(n < 0 ? 0 : static_cast<std::size_t>(n));
        }
    }
    void close() noexcept
    {
        if (fd_ >= 0)
            ::close(std::exchange(fd_, -1));
    }

private:
    static ssize_t result(ssize_t n) noexcept { return n < 0 ? -errno : n; }
    static std::error_code error_of(ssize_t n) noexcept
    {
        return n < 0 ? std::error_code(static_cast<int>(-n), std::generic_category()) : std::error_code();
    }
    int fd_;
};

}  // namespace weft::test
